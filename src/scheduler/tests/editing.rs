//! What users change about jobs that are here already.

use std::sync::Arc;

use super::bench_desk::{Desk, entry};
use super::id;
use crate::job::{
    Awaited, Change, Class, Condition, Edited, JobId, Move, QueueRecord, Requirement, RetryPolicy,
    Spec, State,
};
use crate::scheduler::{Begin, Decline, Demand, Input, Misplaced, Revision};

/// An edit that changes nothing of a job that [`entry`] makes.
fn revision() -> Revision {
    Revision {
        edits: 0,
        spec: Arc::new(Spec { queue: "a".to_owned(), class: Class::Cpu, ..Spec::default() }),
        context: Arc::default(),
        demand: Demand { class: Class::Cpu, permits: 1, inside: false },
        place: None,
        begin: Begin::Kept,
        requires: None,
        turn: None,
        later: false,
    }
}

fn with(spec: impl FnOnce(&mut Spec)) -> Revision {
    let mut revision = revision();
    spec(Arc::make_mut(&mut revision.spec));
    revision
}

fn moved(turn: Move) -> Revision {
    Revision { turn: Some(turn), ..revision() }
}

impl Desk {
    fn edit(&mut self, number: u64, revision: Revision) {
        self.step(Input::Edit { job: id(number), revision: Box::new(revision) });
    }

    fn take_edit(&mut self) -> Edited {
        match self.take_write() {
            Change::Edited(edited) => *edited,
            other => panic!("{other:?} is no edit"),
        }
    }

    /// Edits and syncs.
    fn edited(&mut self, number: u64, revision: Revision) {
        self.edit(number, revision);
        let edited = self.take_edit();
        self.step(Input::Edited { edited: Box::new(edited), requires: Vec::new() });
    }
}

/// A desk whose queue is paused, with so many jobs in it.
fn paused(jobs: u64) -> Desk {
    let mut desk = Desk::new(1, 1);
    desk.queue("a", |queue| queue.paused = true);
    desk.submit((1..=jobs).map(entry));
    desk
}

/// The order in which one after the other starts.
fn order(desk: &mut Desk) -> Vec<u64> {
    desk.step(Input::QueueSet(QueueRecord::named("a")));
    let mut order = Vec::new();
    while let Some(job) = desk.started().pop() {
        order.push(job);
        desk.succeed(job);
    }
    order
}

#[test]
fn a_job_that_is_being_edited_does_not_start() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(9)]);
    desk.started();
    desk.submit([entry(1), entry(2)]);
    desk.edit(1, with(|spec| spec.priority = 5));
    let edited = desk.take_edit();
    desk.succeed(9);
    assert_eq!(desk.started(), [2], "the other one goes first, job 1 is neither old nor new");
    desk.succeed(2);
    desk.step(Input::Edited { edited: Box::new(edited), requires: Vec::new() });
    assert_eq!(desk.started(), [1]);
    assert_eq!(desk.scheduler.job(id(1)).unwrap().priority, 5);
}

#[test]
fn an_edit_that_comes_after_the_start_is_declined() {
    let mut desk = Desk::new(1, 1);
    desk.submit([entry(1)]);
    desk.edit(1, with(|spec| spec.queue = "b".to_owned()));
    assert_eq!(desk.declined(), [(1, Decline::State(State::Running))]);
    let later = with(|spec| spec.retry = RetryPolicy { retries: 1, ..RetryPolicy::default() });
    desk.edited(1, Revision { later: true, ..later });
    desk.end(1, super::bench_desk::exit(1));
    let Change::Ended { next, .. } = desk.take_write() else { panic!() };
    assert_eq!(next, State::Scheduled, "the retry that it was given counts");
}

#[test]
fn a_refused_edit_leaves_the_job_where_it_was() {
    let mut desk = paused(3);
    desk.edit(3, moved(Move::First));
    let edited = desk.take_edit();
    desk.step(Input::Refused(Change::Edited(Box::new(edited))));
    assert_eq!(order(&mut desk), [1, 2, 3]);
}

