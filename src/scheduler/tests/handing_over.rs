//! Attempts that go on when the daemon's program is replaced, and those that are taken back for it.

use std::sync::Arc;
use std::time::Duration;

use super::bench_desk::{Desk, entry, exit};
use super::id;
use crate::job::{AttemptToken, Change, Class, Limits, Outcome, State, StoreId, Usage};
use crate::scheduler::{Action, Decline, Entry, HandedOver, Input, Resource};

/// An attempt of the life before.
fn token(counter: u64) -> AttemptToken {
    AttemptToken { store: StoreId::new(7), life: 2, counter }
}

fn handed(entry: Entry) -> HandedOver {
    let token = token(entry.id.get());
    let entry = Entry { state: State::Running, attempts: 1, ..entry };
    HandedOver { entry, token, cancel_asked: false, hold_asked: false, units: Vec::new() }
}

fn interrupt(desk: &mut Desk, job: u64, again: bool) {
    let (job, token) = (id(job), desk.token(job));
    desk.step(Input::Interrupted { job, token, usage: Usage::default(), again });
}

#[test]
fn what_goes_on_holds_its_room_and_its_limits_until_it_ends() {
    let mut desk = Desk::new(2, 2);
    let keyed = |number| entry(number).of(Class::Io).with_key("k", 1);
    let both = [handed(entry(1).needs(2)), handed(keyed(2))];
    desk.step(Input::HandedOver(both.into()));
    desk.submit([entry(3), keyed(4)]);
    assert!(desk.started().is_empty());
    assert_eq!(desk.token(1), token(1));
    desk.succeed(1);
    assert_eq!(desk.started(), [3]);
    desk.succeed(2);
    assert_eq!(desk.started(), [4]);
    let start = desk.token(4);
    assert_eq!((start.life, start.counter), (3, 2), "what starts is of this life");
}

#[test]
fn an_end_counts_only_under_the_token_that_was_handed_over() {
    let mut desk = Desk::new(1, 1);
    desk.step(Input::HandedOver(vec![handed(entry(1))]));
    for life in [1, 3] {
        let (job, token) = (id(1), AttemptToken { life, ..token(1) });
        let (outcome, usage) = (Outcome::Succeeded, Usage::default());
        desk.step(Input::Ended { job, token, outcome, usage, retry_after: None, retryable: true });
        assert!(desk.actions.is_empty(), "life {life}");
    }
    desk.succeed(1);
    assert_eq!(desk.settled(), [(1, State::Succeeded)]);
}

#[test]
fn what_holds_more_than_there_is_goes_on_and_keeps_others_waiting() {
    let mut desk = Desk::new(2, 1);
    desk.step(Input::HandedOver(vec![handed(entry(1).needs(3))]));
    desk.submit([entry(2)]);
    assert!(desk.started().is_empty());
    desk.succeed(1);
    assert_eq!(desk.started(), [2]);
}

#[test]
fn units_stay_with_whom_they_were_given_to() {
    let mut desk = Desk::new(4, 4);
    let unit = |name: &str| Arc::<str>::from(name);
    let gpu = Resource { name: "gpu".to_owned(), capacity: 2, units: vec![unit("0"), unit("1")] };
    desk.step(Input::Resources(vec![gpu]));
    let needs = |number| {
        let resources = [("gpu".to_owned(), 1)].into();
        Entry { limits: Some(Arc::new(Limits { resources, ..Limits::default() })), ..entry(number) }
    };
    let units = vec![(unit("gpu"), vec![unit("0")])];
    desk.step(Input::HandedOver(vec![HandedOver { units, ..handed(needs(1)) }]));
    desk.submit([needs(2), needs(3)]);
    assert_eq!(desk.started(), [2]);
    assert_eq!(desk.scheduler.units(id(2)), [(unit("gpu"), vec![unit("1")])]);
    desk.succeed(1);
    assert_eq!(desk.started(), [3]);
    assert_eq!(desk.scheduler.units(id(3)), [(unit("gpu"), vec![unit("0")])]);
}

#[test]
fn one_that_was_told_to_end_is_cancelled_and_not_told_again() {
    let mut desk = Desk::new(1, 1);
    let doomed = HandedOver { cancel_asked: true, ..handed(entry(1).retries(3, Duration::ZERO)) };
    desk.step(Input::HandedOver(vec![doomed]));
    desk.step(Input::Cancel { job: id(1), reason: None });
    assert_eq!(desk.aborts(), 0);
    desk.end(1, exit(1));
    desk.commit();
    assert_eq!(desk.settled(), [(1, State::Cancelled)]);
}

#[test]
fn one_that_is_to_be_held_is_held_with_its_reason_instead_of_retried() {
    let mut desk = Desk::new(1, 1);
    let entry = Entry { reason: Some("later".into()), ..entry(1).retries(3, Duration::ZERO) };
    desk.step(Input::HandedOver(vec![HandedOver { hold_asked: true, ..handed(entry) }]));
    desk.end(1, exit(1));
    desk.commit();
    assert_eq!(desk.state(1), Some(State::Held));
    let told = desk.scheduler.explain(desk.now, id(1)).unwrap().to_string();
    assert!(told.contains("later"), "{told}");
}

#[test]
fn who_waits_for_one_that_goes_on_hears_of_its_end() {
    let mut desk = Desk::new(2, 1);
    desk.step(Input::HandedOver(vec![handed(entry(1))]));
    desk.submit([entry(2).after(crate::job::Condition::Ok, 1)]);
    assert!(desk.started().is_empty());
    desk.succeed(1);
    desk.commit();
    assert_eq!(desk.started(), [2]);
}

#[test]
fn what_does_not_stand_as_running_or_is_here_already_is_declined() {
    let mut desk = Desk::new(2, 1);
    let queued = HandedOver { entry: entry(1), ..handed(entry(1)) };
    desk.step(Input::HandedOver(vec![queued, handed(entry(2)), handed(entry(2))]));
    let (queued, running) = (Decline::State(State::Queued), Decline::State(State::Running));
    assert_eq!(desk.declined(), [(1, queued), (2, running)]);
}

#[test]
fn an_attempt_that_is_taken_back_uses_up_no_try() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1).retries(1, Duration::ZERO)]);
    desk.started();
    desk.step(Input::Starts(false));
    interrupt(&mut desk, 1, true);
    desk.commit();
    assert_eq!((desk.state(1), desk.started()), (Some(State::Queued), vec![]));
    desk.step(Input::Starts(true));
    assert_eq!(desk.take_starts()[0].attempt, 2);
    desk.end(1, exit(1));
    desk.commit();
    assert_eq!(desk.started(), [1], "its one retry is still there");
    desk.end(1, exit(1));
    desk.commit();
    assert!(desk.settled().contains(&(1, State::Failed)));
}

#[test]
fn one_that_must_not_run_twice_fails_when_it_is_taken_back_and_a_cancelled_one_is_cancelled() {
    let mut desk = Desk::new(2, 1);
    desk.submit([entry(1), entry(2)]);
    desk.started();
    interrupt(&mut desk, 1, false);
    let change = desk.take_write();
    assert!(
        matches!(&change, Change::Ended { outcome: Outcome::Interrupted, next: State::Failed, .. }),
        "{change:?}"
    );
    desk.step(Input::Cancel { job: id(2), reason: None });
    desk.commit();
    interrupt(&mut desk, 2, true);
    let written = |action: &Action| {
        matches!(
            action,
            Action::Write(Change::Ended {
                outcome: Outcome::Cancelled,
                next: State::Cancelled,
                ..
            })
        )
    };
    assert!(desk.actions.iter().any(written), "{:?}", desk.actions);
}
