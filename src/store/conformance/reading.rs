//! What filters find and how pages follow each other.

use std::sync::Arc;

use super::{Home, NEWEST, at, end, go, id, named, new_job, now, start, submit, take, token};
use crate::job::{ArrayPlace, Failure, NewJob, Outcome, Spec, State};
use crate::store::{Filter, Page, Reader, Selected};

/// The ids that a filter finds, by selecting and by paging alike.
pub(super) fn ids(reader: &mut dyn Reader, filter: &Filter) -> Vec<u64> {
    let selected = reader.select(filter).unwrap();
    let ids: Vec<_> = selected.iter().map(|found| found.id.get()).collect();
    let mut paged: Vec<_> =
        reader.page(filter, NEWEST).unwrap().iter().map(|job| job.id.get()).collect();
    paged.reverse();
    assert_eq!(ids, paged, "select and page disagree about {filter:?}");
    ids
}

pub(super) fn filters_narrow(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let element = |number, index| NewJob {
        submission: id(4),
        owner: 7,
        place: Some(ArrayPlace { array: id(4), index }),
        ..named(number, "array", "default")
    };
    let other = NewJob {
        spec: Arc::new(Spec { kind: "http".to_owned(), ..Spec::default() }),
        ..new_job(7)
    };
    take(
        &mut *store,
        &[
            submit(&[named(1, "enc-1", "gpu")]),
            submit(&[named(2, "enc-[2]?", "gpu"), named(3, "enc", "default")]),
            submit(&[element(4, 1), element(5, 2), element(6, 30)]),
            submit(&[other]),
            start(1, 1, token(&recovery, 1)),
            start(2, 1, token(&recovery, 2)),
            start(3, 1, token(&recovery, 3)),
            end(1, token(&recovery, 1), Outcome::TimedOut),
            end(2, token(&recovery, 2), Outcome::Failed(Failure::Exit(1))),
            end(3, token(&recovery, 3), Outcome::Succeeded),
            go(7, State::Queued, State::Cancelled),
        ],
    );
    let mut reader = store.reader().unwrap();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let all = Filter::default;
    let cases: Vec<(Filter, &[u64])> = vec![
        (all(), &[1, 2, 3, 4, 5, 6, 7]),
        (Filter { ids: vec![(id(3), id(5))], ..all() }, &[3, 4, 5]),
        (
            Filter { ids: vec![(id(5), id(9)), (id(1), id(1)), (id(6), id(6))], ..all() },
            &[1, 5, 6, 7],
        ),
        (Filter { ids: vec![(id(9), id(1))], ..all() }, &[]),
        (Filter { elements: vec![(id(4), 2, u64::MAX)], ..all() }, &[5, 6]),
        (Filter { elements: vec![(id(4), 1, 1)], ids: vec![(id(2), id(2))], ..all() }, &[2, 4]),
        (Filter { owner: Some(7), ..all() }, &[4, 5, 6]),
        (Filter { last: true, owner: Some(7), ..all() }, &[4, 5, 6]),
        (Filter { last: true, ..all() }, &[7]),
        (Filter { last: true, owner: Some(8), ..all() }, &[]),
        (Filter { states: vec![State::Queued, State::Succeeded], ..all() }, &[3, 4, 5, 6]),
        (Filter { outcomes: words(&["timed_out"]), ..all() }, &[1]),
        (
            Filter { outcomes: words(&["exit", "x"]), states: vec![State::Queued], ..all() },
            &[2, 4, 5, 6],
        ),
        (Filter { outcomes: words(&["exit"]), states: vec![State::Failed], ..all() }, &[1, 2]),
        (Filter { outcomes: words(&["succeeded"]), ..all() }, &[]),
        (Filter { queues: words(&["gpu", "none"]), ..all() }, &[1, 2]),
        (Filter { names: words(&["enc"]), ..all() }, &[3]),
        (Filter { names: words(&["enc*"]), ..all() }, &[1, 2, 3]),
        (Filter { names: words(&["*[2]?"]), ..all() }, &[2]),
        (Filter { names: words(&["enc-?", "a*y"]), ..all() }, &[4, 5, 6]),
        (Filter { kinds: words(&["http"]), ..all() }, &[7]),
        (Filter { finished_before: Some(at(300)), ..all() }, &[1, 2, 3]),
        (Filter { finished_before: Some(at(301)), states: vec![State::Cancelled], ..all() }, &[7]),
        (Filter { finished_before: Some(at(200)), ..all() }, &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&mut *reader, &filter), expected, "{filter:?}");
    }
    let found = reader.select(&Filter { ids: vec![(id(1), id(1))], ..all() }).unwrap();
    let (outcome, state) = (Some(Outcome::TimedOut), State::Failed);
    let failed = Selected { id: id(1), owner: 1000, place: None, state, outcome, reason: None };
    assert_eq!(found, [failed]);
}

pub(super) fn pages_follow_each_other(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(0, 0), "boot");
    let jobs: Vec<_> = (1..=10).map(new_job).collect();
    let held: Vec<_> = [2, 5, 9].map(|n| go(n, State::Queued, State::Held)).to_vec();
    take(&mut *store, &[submit(&jobs)]);
    take(&mut *store, &held);
    let mut reader = store.reader().unwrap();
    let filter = Filter { states: vec![State::Held, State::Queued], ..Filter::default() };
    for newest_first in [true, false] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = reader
                .page(&filter, Page { newest_first, after, limit: 3, collapse: false })
                .unwrap();
            assert!(page.len() <= 3);
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            seen.extend(page.iter().map(|job| job.id.get()));
        }
        if newest_first {
            seen.reverse();
        }
        assert_eq!(seen, (1..=10).collect::<Vec<_>>());
    }
}
