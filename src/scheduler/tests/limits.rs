//! Limits by name: keys, arrays, and lines that wait for them.

use std::sync::Arc;

use super::bench_desk::{Desk, entry};
use super::id;
use crate::job::{ArrayPlace, Class, Limits, State};
use crate::scheduler::{Entry, Gate, Holder, Input, Options, Origin};

fn gates(desk: &Desk, number: u64) -> Vec<Gate> {
    desk.scheduler.explain(desk.now, id(number)).unwrap().gates
}

fn element(number: u64, at_once: u32) -> Entry {
    let limits = Limits { array: Some(at_once), ..Limits::default() };
    let place = Some(ArrayPlace { array: id(1), index: number });
    Entry { place, limits: Some(Arc::new(limits)), ..entry(number) }
}

#[test]
fn of_jobs_with_one_key_no_more_run_than_it_says() {
    let mut desk = Desk::new(8, 8);
    desk.submit((1..=3).map(|number| entry(number).with_key("db", 2)));
    desk.submit([
        entry(4).of(Class::Io).with_key("db", 2),
        entry(5).in_queue("b").with_key("db", 2),
    ]);
    assert_eq!(desk.started(), [1, 2]);
    desk.succeed(1);
    let first = desk.started();
    assert_eq!(first.len(), 1, "one place, one start: {first:?}");
    desk.succeed(2);
    desk.succeed(first[0]);
    assert_eq!(desk.started().len(), 2);
}

#[test]
fn a_job_that_a_key_keeps_waiting_holds_up_nobody_behind_it() {
    let mut desk = Desk::new(4, 1);
    desk.submit([entry(1).with_key("db", 1)]);
    desk.submit((2..=9).map(|number| entry(number).with_key("db", 1).priority(9)));
    desk.submit([entry(10), entry(11).with_key("other", 1)]);
    assert_eq!(desk.started(), [1, 10, 11]);
    let holders = vec![Holder { job: id(1), permits: 1 }];
    let (key, origin) = ("db".to_owned(), Origin::Job(id(9)));
    let gate = Gate::KeyLimit { key, running: 1, max: 1, origin, holders };
    let told = "1 job with the key db runs, of at most 1 (said by job 9): job 1";
    assert_eq!(gate.to_string(), told);
    assert_eq!(gates(&desk, 2), [gate]);
}

#[test]
fn a_job_waits_until_each_of_its_keys_has_room() {
    let mut desk = Desk::new(4, 1);
    desk.submit([entry(1).with_key("a", 1), entry(2).with_key("b", 1)]);
    desk.submit([entry(3).with_key("a", 1).with_key("b", 1), entry(4).with_key("b", 1)]);
    assert_eq!(desk.started(), [1, 2]);
    desk.succeed(1);
    assert_eq!(desk.started(), [0; 0]);
    desk.succeed(2);
    assert_eq!(desk.started(), [3]);
    desk.succeed(3);
    assert_eq!(desk.started(), [4]);
}

#[test]
fn one_users_key_is_not_anothers() {
    let mut desk = Desk::new(4, 1);
    let stranger = Entry { owner: 2000, ..entry(2).with_key("db", 1) };
    desk.submit([entry(1).with_key("db", 1), stranger]);
    assert_eq!(desk.started(), [1, 2]);
}

#[test]
fn the_newest_submission_of_a_key_decides_for_all() {
    let mut desk = Desk::new(8, 1);
    desk.submit((1..=6).map(|number| entry(number).with_key("db", 1)));
    assert_eq!(desk.started(), [1]);
    desk.submit([entry(7).with_key("db", 4)]);
    assert_eq!(desk.started(), [2, 3, 4]);
    desk.submit([entry(8).with_key("db", 2)]);
    for number in [1, 2] {
        desk.succeed(number);
        assert_eq!(desk.started(), [0; 0], "it has shrunk");
    }
    desk.succeed(3);
    assert_eq!(desk.started(), [5]);
}

#[test]
fn a_limit_is_forgotten_with_the_last_job_under_it() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(9).with_key("db", 1)]);
    desk.succeed(9);
    desk.started();
    assert_eq!(desk.scheduler.limits.iter().count(), 0);
    desk.submit([entry(2).with_key("db", 3)]);
    assert_eq!(desk.started(), [2], "an old id may name a limit anew");
}

