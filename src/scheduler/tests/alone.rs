//! Who is suspected of having brought the daemon down runs alone.

use std::time::Duration;

use super::bench_desk::exit;
use super::{Desk, entry, id};
use crate::job::{Class, Outcome, QueueRecord, State};
use crate::scheduler::{Gate, Input, Options};

fn gates(desk: &Desk, job: u64) -> Vec<Gate> {
    desk.scheduler.explain(desk.now, id(job)).unwrap().gates
}

/// The starts that were asked for, by id.
fn started(desk: &mut Desk) -> Vec<u64> {
    let mut started = desk.started();
    started.sort_unstable();
    started
}

fn names(desk: &Desk, job: u64) -> Vec<&'static str> {
    gates(desk, job).iter().map(Gate::name).collect()
}

#[test]
fn a_suspect_waits_for_what_runs_inside_and_nothing_starts_there_before_it_has_ended() {
    let mut desk = Desk::new(8, 8);
    desk.submit([entry(1).inside(), entry(2).inside().of(Class::Io), entry(3)]);
    desk.submit([entry(4).suspected(1, 0)]);
    desk.submit([entry(5).inside(), entry(6).inside().of(Class::Io), entry(7)]);
    assert_eq!(started(&mut desk), [1, 2, 3, 7], "commands go on");
    assert_eq!(desk.scheduler.poised(), Some(id(4)));
    let told = desk.scheduler.explain(desk.now, id(4)).unwrap().to_string();
    let words =
        "the daemon died once while it ran, so it runs alone; 2 inside the daemon now: job 1, 2";
    assert!(told.contains(words), "{told}");
    assert_eq!(gates(&desk, 5), [Gate::Apart { job: id(4), running: false }]);
    desk.succeed(1);
    assert_eq!(desk.started(), [0; 0]);
    desk.succeed(2);
    let starts = desk.take_starts();
    assert_eq!(starts.len(), 1);
    assert!(starts[0].alone && starts[0].job == id(4));
    assert_eq!(gates(&desk, 6), [Gate::Apart { job: id(4), running: true }]);
    desk.submit([entry(8)]);
    assert_eq!(desk.started(), [8], "a command is no company");
    desk.succeed(4);
    assert_eq!(started(&mut desk), [5, 6]);
}

#[test]
fn any_end_but_a_crash_clears_a_suspect() {
    for outcome in [Outcome::Succeeded, exit(1), Outcome::TimedOut, Outcome::Cancelled] {
        let mut desk = Desk::new(8, 8);
        desk.submit([entry(1).suspected(2, 1).retries(1, Duration::ZERO), entry(2).inside()]);
        assert_eq!(desk.started(), [1]);
        desk.end(1, outcome.clone());
        desk.commit();
        let started = desk.take_starts();
        assert!(started.iter().all(|start| !start.alone), "{outcome}: {started:?}");
        let again = matches!(outcome, Outcome::Failed(_) | Outcome::TimedOut);
        assert_eq!(started.len(), 1 + usize::from(again), "{outcome}: {started:?}");
    }
}

#[test]
fn suspects_run_one_after_the_other_in_the_ordinary_order() {
    let mut desk = Desk::new(8, 8);
    desk.submit([entry(1).suspected(1, 0), entry(2).suspected(1, 0), entry(3).inside()]);
    desk.submit([entry(4).suspected(1, 0).priority(9)]);
    let mut order = desk.started();
    for _ in 0..2 {
        let last = *order.last().unwrap();
        assert_eq!(gates(&desk, 3), [Gate::Apart { job: id(last), running: true }]);
        desk.succeed(last);
        order.extend(desk.started());
    }
    assert_eq!(order, [1, 4, 2]);
    desk.succeed(2);
    assert_eq!(desk.started(), [3]);
}

