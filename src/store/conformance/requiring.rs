//! What jobs require of others.

use std::sync::Arc;
use std::time::Duration;

use super::{Home, all_pending, at, end, go, id, new_job, now, refuse, start, submit, take, token};
use crate::job::{
    Awaited, Change, Condition, Deadline, Ending, Failure, NewJob, Outcome, Requirement, State,
    Usage,
};
use crate::store::Refusal;

fn requires(number: u64, others: &[(Condition, u64)]) -> NewJob {
    let requirement = |&(on, job): &(Condition, u64)| Requirement { job: id(job), on };
    let requirements: Arc<[Requirement]> = others.iter().map(requirement).collect();
    NewJob { state: State::Waiting, requirements, ..new_job(number) }
}

pub(super) fn requirements_read_back(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let name = token(&recovery, 1);
    let failed = Outcome::Failed(Failure::Exit(3));
    take(&mut *store, &[submit(&[new_job(1)]), start(1, 1, name), end(1, name, failed.clone())]);
    let both = requires(2, &[(Condition::Fail, 1), (Condition::Ok, 3)]);
    take(&mut *store, &[submit(&[both, new_job(3)])]);
    for wrong in [
        requires(4, &[(Condition::Ok, 4)]),
        requires(4, &[(Condition::Ok, 1), (Condition::Any, 1)]),
        NewJob { state: State::Queued, ..requires(4, &[(Condition::Ok, 1)]) },
    ] {
        assert!(matches!(refuse(&mut *store, submit(&[wrong])), Refusal::Invariant(_)));
    }
    let absent = submit(&[requires(4, &[(Condition::Ok, 9)])]);
    assert_eq!(refuse(&mut *store, absent), Refusal::NoSuchJob(id(9)));
    drop(store);
    let (mut store, _) = home.open(now(0, 0), "boot");
    let waiting = all_pending(&mut *store).remove(0);
    let ending = Some(Ending::Final { state: State::Failed, outcome: Some(failed) });
    let first = Awaited { requirement: Requirement { job: id(1), on: Condition::Fail }, ending };
    let second = Requirement { job: id(3), on: Condition::Ok };
    let second = Awaited { requirement: second, ending: None };
    assert_eq!(waiting.requires, [first.clone(), second.clone()]);
    let mut reader = store.reader().unwrap();
    let edges = reader.requirements(&[id(2), id(3), id(2)]).unwrap();
    assert_eq!(edges.iter().map(|edge| &edge.awaited).collect::<Vec<_>>(), [&first, &second]);
    let edges = reader.dependents(&[id(3)]).unwrap();
    assert_eq!((edges[0].job, edges[0].state, edges[0].passed), (id(2), State::Waiting, false));
    assert_eq!(edges.len(), 1);
}

pub(super) fn what_is_passed_stays_passed(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(0, 0), "boot");
    let jobs =
        [new_job(1), requires(2, &[(Condition::Any, 1)]), requires(3, &[(Condition::Any, 1)])];
    take(&mut *store, &[submit(&jobs)]);
    take(&mut *store, &[go(2, State::Waiting, State::Held), go(3, State::Waiting, State::Held)]);
    take(&mut *store, &[go(2, State::Held, State::Queued), go(2, State::Queued, State::Held)]);
    let pending = all_pending(&mut *store);
    assert_eq!((pending[1].requires.len(), pending[2].requires.len()), (0, 1));
    let mut reader = store.reader().unwrap();
    assert!(reader.requirements(&[id(2)]).unwrap()[0].passed);
    take(&mut *store, &[go(3, State::Held, State::Waiting), go(3, State::Waiting, State::Skipped)]);
    assert!(!reader.requirements(&[id(3)]).unwrap()[0].passed);
    assert_eq!(all_pending(&mut *store).len(), 2);
}

pub(super) fn what_is_waited_for_stays(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(0, 0), "boot");
    let jobs = [new_job(1), requires(2, &[(Condition::Fail, 1)])];
    take(&mut *store, &[submit(&jobs), go(1, State::Queued, State::Cancelled)]);
    let remove = Change::Removed { jobs: vec![id(1)] };
    let awaited = Refusal::Awaited { job: id(1), by: id(2) };
    assert_eq!(refuse(&mut *store, remove.clone()), awaited);
    take(&mut *store, &[go(2, State::Waiting, State::Skipped), remove]);
    let edges = store.reader().unwrap().requirements(&[id(2)]).unwrap();
    assert_eq!(edges[0].awaited.ending, Some(Ending::Removed));
    take(&mut *store, &[Change::Removed { jobs: vec![id(2)] }]);
    assert!(store.reader().unwrap().dependents(&[id(1)]).unwrap().is_empty());
}

