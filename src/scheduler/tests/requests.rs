//! What users ask of a job: cancel, hold, release.

use std::time::Duration;

use super::bench_desk::{Desk, entry, exit};
use super::id;
use crate::job::{Change, Outcome, State};
use crate::scheduler::{Action, Decline, Input};

fn cancel(number: u64) -> Input {
    Input::Cancel { job: id(number), reason: None }
}

fn hold(number: u64) -> Input {
    Input::Hold { job: id(number), reason: Some("later".to_owned()) }
}

fn release(number: u64) -> Input {
    Input::Release { job: id(number) }
}

/// A desk whose one core permit is taken by job 9.
fn busy() -> Desk {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(9)]);
    desk.started();
    desk
}

#[test]
fn a_cancelled_job_leaves_its_line_before_the_disk_answers() {
    let mut desk = busy();
    desk.submit([entry(1), entry(2)]);
    desk.step(cancel(1));
    let change = desk.take_write();
    desk.succeed(9);
    assert_eq!(desk.started(), [2]);
    desk.settled();
    desk.step(Input::Committed(change));
    assert_eq!(desk.settled(), [(1, State::Cancelled)]);
    assert_eq!(desk.state(1), None);
}

#[test]
fn a_refused_cancellation_puts_the_job_back_in_its_place() {
    let mut desk = busy();
    desk.submit([entry(1), entry(2)]);
    desk.step(cancel(1));
    let change = desk.take_write();
    desk.step(Input::Refused(change));
    desk.succeed(9);
    assert_eq!(desk.started(), [1]);
}

#[test]
fn a_running_job_is_aborted_once_the_wish_is_on_the_disk() {
    let mut desk = busy();
    desk.step(cancel(9));
    assert_eq!(desk.aborts(), 0);
    let change = desk.take_write();
    assert_eq!(change, Change::CancelAsked { job: id(9), reason: None });
    desk.step(cancel(9));
    assert_eq!(desk.declined(), [(9, Decline::Busy)]);
    desk.step(Input::Committed(change));
    assert_eq!(desk.actions, [Action::Abort { job: id(9), token: desk.token(9) }]);
    desk.step(cancel(9));
    desk.commit();
    assert_eq!(desk.aborts(), 1, "asking again is answered but aborts nothing twice");
    desk.end(9, Outcome::Cancelled);
    desk.commit();
    assert_eq!(desk.settled(), [(9, State::Cancelled)]);
}

#[test]
fn a_disk_that_may_be_full_delays_no_cancellation() {
    let mut desk = busy();
    desk.step(cancel(9));
    desk.step(Input::Starts(false));
    assert_eq!(desk.aborts(), 1);
    desk.commit();
    assert_eq!(desk.aborts(), 1);
    let mut desk = busy();
    desk.step(Input::Starts(false));
    desk.step(cancel(9));
    assert_eq!(desk.aborts(), 1);
}

#[test]
fn a_job_asked_to_be_cancelled_is_not_retried_but_a_success_that_came_first_counts() {
    for (outcome, end) in [
        (exit(1), State::Cancelled),
        (Outcome::TimedOut, State::Cancelled),
        (Outcome::Succeeded, State::Succeeded),
    ] {
        let mut desk = Desk::new(1, 1);
        desk.submit([entry(1).retries(9, Duration::ZERO)]);
        desk.step(cancel(1));
        desk.end(1, outcome);
        desk.commit();
        assert_eq!(desk.settled(), [(1, end)]);
        assert_eq!(desk.aborts(), 0, "there is nothing left to abort");
    }
}

#[test]
fn a_refused_cancel_wish_lets_the_attempt_go_on() {
    let mut desk = busy();
    desk.step(cancel(9));
    let change = desk.take_write();
    desk.step(Input::Refused(change));
    assert!(!desk.scheduler.job(id(9)).unwrap().cancel_asked);
    desk.step(cancel(9));
    desk.commit();
    assert_eq!(desk.aborts(), 1);
}

#[test]
fn a_held_job_waits_until_it_is_released() {
    let mut desk = busy();
    desk.submit([entry(1)]);
    desk.step(hold(1));
    desk.commit();
    desk.succeed(9);
    assert_eq!(desk.started(), [0; 0]);
    desk.step(hold(1));
    assert_eq!(desk.declined(), [(1, Decline::State(State::Held))]);
    desk.step(release(1));
    desk.commit();
    assert_eq!(desk.started(), [1]);
}

#[test]
fn a_running_job_is_held_only_instead_of_its_retry() {
    for (outcome, expected) in [(exit(1), Some(State::Held)), (Outcome::Succeeded, None)] {
        let mut desk = Desk::new(1, 1);
        desk.submit([entry(1).retries(1, Duration::from_secs(60))]);
        desk.started();
        desk.step(hold(1));
        let asked = desk.take_write();
        assert!(matches!(asked, Change::HoldAsked { hold: true, .. }), "{asked:?}");
        desk.step(Input::Committed(asked));
        desk.end(1, outcome);
        desk.commit();
        assert_eq!(desk.state(1), expected);
        if expected.is_some() {
            desk.step(release(1));
            desk.commit();
            assert_eq!(desk.state(1), Some(State::Scheduled), "the pause is still to be kept");
        }
    }
}

#[test]
fn a_hold_that_the_store_refuses_is_none() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1).retries(1, Duration::ZERO)]);
    desk.started();
    desk.step(hold(1));
    let asked = desk.take_write();
    desk.step(Input::Refused(asked));
    desk.end(1, exit(1));
    desk.commit();
    assert_eq!(desk.started(), [1]);
}

#[test]
fn a_noted_hold_can_be_taken_back() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1).retries(1, Duration::ZERO)]);
    desk.step(release(1));
    assert_eq!(desk.declined(), [(1, Decline::State(State::Running))]);
    desk.step(hold(1));
    desk.step(release(1));
    desk.end(1, exit(1));
    desk.commit();
    assert_eq!(desk.started(), [1, 1]);
}

#[test]
fn a_hold_keeps_the_moment_that_the_job_waits_for() {
    let mut desk = Desk::new(1, 1);
    let mut later = entry(1);
    (later.state, later.not_before) = (State::Scheduled, Some(desk.in_secs(60)));
    desk.submit([later]);
    desk.step(hold(1));
    desk.commit();
    desk.step(release(1));
    desk.commit();
    assert_eq!(desk.state(1), Some(State::Scheduled));
    desk.step(hold(1));
    desk.commit();
    desk.pass(Duration::from_secs(61));
    assert_eq!(desk.take_writes(), []);
    desk.step(release(1));
    desk.commit();
    assert_eq!(desk.started(), [1]);
}

#[test]
fn a_request_that_can_not_be_met_is_declined() {
    let mut desk = busy();
    desk.submit([entry(1)]);
    desk.step(cancel(77));
    desk.step(release(1));
    desk.step(hold(1));
    desk.step(cancel(1));
    let expected = [(77, Decline::Unknown), (1, Decline::State(State::Queued)), (1, Decline::Busy)];
    assert_eq!(desk.declined(), expected);
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut desk = busy();
    desk.submit([entry(1)]);
    desk.step(cancel(1));
    let change = desk.take_write();
    desk.step(Input::Refused(change.clone()));
    desk.step(Input::Committed(change));
    assert_eq!(desk.state(1), Some(State::Queued));
}
