//! What is said of jobs that ran while the daemon died.

use super::*;
use crate::job::Suspicion;

fn suspect(job: u64, crashes: u32, alone: u32, verdict: Option<&str>) -> Change {
    let suspicion = Suspicion { crashes, alone };
    Change::Suspected { job: id(job), suspicion, verdict: verdict.map(str::to_owned) }
}

fn lost(job: u64, token: AttemptToken, next: State) -> Change {
    let (outcome, usage) = (Outcome::Interrupted, Usage::default());
    Change::Ended { job: id(job), token, outcome, usage, at: at(200), next, not_before: None }
}

fn suspicion(store: &mut dyn Store, number: u64) -> Option<Suspicion> {
    let told = job(&mut *store.reader().unwrap(), number).suspicion;
    let pending = all_pending(store).into_iter().find(|pending| pending.id == id(number));
    if let Some(pending) = pending {
        assert_eq!(pending.suspicion, told);
    }
    told
}

pub(super) fn a_suspicion_lasts_until_an_attempt_ends_otherwise(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let (first, second) = (token(&recovery, 1), token(&recovery, 2));
    take(&mut *store, &[submit(&[new_job(1)]), start(1, 1, first)]);
    assert_eq!(suspicion(&mut *store, 1), None);
    take(&mut *store, &[suspect(1, 1, 0, None), lost(1, first, State::Queued)]);
    let once = Some(Suspicion { crashes: 1, alone: 0 });
    assert_eq!(suspicion(&mut *store, 1), once);
    take(&mut *store, &[go(1, State::Queued, State::Held), go(1, State::Held, State::Queued)]);
    drop(store);
    let (mut store, _) = home.open(now(0, 0), "boot");
    assert_eq!(suspicion(&mut *store, 1), once);
    take(&mut *store, &[start(1, 2, second)]);
    assert_eq!(suspicion(&mut *store, 1), once);
    let Change::Ended { job, token, outcome, usage, at, .. } =
        end(1, second, Outcome::Failed(Failure::Exit(1)))
    else {
        unreachable!("an end")
    };
    let next = State::Queued;
    take(&mut *store, &[Change::Ended { job, token, outcome, usage, at, next, not_before: None }]);
    assert_eq!(suspicion(&mut *store, 1), None);
}

pub(super) fn a_condemned_job_says_why_until_it_is_run_again(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let name = token(&recovery, 1);
    take(&mut *store, &[submit(&[new_job(1)])]);
    assert!(matches!(refuse(&mut *store, suspect(1, 1, 0, None)), Refusal::Elsewhere { .. }));
    assert!(matches!(refuse(&mut *store, suspect(2, 1, 0, None)), Refusal::NoSuchJob(_)));
    let hold = Change::HoldAsked { job: id(1), hold: true, reason: Some("later".to_owned()) };
    take(&mut *store, &[start(1, 1, name), hold]);
    for (crashes, alone) in [(0, 0), (1, 2)] {
        let refusal = refuse(&mut *store, suspect(1, crashes, alone, None));
        assert!(matches!(refusal, Refusal::Invariant(_)), "{refusal}");
    }
    let verdict = suspect(1, 3, 2, Some("it kills"));
    take(&mut *store, &[verdict, lost(1, name, State::Failed)]);
    let told = job(&mut *store.reader().unwrap(), 1);
    assert_eq!((told.state, told.reason.as_deref()), (State::Failed, Some("it kills")));
    assert_eq!(told.outcome, Some(Outcome::Interrupted));
    assert_eq!(told.suspicion, Some(Suspicion { crashes: 3, alone: 2 }));
    take(&mut *store, &[go(1, State::Failed, State::Queued)]);
    assert_eq!(suspicion(&mut *store, 1), None);
}

pub(super) fn a_life_knows_whether_the_boot_is_that_of_the_last(home: &mut dyn Home) {
    for (boot, same) in [("one", true), ("one", true), ("two", false), ("two", true)] {
        let first = boot == "one" && same;
        let (_, recovery) = home.open(now(0, 0), boot);
        assert!(recovery.same_boot == same || first, "{boot}");
    }
}
