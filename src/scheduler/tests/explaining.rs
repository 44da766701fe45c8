//! What `explain` and the views say.

use super::bench_desk::{Desk, entry};
use super::id;
use crate::job::{ArrayPlace, Came, Class, Fold, State, Turn, WallTime};
use crate::scheduler::{Entry, FoldedEntry, Gate, Holder, Input, LaneSizes, Options, Rank};

fn gates(desk: &Desk, number: u64) -> Vec<Gate> {
    desk.scheduler.explain(desk.now, id(number)).unwrap().gates
}

#[test]
fn a_job_without_core_permits_names_who_holds_them() {
    let mut desk = Desk::new(2, 1);
    desk.submit([entry(1).needs(2), entry(2), entry(3)]);
    let told = desk.scheduler.explain(desk.now, id(3)).unwrap();
    let holders = vec![Holder { job: id(1), permits: 2 }];
    assert_eq!(told.gates, [Gate::CorePermits { needed: 1, free: 0, total: 2, holders }]);
    assert_eq!(told.rank, Some(Rank { place: 2, of: 2 }));
    assert_eq!(
        told.to_string(),
        "job 3 is queued, number 2 of 2 ready jobs in its queue\n\
         it needs 1 core permits and 0 of 2 are free; held by job 1 (2)"
    );
}

fn one(jobs: &[u64]) -> Vec<Holder> {
    jobs.iter().map(|&job| Holder { job: id(job), permits: 1 }).collect()
}

#[test]
fn of_many_that_have_the_places_the_first_few_are_named() {
    let mut desk = Desk::new(20, 20);
    desk.queue("a", |queue| queue.max = Some(12));
    desk.submit((1..=13).map(entry));
    let Gate::QueueLimit { running: 12, holders, .. } = gates(&desk, 13).remove(0) else {
        panic!()
    };
    assert_eq!(holders, one(&[1, 2, 3, 4, 5, 6, 7, 8]));
}

#[test]
fn the_smallest_limit_is_named_first() {
    let options = Options { max_running: Some(2), ..Options::default() };
    let mut desk = Desk::with(options, 3, 3);
    desk.queue("a", |queue| queue.max = Some(1));
    desk.submit([entry(1), entry(2), entry(3).in_queue("b").needs(2)]);
    let told = gates(&desk, 2);
    assert_eq!(
        told[0],
        Gate::QueueLimit { queue: "a".to_owned(), running: 1, max: 1, holders: one(&[1]) }
    );
    assert_eq!(told[1], Gate::DaemonLimit { running: 2, max: 2, holders: one(&[1, 3]) });
    assert_eq!(told[1].to_string(), "the daemon runs 2 jobs of at most 2: job 1, 3");
    assert!(matches!(told[2], Gate::CorePermits { free: 0, .. }));
}

#[test]
fn every_gate_is_named() {
    let mut desk = Desk::new(2, 0);
    desk.queue("a", |queue| (queue.paused, queue.reason) = (true, Some("backup".to_owned())));
    desk.submit([entry(1).needs(5), entry(2).of(Class::Io).in_queue("b")]);
    desk.step(Input::Starts(false));
    let paused = Gate::QueuePaused { queue: "a".to_owned(), reason: Some("backup".to_owned()) };
    assert_eq!(gates(&desk, 1), [Gate::TooBig { needed: 5, size: 2 }, Gate::StartsOff, paused]);
    let lane = Gate::LaneLimit { class: Class::Io, running: 0, max: 0, holders: Vec::new() };
    assert_eq!(gates(&desk, 2), [Gate::StartsOff, lane]);
}

#[test]
fn a_held_job_says_why_and_until_when() {
    let mut desk = Desk::new(1, 1);
    let mut later = entry(1);
    (later.state, later.not_before) = (State::Scheduled, Some(desk.in_secs(60)));
    desk.submit([later]);
    desk.step(Input::Hold { job: id(1), reason: Some("wait for Ann".to_owned()) });
    assert_eq!(gates(&desk, 1), [Gate::Writing { to: State::Held, refused: false }]);
    desk.commit();
    let told = desk.scheduler.explain(desk.now, id(1)).unwrap();
    assert_eq!(
        told.to_string(),
        "job 1 is held\n\
         it is held (wait for Ann); release it to let it go on\n\
         it may not start for another 1m00s"
    );
}

#[test]
fn permits_that_are_kept_for_another_are_explained() {
    let options = Options { backfill: 0, ..Options::default() };
    let mut desk = Desk::with(options, 2, 1);
    desk.submit([entry(1), entry(2).needs(2), entry(3)]);
    assert_eq!(desk.started(), [1]);
    assert_eq!(gates(&desk, 3), [Gate::KeptFor { job: id(2), needed: 2 }]);
    assert!(matches!(gates(&desk, 2)[..], [Gate::CorePermits { needed: 2, free: 1, .. }]));
}

