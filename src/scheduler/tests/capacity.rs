//! How much runs at once: lanes, queues, the daemon, big jobs beside small ones.

use std::time::Duration;

use super::bench_desk::{Desk, entry};
use crate::job::Class;
use crate::scheduler::{Aging, ClassView, Input, LaneSizes, Options};

const fn lanes(cpu: u32, io: u32) -> Input {
    Input::Lanes(LaneSizes { cpu, io, blocking: 1 })
}

fn cpu(desk: &Desk) -> ClassView {
    desk.scheduler.classes()[1]
}

#[test]
fn a_lane_runs_no_more_than_its_size() {
    let mut desk = Desk::new(2, 3);
    desk.submit((1..=5).map(entry));
    desk.submit((6..=10).map(|number| entry(number).of(Class::Io)));
    desk.submit((11..=12).map(|number| entry(number).of(Class::Blocking)));
    assert_eq!(desk.started(), [1, 2, 6, 7, 8, 11]);
    desk.succeed(1);
    assert_eq!(desk.started(), [3]);
}

#[test]
fn when_thousands_may_start_at_once_they_start_over_several_steps() {
    let mut desk = Desk::new(1, 2_000);
    desk.submit((1..=2_500).map(|number| entry(number).of(Class::Io)));
    let mut started = desk.started();
    assert!((1..500).contains(&started.len()), "{} in one step", started.len());
    while desk.scheduler.next_deadline().is_some_and(|moment| moment.is_due(desk.now)) {
        desk.step(Input::Tick);
        let more = desk.started();
        assert!(more.len() < 500, "{} in one step", more.len());
        started.extend(more);
    }
    assert!(started.into_iter().eq(1..=2_000));
}

#[test]
fn a_full_io_lane_keeps_no_cpu_job_of_the_same_queue_waiting() {
    let mut desk = Desk::new(1, 1);
    desk.submit((1..=100).map(|number| entry(number).of(Class::Io).priority(9)));
    desk.submit([entry(101)]);
    assert_eq!(desk.started(), [1, 101]);
}

#[test]
fn growing_is_immediate_and_shrinking_lets_the_surplus_finish() {
    let mut desk = Desk::new(1, 1);
    desk.submit((1..=6).map(entry));
    assert_eq!(desk.started(), [1]);
    desk.step(lanes(3, 1));
    assert_eq!(desk.started(), [2, 3]);
    desk.step(lanes(1, 1));
    assert_eq!((cpu(&desk).used, cpu(&desk).size), (3, 1));
    desk.succeed(1);
    desk.succeed(2);
    assert_eq!(desk.started(), [0; 0]);
    desk.succeed(3);
    assert_eq!(desk.started(), [4]);
}

#[test]
fn lent_permits_are_used_by_others_and_taken_back_without_harm() {
    let mut desk = Desk::new(1, 1);
    desk.submit((1..=3).map(entry));
    assert_eq!(desk.started(), [1]);
    desk.step(Input::Lent(1));
    assert_eq!(desk.started(), [2]);
    desk.step(Input::Lent(0));
    desk.succeed(2);
    assert_eq!(desk.started(), [0; 0]);
    desk.succeed(1);
    assert_eq!(desk.started(), [3]);
}

#[test]
fn a_job_bigger_than_the_lane_waits_for_the_lane_to_grow_and_blocks_nobody() {
    let mut desk = Desk::new(2, 1);
    desk.submit([entry(1).needs(4).priority(5), entry(2), entry(3)]);
    assert_eq!(desk.started(), [2, 3]);
    desk.step(lanes(4, 1));
    assert_eq!(desk.started(), [0; 0]);
    desk.succeed(2);
    desk.succeed(3);
    assert_eq!(desk.started(), [1]);
}

#[test]
fn small_jobs_fill_the_gap_beside_a_big_one_that_waits_but_only_so_many() {
    let options = Options { backfill: 5, ..Options::default() };
    let mut desk = Desk::with(options, 4, 1);
    desk.submit([entry(1)]);
    desk.submit([entry(2).needs(4)]);
    desk.submit((3..=100).map(entry));
    let mut running = desk.started();
    assert_eq!(running, [1, 3, 4, 5], "three fill the gap");
    let mut starts = 3;
    while let Some(job) = running.pop() {
        desk.succeed(job);
        let started = desk.started();
        if started.contains(&2) {
            assert!(running.is_empty());
            assert_eq!(starts, 5, "after five overtook, the permits are kept for it");
            return;
        }
        starts += started.len();
        running.extend(started);
    }
    panic!("the big job never started");
}