#[test]
fn of_an_array_so_many_elements_run_at_once() {
    let mut desk = Desk::new(8, 1);
    desk.submit((1..=5).map(|number| element(number, 2)));
    assert_eq!(desk.started(), [1, 2]);
    let holders = [1, 2].map(|job| Holder { job: id(job), permits: 1 }).to_vec();
    assert_eq!(gates(&desk, 3), [Gate::ArrayLimit { array: id(1), running: 2, max: 2, holders }]);
    desk.succeed(2);
    assert_eq!(desk.started(), [3]);
}

#[test]
fn cancelling_who_was_woken_wakes_the_next() {
    let mut desk = Desk::new(2, 1);
    desk.submit([entry(1).with_key("db", 1), entry(2)]);
    desk.submit([entry(3).with_key("db", 1).with_key("x", 1), entry(4).with_key("db", 1)]);
    desk.submit([entry(5)]);
    assert_eq!(desk.started(), [1, 2]);
    desk.submit([entry(6).priority(99)]);
    desk.succeed(1);
    assert_eq!(desk.started(), [6], "the lane is full again, job 3 is next");
    desk.step(Input::Cancel { job: id(3), reason: None });
    desk.commit();
    assert_eq!(desk.state(3), None);
    desk.succeed(6);
    assert_eq!(desk.started(), [4]);
}

#[test]
fn a_job_of_two_keys_is_not_starved_by_jobs_of_one_each() {
    let options = Options { backfill: 6, ..Options::default() };
    let mut desk = Desk::with(options, 8, 1);
    desk.submit([entry(1).with_key("a", 1), entry(2).with_key("b", 1)]);
    desk.submit([entry(3).with_key("a", 1).with_key("b", 1).in_queue("both")]);
    let mut running = desk.started();
    for next in 4..64 {
        let key = if next % 2 == 0 { "a" } else { "b" };
        desk.submit([entry(next).with_key(key, 1).in_queue("one").priority(5)]);
        let job = running.remove(0);
        desk.succeed(job);
        running.extend(desk.started());
        if running.contains(&3) {
            return;
        }
    }
    panic!("{:?}", gates(&desk, 3));
}

#[test]
fn ten_thousand_keys_of_which_each_runs_one_job_cost_no_step_a_look_at_all() {
    let mut desk = Desk::new(3, 1);
    let jobs = (1..=20_000).map(|number| {
        let host = format!("host:{}", number % 10_000);
        entry(number).with_key(&host, 1)
    });
    desk.scheduler.step(desk.now, Input::Submitted(jobs.collect()), &mut desk.actions);
    desk.scheduler.check_invariants().unwrap();
    let mut running = desk.started();
    assert_eq!(running, [1, 2, 3]);
    for expected in 4..=30 {
        let job = running.remove(0);
        let (token, now) = (desk.token(job), desk.now);
        let (outcome, usage) = (crate::job::Outcome::Succeeded, crate::job::Usage::default());
        let (job, retryable) = (id(job), true);
        let input = Input::Ended { job, token, outcome, usage, retry_after: None, retryable };
        desk.scheduler.step(now, input, &mut desk.actions);
        running.extend(desk.started());
        assert_eq!(running.last(), Some(&expected));
    }
    assert_eq!(desk.scheduler.job(id(10_001)).unwrap().state, State::Queued);
}

#[test]
fn the_next_job_has_a_go_when_the_one_that_was_woken_is_cancelled() {
    let mut desk = Desk::new(3, 1);
    desk.submit([entry(1).with_key("host", 1), entry(2)]);
    desk.submit([entry(3).with_key("host", 1), entry(4).with_key("host", 1).with_key("disk", 1)]);
    desk.submit([entry(5)]);
    desk.submit([entry(6).priority(9)]);
    desk.succeed(1);
    desk.commit();
    assert_eq!(desk.started(), [1, 2, 5, 6]);
    desk.step(Input::Cancel { job: id(3), reason: None });
    desk.commit();
    desk.succeed(2);
    desk.commit();
    assert_eq!(desk.started(), [4]);
}
