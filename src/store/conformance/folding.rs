//! Long arrays: elements that are written down as one, and arrays told as one job.

use super::{
    Home, NEWEST, all_pending, end, go, id, named, new_job, now, refuse, start, submit, take, token,
};
use crate::job::{ArrayPlace, Change, Fold, Folded, JobId, NewJob, Outcome, State};
use crate::store::{ArrayTally, Filter, FoldedElements, Page, Reader, Refusal};

/// The first elements of array 2, whose indexes are 10, 15, 20 and so on.
fn element(number: u64) -> NewJob {
    let place = Some(ArrayPlace { array: id(2), index: 10 + (number - 2) * 5 });
    NewJob { submission: id(2), place, ..named(number, "render", "gpu") }
}

fn folded(count: u64) -> Change {
    let first = element(2);
    let second = NewJob { spec: first.spec.clone(), ..element(3) };
    let fold = Some(Fold { count, step: 5 });
    Change::Submitted { jobs: vec![first, second], fold }
}

const fn unfold(array: JobId, count: u64) -> Change {
    Change::Unfolded { array, count }
}

fn ids(reader: &mut dyn Reader, filter: &Filter, page: Page) -> Vec<u64> {
    reader.page(filter, page).unwrap().iter().map(|job| job.id.get()).collect()
}