#[test]
fn an_edited_job_stands_in_its_new_queue_with_what_it_asks_for_now() {
    let mut desk = Desk::new(1, 1);
    desk.queue("b", |queue| queue.paused = true);
    desk.submit([entry(1).needs(8)]);
    assert!(desk.started().is_empty());
    desk.edited(1, with(|spec| spec.queue = "b".to_owned()));
    assert_eq!(desk.scheduler.queue("b").unwrap().queued, 1);
    assert!(desk.scheduler.queue("a").is_none(), "nothing is left of it in the old one");
    desk.queue("b", |_| {});
    assert_eq!(desk.started(), [1]);
}

#[test]
fn what_a_job_waits_for_can_be_changed() {
    let mut desk = paused(2);
    let requirement = |job| Requirement { job: id(job), on: Condition::Ok };
    let waits = |job| Revision { requires: Some(Arc::from([requirement(job)])), ..revision() };
    desk.edit(1, waits(2));
    let edited = desk.take_edit();
    assert_eq!(edited.to, State::Waiting);
    desk.edit(2, waits(1));
    assert_eq!(desk.declined(), [(2, Decline::Circle(id(1)))], "also before it is synced");
    let requires = vec![Awaited { requirement: requirement(2), ending: None }];
    desk.step(Input::Edited { edited: Box::new(edited), requires });
    desk.edit(2, waits(1));
    assert_eq!(desk.declined(), [(2, Decline::Circle(id(1)))]);
    desk.edited(1, Revision { requires: Some(Arc::default()), ..revision() });
    assert_eq!(desk.state(1), Some(State::Queued));
    let later = Revision { begin: Begin::NotBefore(desk.in_secs(60)), ..revision() };
    desk.edited(1, later);
    assert_eq!(desk.state(1), Some(State::Scheduled));
    desk.edited(1, Revision { begin: Begin::Now, ..revision() });
    assert_eq!(desk.state(1), Some(State::Queued));
}

#[test]
fn jobs_stand_where_they_were_put() {
    let mut desk = paused(6);
    desk.edited(5, moved(Move::First));
    desk.edited(1, moved(Move::Last));
    desk.edited(2, moved(Move::Behind(id(4))));
    desk.edited(6, moved(Move::Before(id(4))));
    assert_eq!(order(&mut desk), [5, 3, 6, 4, 2, 1]);
}

#[test]
fn a_thousand_moves_to_one_place_find_room_and_keep_their_order() {
    let jobs = 1_000;
    let mut desk = paused(jobs);
    for job in 2..=jobs {
        desk.edited(job, moved(Move::Before(id(1))));
    }
    for job in (2..jobs).rev() {
        desk.edited(job, moved(Move::Behind(id(jobs))));
    }
    let order = order(&mut desk);
    assert_eq!(order[0], jobs);
    assert_eq!(order[1..], [&(2..jobs).collect::<Vec<_>>()[..], &[1]].concat());
}

#[test]
fn a_place_that_makes_no_sense_is_declined_with_the_reason() {
    let mut desk = paused(2);
    desk.submit([entry(3).in_queue("b"), entry(4).in_queue("c")]);
    let asked = |desk: &mut Desk, other: JobId, priority| {
        let plain = with(|spec| spec.priority = priority);
        desk.edit(1, Revision { turn: Some(Move::Before(other)), ..plain });
        desk.declined().pop().map(|(_, why)| why)
    };
    let wrong = |why| Some(Decline::Misplaced(why));
    assert_eq!(asked(&mut desk, id(1), 0), wrong(Misplaced::Itself));
    assert_eq!(asked(&mut desk, id(9), 0), wrong(Misplaced::Gone(id(9))));
    assert_eq!(asked(&mut desk, id(3), 0), wrong(Misplaced::Gone(id(3))), "it runs");
    assert_eq!(asked(&mut desk, id(4), 0), wrong(Misplaced::OtherQueue(id(4))));
    assert_eq!(asked(&mut desk, id(2), 1), wrong(Misplaced::OtherPriority(id(2))));
}
