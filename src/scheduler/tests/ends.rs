//! How attempts end and what follows: permits, retries, tokens, the way over the disk.

use std::time::Duration;

use super::bench_desk::{Desk, entry, exit};
use super::id;
use crate::job::{
    AttemptToken, Backoff, Change, Deadline, Failure, Outcome, State, StoreId, Usage, jitter_seed,
};
use crate::scheduler::{Demand, Input};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_start_names_the_attempt_and_a_token_that_no_other_had() {
    let mut desk = Desk::new(2, 1);
    desk.submit([entry(1).needs(2)]);
    let start = desk.take_starts()[0];
    assert_eq!(start.token, AttemptToken { store: StoreId::new(7), life: 3, counter: 1 });
    assert_eq!((start.attempt, start.demand), (1, Demand { permits: 2, ..entry(1).demand }));
}

#[test]
fn capacity_comes_back_at_once_but_the_job_settles_after_the_commit() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1), entry(2)]);
    desk.started();
    desk.end(1, Outcome::Succeeded);
    assert_eq!(desk.started(), [2]);
    assert!(desk.scheduler.job(id(1)).unwrap().writing);
    assert_eq!(desk.settled(), []);
    desk.commit();
    assert_eq!(desk.settled(), [(1, State::Succeeded)]);
    assert_eq!(desk.state(1), None);
}

#[test]
fn an_outcome_with_an_old_or_foreign_token_counts_for_nothing() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1).retries(1, Duration::ZERO)]);
    let old = desk.token(1);
    desk.end(1, exit(1));
    let ended = |token| Input::Ended {
        job: id(1),
        token,
        outcome: Outcome::Succeeded,
        usage: Usage::default(),
        retry_after: None,
        retryable: true,
    };
    desk.step(ended(old));
    desk.commit();
    assert_eq!(desk.started(), [1, 1]);
    desk.step(ended(old));
    desk.step(ended(AttemptToken { life: 2, ..desk.token(1) }));
    assert_eq!(desk.take_writes(), []);
    assert_eq!(desk.state(1), Some(State::Running));
    desk.step(ended(desk.token(1)));
    assert_eq!(desk.take_writes().len(), 1);
}

#[test]
fn a_failure_is_retried_after_its_pause_until_no_retry_is_left() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1).retries(2, MINUTE)]);
    for attempt in 1..=2 {
        assert_eq!(desk.take_starts()[0].attempt, attempt);
        desk.end(1, exit(9));
        let change = desk.take_write();
        let due = desk.in_secs(60);
        assert!(
            matches!(change, Change::Ended { next: State::Scheduled, not_before, .. } if not_before == Some(due))
        );
        desk.step(Input::Committed(change));
        assert_eq!(desk.scheduler.next_deadline(), Some(due));
        desk.pass(MINUTE);
        desk.commit();
    }
    assert_eq!(desk.take_starts()[0].attempt, 3);
    desk.end(1, exit(9));
    assert!(matches!(desk.take_write(), Change::Ended { next: State::Failed, .. }));
}

#[test]
fn the_pause_is_the_back_offs_own_for_this_job_and_attempt_and_no_shorter_than_asked() {
    let backoff = Backoff::Exponential { first: MINUTE, most: MINUTE * 10 };
    for (retry_after, least) in [(None, Duration::ZERO), (Some(MINUTE * 60), MINUTE * 60)] {
        let mut desk = Desk::new(1, 1);
        let mut job = entry(5).retries(3, MINUTE);
        (job.retry.backoff, job.attempts) = (backoff, 1);
        desk.submit([job]);
        let (job, token, usage) = (id(5), desk.token(5), Usage::default());
        desk.step(Input::Ended {
            job,
            token,
            outcome: exit(1),
            usage,
            retry_after,
            retryable: true,
        });
        let seed = jitter_seed(StoreId::new(7), job);
        let pause = backoff.pause(2, seed).max(least);
        let expected = Some(Deadline::after(desk.now, pause));
        assert!(
            matches!(desk.take_write(), Change::Ended { not_before, .. } if not_before == expected)
        );
    }
}

#[test]
fn what_would_fail_again_is_not_retried() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1).retries(5, MINUTE)]);
    desk.end(1, Outcome::Failed(Failure::NotFound("no such program".to_owned())));
    assert!(matches!(desk.take_write(), Change::Ended { next: State::Failed, .. }));
}

#[test]
fn an_end_that_is_refused_is_written_again_and_the_job_runs_no_more_meanwhile() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1).retries(1, MINUTE * 2)]);
    desk.started();
    desk.end(1, exit(1));
    let change = desk.take_write();
    desk.step(Input::Refused(change.clone()));
    assert_eq!(desk.take_writes(), []);
    desk.pass(MINUTE);
    assert_eq!(desk.take_write(), change);
    assert_eq!(desk.started(), [0; 0]);
    desk.step(Input::Committed(change));
    assert_eq!(desk.state(1), Some(State::Scheduled));
    desk.pass(MINUTE);
    desk.commit();
    assert_eq!(desk.started(), [1]);
}

#[test]
fn a_scheduled_job_starts_when_due_and_that_is_written() {
    let mut desk = Desk::new(1, 1);
    let mut later = entry(1);
    (later.state, later.not_before) = (State::Scheduled, Some(desk.in_secs(60)));
    desk.submit([later]);
    desk.pass(Duration::from_nanos(59_999_999_999));
    assert_eq!(desk.actions, []);
    desk.pass(Duration::from_nanos(1));
    let change = desk.take_write();
    assert!(matches!(change, Change::Moved { from: State::Scheduled, to: State::Queued, .. }));
    assert_eq!(desk.started(), [0; 0]);
    desk.step(Input::Refused(change));
    assert_eq!(desk.actions, [], "a refusal is not answered by asking again at once");
    desk.pass(MINUTE);
    desk.commit();
    assert_eq!(desk.started(), [1]);
}

#[test]
fn a_crowd_that_is_due_at_once_does_not_pile_up_behind_the_disk() {
    let mut desk = Desk::new(1, 1);
    let due = desk.in_secs(1);
    desk.scheduler.step(
        desk.now,
        Input::Submitted(
            (1..=20_001)
                .map(|number| {
                    let mut entry = entry(number);
                    (entry.state, entry.not_before) = (State::Scheduled, Some(due));
                    entry
                })
                .collect(),
        ),
        &mut desk.actions,
    );
    desk.pass(MINUTE);
    let writes = desk.take_writes();
    assert_eq!(writes.len(), 10_000);
    assert_eq!(desk.scheduler.next_deadline(), None);
    for change in writes {
        desk.scheduler.step(desk.now, Input::Committed(change), &mut desk.actions);
    }
    assert_eq!(desk.take_writes().len(), 10_000);
}

#[test]
fn a_job_that_is_here_already_or_finished_is_not_taken_in() {
    let mut desk = Desk::new(1, 1);
    let mut done = entry(2);
    done.state = State::Failed;
    desk.submit([entry(1), entry(1), done]);
    assert_eq!(desk.scheduler.len(), 1);
    let declined: Vec<_> = desk.declined().into_iter().map(|(number, _)| number).collect();
    assert_eq!(declined, [1, 2]);
}
