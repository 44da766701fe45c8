//! What users change after the submission.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Home, all_pending, at, full_context, full_spec, go, id, job, new_job, now, refuse, start,
    submit, take, token,
};
use crate::job::{Came, Change, Condition, Deadline, Edited, Requirement, Spec, State, Turn};
use crate::store::Refusal;

/// An edit that changes nothing, of a queued job that was edited so often.
fn edit(number: u64, edits: u32) -> Edited {
    let new = new_job(number);
    Edited {
        job: id(number),
        edits,
        from: State::Queued,
        to: State::Queued,
        not_before: None,
        requirements: None,
        turn: None,
        spec: new.spec,
        context: new.context,
        at: at(400),
    }
}

fn change(edited: Edited) -> Change {
    Change::Edited(Box::new(edited))
}

pub(super) fn an_edited_job_is_another(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(10, 0), "boot");
    take(&mut *store, &[submit(&[new_job(1), new_job(2), new_job(3)])]);
    let requirement = Requirement { job: id(1), on: Condition::Any };
    let not_before = Some(Deadline::after(now(10, 0), Duration::from_secs(60)));
    let all = Edited {
        to: State::Waiting,
        not_before,
        requirements: Some(Arc::from([requirement])),
        spec: Arc::new(full_spec()),
        context: Arc::new(full_context()),
        ..edit(2, 0)
    };
    take(&mut *store, &[change(all.clone())]);
    assert_eq!(refuse(&mut *store, change(edit(3, 1))), Refusal::EditedMeanwhile(id(3)));
    let again = Edited { from: State::Waiting, to: State::Waiting, ..edit(2, 0) };
    assert_eq!(refuse(&mut *store, change(again.clone())), Refusal::EditedMeanwhile(id(2)));
    assert!(matches!(refuse(&mut *store, change(edit(2, 1))), Refusal::Elsewhere { .. }));
    assert_eq!(refuse(&mut *store, change(edit(9, 0))), Refusal::NoSuchJob(id(9)));
    for wrong in [
        Edited { to: State::Held, ..edit(3, 0) },
        Edited { to: State::Scheduled, ..edit(3, 0) },
        Edited { requirements: Some(Arc::from([requirement])), ..edit(3, 0) },
        Edited { spec: Arc::new(Spec { cpus: 0, ..Spec::default() }), ..edit(3, 0) },
    ] {
        assert!(matches!(refuse(&mut *store, change(wrong)), Refusal::Invariant(_)));
    }
    drop(store);
    let (mut store, _) = home.open(now(10, 0), "boot");
    let told = job(&mut *store.reader().unwrap(), 2);
    assert_eq!((&told.spec, &told.context), (&all.spec, &all.context));
    assert_eq!((told.state, told.not_before, told.edits), (State::Waiting, not_before, 1));
    let waiting = all_pending(&mut *store).remove(1);
    assert_eq!((&*waiting.queue, waiting.priority, waiting.cpus), ("gpu", -7, 3));
    assert_eq!(waiting.requires.len(), 1);
    let none = Edited { to: State::Queued, requirements: Some(Arc::default()), edits: 1, ..again };
    take(&mut *store, &[change(none)]);
    let name = token(&recovery, 1);
    take(&mut *store, &[start(2, 1, name)]);
    let runs = Edited { from: State::Running, to: State::Running, ..edit(2, 2) };
    take(&mut *store, &[change(runs.clone())]);
    let turn = Some(Turn { came: Came::At(at(1)), beside: id(2), offset: 0 });
    let late = Edited { turn, edits: 3, ..runs };
    assert!(matches!(refuse(&mut *store, change(late)), Refusal::Invariant(_)));
    assert_eq!(store.reader().unwrap().specs(&[id(2)]).unwrap()[0].edits, 3);
}

pub(super) fn a_turn_counts_from_another_job_s(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(0, 0), "boot");
    take(&mut *store, &[submit(&[new_job(1), new_job(2), new_job(3), new_job(4)])]);
    let before = |number, other, offset| {
        let turn = Turn { came: Came::With(id(other)), beside: id(1), offset };
        change(Edited { turn: Some(turn), ..edit(number, 0) })
    };
    take(&mut *store, &[before(3, 1, -5), before(4, 3, -6)]);
    assert_eq!(refuse(&mut *store, before(2, 9, -7)), Refusal::NoSuchJob(id(9)));
    drop(store);
    let (mut store, _) = home.open(now(0, 0), "boot");
    let turn = |offset| Some(Turn { came: Came::At(at(1)), beside: id(1), offset });
    let turns: Vec<_> = all_pending(&mut *store).into_iter().map(|pending| pending.turn).collect();
    assert_eq!(turns, [None, None, turn(-5), turn(-6)]);
    // What has ended and is run again stands where its age puts it.
    let again = [go(3, State::Queued, State::Cancelled), go(3, State::Cancelled, State::Queued)];
    take(&mut *store, &again);
    assert_eq!(all_pending(&mut *store)[2].turn, None);
}