#[test]
fn a_big_job_of_one_queue_is_not_starved_by_small_ones_of_others() {
    let mut desk = Desk::new(2, 1);
    desk.submit((1..=1000).map(|number| entry(number).in_queue("small")));
    desk.submit([entry(1001).needs(2).in_queue("big")]);
    let mut running = desk.started();
    for _ in 0..40 {
        let job = running.remove(0);
        desk.succeed(job);
        running.extend(desk.started());
        if running.contains(&1001) {
            return;
        }
    }
    panic!("the big job never started");
}

#[test]
fn a_queue_runs_no_more_than_its_limit_whatever_the_class() {
    let mut desk = Desk::new(4, 4);
    desk.queue("a", |queue| queue.max = Some(2));
    desk.submit((1..=3).map(entry));
    desk.submit((4..=6).map(|number| entry(number).of(Class::Io)));
    let first = desk.started();
    assert_eq!(first.len(), 2);
    desk.queue("a", |queue| queue.max = Some(3));
    assert_eq!(desk.started().len(), 1);
    desk.queue("a", |_| ());
    assert_eq!(desk.started().len(), 3);
}

#[test]
fn under_a_queue_limit_the_best_job_is_overtaken_only_so_often() {
    let options = Options { backfill: 3, aging: Aging::OFF, ..Options::default() };
    let mut desk = Desk::with(options, 1, 8);
    desk.submit([entry(1).in_queue("other")]);
    desk.queue("a", |queue| queue.max = Some(1));
    desk.submit([entry(2).priority(9)]);
    desk.submit((3..=50).map(|number| entry(number).of(Class::Io)));
    assert_eq!(desk.started(), [1, 3]);
    for number in [3, 4, 5] {
        desk.succeed(number);
    }
    assert_eq!(desk.started(), [4, 5], "the last place is kept for the best job");
    desk.succeed(1);
    assert_eq!(desk.started(), [2]);
}

#[test]
fn the_daemons_limit_is_shared_by_the_classes_in_turn() {
    let options = Options { max_running: Some(1), ..Options::default() };
    let mut desk = Desk::with(options, 8, 8);
    desk.submit((1..=3).map(|number| entry(number).of(Class::Io)));
    desk.submit((4..=6).map(entry));
    let mut order: Vec<u64> = Vec::new();
    for _ in 0..6 {
        let started = desk.started();
        assert_eq!(started.len(), 1);
        order.extend(&started);
        desk.succeed(started[0]);
    }
    assert_eq!(order, [1, 4, 2, 5, 3, 6]);
    desk.submit((7..=9).map(entry));
    desk.step(Input::MaxRunning(None));
    assert_eq!(desk.started(), [7, 8, 9]);
}

#[test]
fn nothing_new_starts_while_starts_are_off_or_the_queue_is_paused() {
    let mut desk = Desk::new(4, 1);
    desk.step(Input::Starts(false));
    desk.submit([entry(1), entry(2).in_queue("b")]);
    assert_eq!(desk.started(), [0; 0]);
    desk.queue("a", |queue| queue.paused = true);
    desk.step(Input::Starts(true));
    assert_eq!(desk.started(), [2]);
    desk.queue("a", |_| ());
    assert_eq!(desk.started(), [1]);
}

#[test]
fn a_queue_starts_no_more_in_any_span_than_its_rate_and_wakes_by_itself() {
    let mut desk = Desk::new(50, 1);
    desk.queue("a", |queue| queue.rate = "2/10s".parse().ok());
    desk.submit((1..=6).map(entry));
    assert_eq!(desk.started(), [1, 2]);
    let told = desk.scheduler.explain(desk.now, super::id(3)).unwrap();
    assert!(told.to_string().contains("the next may start in 10s"), "{told}");
    assert_eq!(
        desk.scheduler.next_deadline().unwrap().boot,
        desk.now.boot + Duration::from_secs(10)
    );
    desk.now.wall = crate::job::WallTime(1 << 60);
    desk.pass(Duration::from_millis(9_999));
    assert_eq!(desk.started(), [0; 0], "a step of the wall clock changes nothing");
    desk.pass(Duration::from_millis(1));
    assert_eq!(desk.started(), [3, 4]);
    desk.queue("a", |_| ());
    assert_eq!(desk.started(), [5, 6]);
}