pub(super) fn elements_are_written_down_as_one(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(0, 0), "boot");
    take(&mut *store, &[submit(&[new_job(1)]), folded(6), submit(&[new_job(10)])]);
    let mut reader = store.reader().unwrap();
    assert_eq!(ids(&mut *reader, &Filter::default(), NEWEST), [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let some =
        Filter { ids: vec![(id(3), id(5))], elements: vec![(id(2), 40, 49)], ..Filter::default() };
    let page = Page { newest_first: false, after: Some(id(3)), limit: 3, collapse: false };
    assert_eq!(ids(&mut *reader, &some, page), [4, 5, 8]);
    let queue = Filter { queues: vec!["default".to_owned()], ..Filter::default() };
    assert_eq!(ids(&mut *reader, &queue, NEWEST), [10, 1]);
    let (job, attempts) = reader.job(id(9)).unwrap().unwrap();
    assert_eq!((job.place.map(|place| place.index), job.state), (Some(45), State::Queued));
    assert_eq!((job.spec.name.as_deref(), attempts.len()), (Some("render"), 0));
    assert_eq!(reader.counts().unwrap()[1], ("gpu".to_owned(), State::Queued, 8));
    drop((reader, store));

    let (mut store, recovery) = home.open(now(0, 0), "boot");
    assert_eq!(recovery.next_id, id(11));
    let pending = all_pending(&mut *store);
    assert_eq!(pending.len(), 5, "four jobs and what is folded");
    assert_eq!((pending[4].id, pending[4].fold), (id(4), Some(Fold { count: 6, step: 5 })));
    assert!(pending[..4].iter().all(|pending| pending.fold.is_none()));
    take(&mut *store, &[unfold(id(2), 2), start(4, 1, token(&recovery, 1))]);
    assert!(matches!(refuse(&mut *store, start(6, 1, token(&recovery, 2))), Refusal::NoSuchJob(_)));
    assert_eq!(all_pending(&mut *store)[6].fold, Some(Fold { count: 4, step: 5 }));
    take(&mut *store, &[unfold(id(2), 100), go(9, State::Queued, State::Held)]);
    assert_eq!(all_pending(&mut *store).len(), 10);
    for refused in [unfold(id(2), 1), unfold(id(1), 1), folded(1)] {
        assert!(matches!(refuse(&mut *store, refused), Refusal::Invariant(_)));
    }
    let waits = NewJob { state: State::Waiting, ..element(12) };
    for (job, count, step) in
        [(waits, 1, 1), (element(12), 0, 1), (element(12), 1, 0), (new_job(12), 1, 1)]
    {
        let fold = Some(Fold { count, step });
        let refusal = refuse(&mut *store, Change::Submitted { jobs: vec![job], fold });
        assert!(matches!(refusal, Refusal::Invariant(_)));
    }
}

pub(super) fn an_array_can_be_told_as_one_job(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    take(&mut *store, &[submit(&[new_job(1)]), folded(6), submit(&[new_job(10)])]);
    take(&mut *store, &[start(2, 1, token(&recovery, 1))]);
    take(&mut *store, &[end(2, token(&recovery, 1), Outcome::Succeeded)]);
    let mut reader = store.reader().unwrap();
    let all = Filter::default();
    for (newest_first, [one, two, three]) in [(true, [10, 9, 1]), (false, [1, 2, 10])] {
        let page = |after: Option<u64>, limit| Page {
            newest_first,
            after: after.map(id),
            limit,
            collapse: true,
        };
        assert_eq!(ids(&mut *reader, &all, page(None, 9)), [one, two, three]);
        assert_eq!(ids(&mut *reader, &all, page(None, 2)), [one, two]);
        assert_eq!(ids(&mut *reader, &all, page(Some(two), 2)), [three], "behind the whole array");
        assert_eq!(ids(&mut *reader, &all, page(Some(5), 2)), [three]);
    }
    let ended = Filter { states: vec![State::Succeeded], ..all };
    let since = Filter { finished_since: Some(super::at(200)), ..ended.clone() };
    let page = Page { collapse: true, ..NEWEST };
    assert_eq!(ids(&mut *reader, &ended, page), [2]);
    assert_eq!(ids(&mut *reader, &since, page), [2]);
    let later = Filter { finished_since: Some(super::at(201)), ..ended };
    assert_eq!(ids(&mut *reader, &later, page), [0; 0]);
    let counts = vec![(State::Queued, 7), (State::Succeeded, 1)];
    let tally = ArrayTally { array: id(2), first: 10, last: 45, counts };
    assert_eq!(reader.arrays(&[id(1), id(2)]).unwrap(), std::slice::from_ref(&tally));
    take(&mut *store, &[unfold(id(2), 100)]);
    assert_eq!(reader.arrays(&[id(2)]).unwrap(), [tally]);
    take(&mut *store, &[Change::Removed { jobs: vec![id(2)] }]);
    let tally = ArrayTally { array: id(2), first: 15, last: 45, counts: vec![(State::Queued, 7)] };
    assert_eq!(reader.arrays(&[id(2)]).unwrap(), [tally]);
}

pub(super) fn what_is_folded_goes_as_one(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    take(&mut *store, &[folded(6)]);
    let all = Folded { array: id(2), first: id(4), count: 6 };
    let go = |folded, from, to, seconds| Change::FoldMoved {
        folded,
        from,
        to,
        reason: Some("why".to_owned()),
        at: super::at(seconds),
    };
    let fewer = Folded { count: 5, ..all };
    for refused in [
        go(fewer, State::Queued, State::Held, 300),
        go(all, State::Held, State::Queued, 300),
        go(all, State::Queued, State::Running, 300),
        Change::FoldRemoved { folded: all },
        Change::EndedUnfolded { folded: all, count: 1 },
    ] {
        assert!(matches!(refuse(&mut *store, refused), Refusal::Invariant(_)));
    }
    take(&mut *store, &[go(all, State::Queued, State::Held, 300)]);
    let pending = all_pending(&mut *store);
    assert_eq!((pending[2].state, pending[2].reason.as_deref()), (State::Held, Some("why")));
    take(&mut *store, &[unfold(id(2), 1)]);
    let rest = Folded { first: id(5), count: 5, ..all };
    take(&mut *store, &[go(rest, State::Held, State::Cancelled, 400)]);
    drop(store);

    let (mut store, _) = home.open(now(0, 0), "boot");
    let pending = all_pending(&mut *store);
    assert_eq!(pending.len(), 3, "what has ended is not pending");
    let row = &pending[2];
    assert_eq!((row.id, row.state, row.reason.as_deref()), (id(4), State::Held, Some("why")));
    let mut reader = store.reader().unwrap();
    let (job, _) = reader.job(id(9)).unwrap().unwrap();
    assert_eq!((job.state, job.finished_at), (State::Cancelled, Some(super::at(400))));
    assert_eq!(job.reason.as_deref(), Some("why"));
    let ended = Filter { states: vec![State::Cancelled], ..Filter::default() };
    assert_eq!(ids(&mut *reader, &ended, NEWEST), [9, 8, 7, 6, 5]);
    let by_end = Filter { finished_before: Some(super::at(401)), ..ended.clone() };
    for (newest_first, first) in [(true, 9), (false, 5)] {
        let page = Page { newest_first, collapse: true, ..NEWEST };
        assert_eq!(ids(&mut *reader, &by_end, page), [first], "one job of the array");
        let behind = Page { after: Some(id(7)), ..page };
        assert_eq!(ids(&mut *reader, &by_end, behind), [0; 0], "behind the whole array");
    }
    let counts = vec![(State::Held, 1), (State::Queued, 2), (State::Cancelled, 5)];
    assert_eq!(reader.arrays(&[id(2)]).unwrap()[0].counts, counts);
    let meant = |reader: &mut dyn Reader, filter: &Filter| {
        reader.folds(filter).unwrap().iter().map(FoldedElements::folded).collect::<Vec<_>>()
    };
    assert_eq!(meant(&mut *reader, &Filter::default()), [rest]);
    assert_eq!(meant(&mut *reader, &ended), [rest]);
    let some = |from: u64, to: u64| Filter { ids: vec![(id(from), id(to))], ..Filter::default() };
    assert_eq!(meant(&mut *reader, &some(2, 9)), [rest]);
    assert_eq!(meant(&mut *reader, &some(2, 8)), [], "a part is not all of it");
    take(&mut *store, &[Change::EndedUnfolded { folded: rest, count: 2 }]);
    assert!(matches!(refuse(&mut *store, unfold(id(2), 1)), Refusal::Invariant(_)));
    assert_eq!(ids(&mut *reader, &ended, NEWEST), [9, 8, 7, 6, 5]);
    assert_eq!(reader.select(&ended).unwrap().len(), 2, "two of them are jobs of their own");
    let rest = Folded { first: id(7), count: 3, ..all };
    take(&mut *store, &[go(rest, State::Cancelled, State::Queued, 500), unfold(id(2), 1)]);
    take(&mut *store, &[start(7, 1, token(&recovery, 1))]);
    let rest = Folded { first: id(8), count: 2, ..all };
    take(&mut *store, &[go(rest, State::Queued, State::Cancelled, 600)]);
    take(&mut *store, &[Change::FoldRemoved { folded: rest }]);
    assert_eq!(ids(&mut *reader, &Filter::default(), NEWEST), [7, 6, 5, 4, 3, 2]);
}