#[test]
fn views_count_what_is_where() {
    let mut desk = Desk::new(1, 1);
    let mut held = entry(3);
    held.state = State::Held;
    desk.submit([entry(1), entry(2), held, entry(4).in_queue("b")]);
    let queue = desk.scheduler.queue("a").unwrap();
    assert_eq!((queue.queued, queue.held, queue.running, queue.set), (1, 1, 1, false));
    let mut ids: Vec<_> = desk.scheduler.jobs_in("a").map(crate::job::JobId::get).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!(desk.scheduler.queues().len(), 2);
    assert_eq!((desk.scheduler.len(), desk.scheduler.running()), (4, 1));
    desk.step(Input::Lanes(LaneSizes { cpu: 9, io: 2, blocking: 3 }));
    assert_eq!(desk.scheduler.classes().map(|class| class.size), [2, 9, 3]);
}

#[test]
fn a_queue_without_jobs_or_settings_is_forgotten() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1)]);
    desk.queue("b", |queue| queue.max = Some(1));
    desk.succeed(1);
    assert_eq!(desk.scheduler.queue("a"), None);
    desk.step(Input::QueueRemoved("b".to_owned()));
    assert!(desk.scheduler.queues().is_empty() && desk.scheduler.is_empty());
}

#[test]
fn what_is_folded_keeps_its_place_when_the_element_before_it_is_moved() {
    let mut desk = Desk::new(0, 1);
    let came = desk.now.wall;
    let later = |seconds: i64| WallTime(came.0 + seconds * 1_000_000);
    let element = |number: u64| {
        let place = Some(ArrayPlace { array: id(1), index: number });
        Entry { place, submitted_at: came, ..entry(number) }
    };
    let last = Turn { came: Came::At(later(60)), beside: id(3), offset: 0 };
    desk.now.wall = later(100);
    desk.now.boot += std::time::Duration::from_secs(100);
    desk.submit([element(1), element(2), Entry { turn: Some(last), ..element(3) }]);
    desk.submit([Entry { submitted_at: later(30), ..entry(20) }]);
    let fold = Fold { count: 10, step: 1 };
    desk.step(Input::Folded(Box::new(FoldedEntry { first: element(4), fold, at_once: 3 })));
    desk.take_writes();
    let place = |number| desk.scheduler.explain(desk.now, id(number)).unwrap().rank.unwrap().place;
    assert_eq!([1, 2, 20, 3].map(place), [1, 2, 13, 14]);
}

#[test]
fn what_is_folded_and_held_is_told_as_held_and_stands_ahead_of_nobody() {
    let mut desk = Desk::new(0, 1);
    let element = |number: u64, state| {
        let place = Some(ArrayPlace { array: id(1), index: number });
        Entry { place, state, ..entry(number) }
    };
    desk.submit((1..=3).map(|number| element(number, State::Held)));
    desk.submit([entry(20), entry(21)]);
    let (first, fold) = (element(4, State::Held), Fold { count: 10, step: 1 });
    desk.step(Input::Folded(Box::new(FoldedEntry { first, fold, at_once: 3 })));
    let queue = desk.scheduler.queue("a").unwrap();
    assert_eq!((queue.queued, queue.held), (2, 13));
    let rank = desk.scheduler.explain(desk.now, id(21)).unwrap().rank.unwrap();
    assert_eq!((rank.place, rank.of), (2, 2));
}

#[test]
fn a_folded_element_is_told_of_by_the_last_one_that_waits() {
    let mut desk = Desk::new(1, 1);
    let element = |number: u64| {
        let place = Some(ArrayPlace { array: id(1), index: number });
        Entry { place, ..entry(number) }
    };
    desk.submit((1..=3).map(element));
    // The clocks of two moments do not agree to the microsecond.
    desk.now.wall = WallTime(desk.now.wall.0 + 1);
    let fold = Fold { count: 10, step: 1 };
    desk.step(Input::Folded(Box::new(FoldedEntry { first: element(4), fold, at_once: 3 })));
    assert_eq!(desk.started(), [1]);
    desk.take_writes();
    let told = desk.scheduler.explain(desk.now, id(13)).unwrap();
    assert_eq!((told.job, told.state), (id(13), State::Queued));
    assert_eq!(told.rank.map(|rank| (rank.place, rank.of)), Some((12, 12)));
    assert!(matches!(told.gates[..], [Gate::CorePermits { .. }]), "{told:?}");
    assert!(desk.scheduler.explain(desk.now, id(14)).is_none());
    assert_eq!(desk.scheduler.folded_from(id(1)), Some(id(4)), "nothing was unfolded for that");
    desk.step(Input::Lanes(LaneSizes { cpu: 2, io: 1, blocking: 1 }));
    desk.step(Input::Starts(false));
    assert_eq!(desk.started(), [2]);
    desk.step(Input::Lanes(LaneSizes { cpu: 3, io: 1, blocking: 1 }));
    let told = desk.scheduler.explain(desk.now, id(13)).unwrap();
    assert_eq!(told.gates, [Gate::StartsOff]);
}
