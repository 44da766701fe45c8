//! What is folded of an array, changed as one.

use super::{Desk, entry, id};
use crate::job::{ArrayPlace, Change, Fold, Folded, State};
use crate::scheduler::{Action, Decline, Entry, FoldedEntry, Input};

/// A desk on which job 1 runs, 2 and 3 stand in line, and 4 to 13 are folded behind them.
fn desk() -> Desk {
    let mut desk = Desk::new(1, 1);
    let element = |number: u64| {
        let place = Some(ArrayPlace { array: id(1), index: number });
        Entry { place, ..entry(number) }
    };
    desk.submit((1..=3).map(element));
    let fold = Fold { count: 10, step: 1 };
    desk.step(Input::Folded(Box::new(FoldedEntry { first: element(4), fold, at_once: 3 })));
    assert_eq!(desk.started(), [1]);
    desk.take_writes();
    desk
}

fn go(desk: &mut Desk, to: State) -> Vec<Action> {
    desk.step(Input::MoveFolded { array: id(1), to, reason: None });
    std::mem::take(&mut desk.actions)
}

fn written(actions: &[Action]) -> Change {
    match actions {
        [Action::Write(change)] => change.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_folded_is_cancelled_by_one_write_and_then_gone() {
    let mut desk = desk();
    let change = written(&go(&mut desk, State::Cancelled));
    let folded = Folded { array: id(1), first: id(4), count: 10 };
    assert!(matches!(&change, Change::FoldMoved { folded: told, .. } if *told == folded));
    assert_eq!(desk.scheduler.len(), 13, "it is there until that is synced");
    desk.step(Input::Committed(change));
    assert_eq!((desk.scheduler.len(), desk.scheduler.folded(id(1))), (3, None));
    for job in [1, 2] {
        desk.succeed(job);
    }
    assert!(
        !desk.actions.iter().any(|action| matches!(action, Action::Write(Change::Unfolded { .. }))),
        "nothing of it becomes a job any more"
    );
}

#[test]
fn what_is_folded_and_held_becomes_no_job_until_it_is_released() {
    let mut desk = desk();
    let change = written(&go(&mut desk, State::Held));
    desk.step(Input::Committed(change));
    for job in [1, 2, 3] {
        desk.succeed(job);
    }
    let writes = desk.take_writes();
    assert!(!writes.iter().any(|change| matches!(change, Change::Unfolded { .. })), "{writes:?}");
    desk.actions.clear();
    let change = written(&go(&mut desk, State::Queued));
    desk.step(Input::Committed(change));
    let unfolds =
        |action: &Action| matches!(action, Action::Write(Change::Unfolded { count: 3, .. }));
    assert!(desk.actions.iter().any(unfolds), "{:?}", desk.actions);
}

#[test]
fn one_change_of_what_is_folded_comes_after_the_other() {
    let mut desk = desk();
    let change = written(&go(&mut desk, State::Held));
    let declined = |actions: &[Action], wanted: Decline| match actions {
        [Action::Declined { why, .. }] => assert_eq!(*why, wanted),
        other => panic!("{other:?}"),
    };
    declined(&go(&mut desk, State::Cancelled), Decline::Busy);
    desk.step(Input::Refused(change));
    declined(&go(&mut desk, State::Queued), Decline::State(State::Queued));
    let change = written(&go(&mut desk, State::Cancelled));
    desk.step(Input::Committed(change));
    declined(&go(&mut desk, State::Held), Decline::Unknown);
}