#[test]
fn a_suspect_whose_turn_has_not_come_keeps_nobody_out() {
    let mut desk = Desk::new(1, 8);
    desk.queue("paused", |queue| queue.paused = true);
    desk.submit([entry(1)]);
    // For a core permit, a key, a release, its queue.
    desk.submit([
        entry(2).suspected(1, 0),
        entry(3).of(Class::Io).with_key("k", 1),
        entry(4).of(Class::Io).with_key("k", 1).suspected(1, 0),
        entry(5).of(Class::Io).suspected(1, 0).in_queue("paused"),
    ]);
    let mut held = entry(6).of(Class::Io).suspected(1, 0);
    held.state = State::Held;
    desk.submit([held]);
    desk.submit((7..=9).map(|number| entry(number).of(Class::Io).inside()));
    assert_eq!(started(&mut desk), [1, 3, 7, 8, 9]);
    assert_eq!(desk.scheduler.poised(), None);
    assert_eq!(names(&desk, 2), ["core_permits", "runs_alone"]);
    assert_eq!(names(&desk, 4), ["key_limit", "runs_alone"]);
}

#[test]
fn an_endless_stream_inside_the_daemon_starves_no_suspect() {
    let options = Options { backfill: 4, ..Options::default() };
    let mut desk = Desk::with(options, 2, 4);
    desk.submit((1..=8).map(|number| entry(number).of(Class::Io).inside().in_queue("stream")));
    let mut running = desk.started();
    desk.submit([entry(100).of(Class::Io).suspected(1, 0).in_queue("slow").needs(1)]);
    for number in 9..60 {
        desk.submit([entry(number).of(Class::Io).inside().in_queue("stream").priority(9)]);
        desk.succeed(running.remove(0));
        running.extend(desk.started());
        if running.contains(&100) {
            assert_eq!(running, [100], "it has the inside to itself");
            assert!(number < 9 + 4 * 2, "{number}");
            return;
        }
    }
    panic!("the suspect never started");
}

#[test]
fn a_poised_suspect_can_be_cancelled_held_and_paused_and_lets_the_others_go_on() {
    let away: [fn(&mut Desk); 4] = [
        |desk| desk.step(Input::Cancel { job: id(2), reason: None }),
        |desk| desk.step(Input::Hold { job: id(2), reason: None }),
        |desk| desk.queue("b", |queue| queue.paused = true),
        |desk| {
            desk.step(Input::Starts(false));
            desk.queue("b", |queue| queue.paused = true);
            desk.step(Input::Starts(true));
        },
    ];
    for go in away {
        let mut desk = Desk::new(8, 8);
        desk.queue("b", |_| ());
        desk.submit([entry(1).inside()]);
        desk.submit([entry(2).suspected(1, 0).in_queue("b").needs(3).with_key("k", 1)]);
        desk.submit([entry(3).inside()]);
        assert_eq!(desk.started(), [1]);
        let cpu = |desk: &Desk| desk.scheduler.classes()[1].used;
        assert_eq!((desk.scheduler.poised(), cpu(&desk)), (Some(id(2)), 4));
        let queue = desk.scheduler.queue("b").unwrap();
        assert_eq!((queue.queued, queue.running), (1, 0));
        go(&mut desk);
        assert_eq!((desk.started(), desk.scheduler.poised(), cpu(&desk)), (vec![3], None, 2));
        desk.commit();
        desk.step(Input::QueueSet(QueueRecord::named("b")));
        if desk.state(2) == Some(State::Queued) {
            assert_eq!(desk.scheduler.poised(), Some(id(2)));
        }
    }
}

#[test]
fn a_poised_suspect_counts_as_one_that_runs() {
    let options = Options { max_running: Some(3), ..Options::default() };
    let mut desk = Desk::with(options, 8, 8);
    desk.queue("a", |queue| queue.max = Some(2));
    desk.submit([entry(1).inside(), entry(2).suspected(1, 0), entry(3)]);
    desk.submit([entry(4).in_queue("b"), entry(5).in_queue("b")]);
    assert_eq!(started(&mut desk), [1, 4]);
    assert_eq!(names(&desk, 3), ["queue_limit", "daemon_limit"]);
    desk.succeed(1);
    assert_eq!(started(&mut desk), [2, 3]);
    assert_eq!(names(&desk, 5), ["daemon_limit"]);
}
