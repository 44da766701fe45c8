//! Jobs that wait for others.

use std::time::Duration;

use super::bench_desk::{Desk, entry, exit};
use super::id;
use crate::job::{Change, Condition, Ending, Outcome, State};
use crate::scheduler::{Gate, Input};

#[test]
fn a_job_starts_only_after_the_outcome_that_it_requires_is_synced() {
    let mut desk = Desk::new(2, 1);
    desk.submit([entry(1), entry(2).after(Condition::Ok, 1)]);
    assert_eq!(desk.started(), [1]);
    desk.end(1, Outcome::Succeeded);
    let end = desk.take_write();
    assert_eq!(desk.actions, []);
    desk.step(Input::Committed(end));
    let go = desk.take_write();
    assert!(matches!(go, Change::Moved { from: State::Waiting, to: State::Queued, .. }));
    assert_eq!(desk.started(), [0; 0], "the move is not synced yet");
    desk.step(Input::Committed(go));
    assert_eq!(desk.started(), [2]);
}

#[test]
fn each_end_decides_what_requires_it() {
    for (outcome, going) in
        [(Outcome::Succeeded, [2, 3]), (exit(1), [3, 4]), (Outcome::TimedOut, [3, 4])]
    {
        let mut desk = Desk::new(9, 1);
        let conditions = [Condition::Ok, Condition::Any, Condition::Fail];
        let waiting =
            conditions.into_iter().zip(2..).map(|(on, number)| entry(number).after(on, 1));
        desk.submit([entry(1)].into_iter().chain(waiting));
        desk.started();
        desk.end(1, outcome);
        desk.commit();
        desk.commit();
        assert_eq!(desk.started(), going);
        let skipped = desk.settled().into_iter().filter(|(_, state)| *state == State::Skipped);
        assert_eq!(skipped.count(), 1);
    }
}

#[test]
fn a_skip_runs_through_the_whole_chain_and_names_its_reason() {
    let mut desk = Desk::new(1, 1);
    let chain = (2..=4).map(|number| entry(number).after(Condition::Ok, number - 1));
    desk.submit([entry(1)].into_iter().chain(chain));
    desk.started();
    desk.end(1, exit(3));
    desk.commit();
    for (number, why) in [
        (2, "job 1 had to succeed, and it failed (exit code 3)"),
        (3, "job 2 had to succeed, and it was skipped"),
        (4, "job 3 had to succeed, and it was skipped"),
    ] {
        let change = desk.take_write();
        assert!(
            matches!(&change, Change::Moved { job, to: State::Skipped, reason: Some(reason), .. }
                if *job == id(number) && reason == why),
            "{change:?}"
        );
        desk.step(Input::Committed(change));
    }
    assert!(desk.scheduler.is_empty());
}

#[test]
fn what_had_ended_before_decides_at_once() {
    let mut desk = Desk::new(3, 1);
    let ended = |number, on, state| {
        let mut job = entry(number).after(on, 99);
        job.requires[0].ending = Some(Ending::Final { state, outcome: None });
        job
    };
    desk.submit([
        ended(1, Condition::Ok, State::Succeeded),
        ended(2, Condition::Ok, State::Skipped),
        ended(3, Condition::Any, State::Skipped),
    ]);
    desk.commit();
    assert_eq!(desk.started(), [1, 3]);
    assert!(desk.settled().contains(&(2, State::Skipped)));
}

#[test]
fn a_held_job_waits_on_and_is_looked_at_again_when_it_is_released() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1), entry(2).after(Condition::Ok, 1), entry(3).after(Condition::Fail, 1)]);
    desk.started();
    for number in [2, 3] {
        desk.step(Input::Hold { job: id(number), reason: None });
    }
    desk.commit();
    desk.succeed(1);
    assert_eq!(desk.take_writes(), [], "a held job stays where it is");
    let told = desk.scheduler.explain(desk.now, id(3)).unwrap();
    assert!(told.gates.iter().any(|gate| matches!(gate, Gate::Lost { .. })), "{told}");
    for number in [2, 3] {
        desk.step(Input::Release { job: id(number) });
        desk.commit();
        desk.commit();
    }
    assert_eq!(desk.started(), [2]);
    assert!(desk.settled().contains(&(3, State::Skipped)));
}

#[test]
fn a_job_that_is_run_again_is_waited_for_again() {
    let mut desk = Desk::new(1, 1);
    let waits = entry(3).after(Condition::Ok, 1).after(Condition::Ok, 2);
    desk.submit([entry(1), entry(2), waits]);
    desk.succeed(1);
    desk.submit([entry(1)]);
    desk.succeed(2);
    assert_eq!(desk.state(3), Some(State::Waiting), "job 1 runs again");
    desk.succeed(1);
    desk.commit();
    assert_eq!(desk.started(), [1, 2, 1, 3]);
}

#[test]
fn a_move_that_the_store_refuses_is_asked_for_again_later() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1), entry(2).after(Condition::Ok, 1)]);
    desk.started();
    desk.succeed(1);
    let go = desk.take_write();
    desk.step(Input::Refused(go));
    assert_eq!(desk.take_writes(), []);
    let next = desk.scheduler.next_deadline().unwrap();
    desk.pass(next.boot.saturating_sub(desk.now.boot));
    desk.commit();
    assert_eq!(desk.started(), [2]);
}

#[test]
fn a_crowd_that_waits_for_one_job_does_not_pile_up_behind_the_disk() {
    let mut desk = Desk::new(1, 1);
    let crowd = (2..=20_001).map(|number| entry(number).after(Condition::Any, 1));
    let all = [entry(1)].into_iter().chain(crowd).collect();
    desk.scheduler.step(desk.now, Input::Submitted(all), &mut desk.actions);
    desk.started();
    desk.end(1, Outcome::Succeeded);
    desk.commit();
    for _ in 0..2 {
        let writes = desk.take_writes();
        assert_eq!(writes.len(), 10_000);
        for change in writes {
            desk.scheduler.step(desk.now, Input::Committed(change), &mut desk.actions);
        }
    }
    desk.pass(Duration::from_secs(1));
    assert_eq!(desk.take_writes(), []);
}

#[test]
fn explain_names_what_is_required_and_where_that_stands() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1), entry(2).after(Condition::Fail, 1)]);
    let told = desk.scheduler.explain(desk.now, id(2)).unwrap();
    assert!(matches!(told.gates[0], Gate::Requires { state: Some(State::Running), .. }));
    assert_eq!(told.gates[0].name(), "dependency");
    assert_eq!(told.gates[0].to_string(), "job 1 has to fail; it is running");
    assert_eq!(desk.scheduler.waits_for(id(1)), [id(2)]);
}