pub(super) fn held_and_waiting_jobs_keep_their_time(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(100, 0), "boot");
    let due = Some(Deadline::after(now(100, 0), Duration::from_secs(60)));
    let held = NewJob { state: State::Held, not_before: due, ..new_job(1) };
    let waiting = NewJob { not_before: due, ..requires(2, &[(Condition::Ok, 1)]) };
    take(&mut *store, &[submit(&[held, waiting, new_job(3)])]);
    let moved = |job, from, to, not_before| Change::Moved {
        job: id(job),
        from,
        to,
        not_before,
        reason: None,
        at: at(1),
    };
    let queued = moved(1, State::Held, State::Queued, due);
    assert!(matches!(refuse(&mut *store, queued), Refusal::Invariant(_)));
    let name = token(&recovery, 1);
    let end = Change::Ended {
        job: id(3),
        token: name,
        outcome: Outcome::TimedOut,
        usage: Usage::default(),
        at: at(2),
        next: State::Held,
        not_before: due,
    };
    take(&mut *store, &[start(3, 1, name), end]);
    drop(store);
    let (mut store, _) = home.open(now(110, 10), "boot");
    let times = |store: &mut dyn crate::store::Store| {
        all_pending(store).iter().map(|job| job.not_before).collect::<Vec<_>>()
    };
    assert_eq!(times(&mut *store), [due, due, due]);
    take(
        &mut *store,
        &[
            moved(1, State::Held, State::Scheduled, due),
            moved(2, State::Waiting, State::Held, due),
            moved(3, State::Held, State::Queued, None),
        ],
    );
    assert_eq!(times(&mut *store), [due, due, None]);
    let shown = store.reader().unwrap().job(id(2)).unwrap().unwrap().0;
    assert_eq!(shown.not_before, due);
}

pub(super) fn a_hold_of_a_running_job_is_kept(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let name = token(&recovery, 1);
    let ask = |hold| Change::HoldAsked { job: id(1), hold, reason: hold.then(|| "why".to_owned()) };
    take(&mut *store, &[submit(&[new_job(1)])]);
    assert!(matches!(refuse(&mut *store, ask(true)), Refusal::Elsewhere { .. }));
    take(&mut *store, &[start(1, 1, name), ask(true), ask(false), ask(true)]);
    drop(store);
    let (mut store, _) = home.open(now(0, 0), "boot");
    let running = all_pending(&mut *store).remove(0);
    assert_eq!((running.hold_asked, running.reason.as_deref()), (true, Some("why")));
    take(&mut *store, &[end(1, name, Outcome::Succeeded)]);
    assert_eq!(store.reader().unwrap().job(id(1)).unwrap().unwrap().0.reason, None);
}

pub(super) fn a_key_is_unique_while_its_job_is_unfinished(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(0, 0), "boot");
    let keyed = |number| NewJob { unique: Some("k".into()), ..new_job(number) };
    take(&mut *store, &[submit(&[keyed(1)]), submit(&[NewJob { owner: 7, ..keyed(2) }])]);
    assert!(matches!(refuse(&mut *store, submit(&[keyed(3)])), Refusal::Invariant(_)));
    let twice = submit(&[NewJob { owner: 8, ..keyed(3) }, NewJob { owner: 8, ..keyed(4) }]);
    assert!(matches!(refuse(&mut *store, twice), Refusal::Invariant(_)));
    take(&mut *store, &[go(1, State::Queued, State::Cancelled), submit(&[keyed(3)])]);
    let back = go(1, State::Cancelled, State::Queued);
    assert!(matches!(refuse(&mut *store, back.clone()), Refusal::Invariant(_)));
    assert_eq!(all_pending(&mut *store)[1].unique.as_deref(), Some("k"));
    let shown = store.reader().unwrap().job(id(3)).unwrap().unwrap().0;
    assert_eq!(shown.unique.as_deref(), Some("k"));
    take(&mut *store, &[go(3, State::Queued, State::Cancelled), back]);
}
