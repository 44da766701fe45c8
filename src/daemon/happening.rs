//! What watchers are told: every change that was written down, in a line.

use super::clock;
use crate::job::{Change, Fold, Folded, NewJob, ScheduleRecord, WallTime};
use crate::protocol::{Event, to_rfc3339};

/// Something that happened, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Happening {
    /// Whose job it is about; `None` for what concerns everybody.
    pub(super) owner: Option<u32>,
    /// What is told.
    pub(super) event: Event,
}

/// Happenings that a slow watcher may lag behind before some are left out for it.
pub(super) const BACKLOG: usize = 4_096;

impl Happening {
    /// What a change that was written down says: of a job of this owner, or about this schedule.
    pub(super) fn of(change: &Change, owner: Option<u32>, about: Option<&ScheduleRecord>) -> Self {
        let event = blank("", clock::now().wall);
        match change {
            Change::Submitted { jobs, fold } => submitted(jobs, *fold, event),
            Change::ScheduleTurned(turn) if turn.job.is_some() => {
                submitted(turn.job.as_slice(), None, event)
            }
            Change::ScheduleSet(record) => schedule(Some(record), event),
            Change::ScheduleTurned(_) | Change::ScheduleRemoved { .. } => schedule(about, event),
            Change::Removed { jobs } => Self {
                owner,
                event: Event {
                    event: "removed".to_owned(),
                    job: jobs.first().copied(),
                    last_job: jobs.last().copied(),
                    ..event
                },
            },
            Change::FoldMoved { folded, to, .. } => Self {
                owner,
                event: Event { state: Some(*to), ..about_folded("moved", *folded, event) },
            },
            Change::FoldRemoved { folded } => {
                Self { owner, event: about_folded("removed", *folded, event) }
            }
            Change::QueueSet(record) => Self { owner: None, event: queue(&record.name, event) },
            Change::DrainSet(drain) => {
                let what = if drain.is_some() { "drained" } else { "resumed" };
                Self { owner: None, event: Event { event: what.to_owned(), ..event } }
            }
            Change::QueueRemoved { name } => Self { owner: None, event: queue(name, event) },
            about_one => Self { owner, event: about_job(about_one, event) },
        }
    }

    /// A watcher was too slow.
    pub(super) fn missed(count: u64) -> Event {
        Event { missed: Some(count), ..blank("missed", clock::now().wall) }
    }
}

fn about_folded(what: &str, folded: Folded, event: Event) -> Event {
    let (first, last) = (folded.first, folded.last());
    Event { event: what.to_owned(), job: Some(first), last_job: Some(last), ..event }
}

fn about_job(change: &Change, event: Event) -> Event {
    let event = Event { job: change.job(), ..event };
    match change {
        Change::Started { attempt, .. } => Event {
            event: "started".to_owned(),
            state: Some(crate::job::State::Running),
            attempt: Some(*attempt),
            ..event
        },
        Change::Ended { outcome, next, .. } => Event {
            event: "ended".to_owned(),
            state: Some(*next),
            outcome: Some(outcome.word().to_owned()),
            ..event
        },
        Change::Moved { to, .. } => Event { event: "moved".to_owned(), state: Some(*to), ..event },
        Change::Edited(edited) => Event {
            event: "edited".to_owned(),
            state: Some(edited.to),
            queue: Some(edited.spec.queue.clone()),
            ..event
        },
        Change::HoldAsked { .. } => Event { event: "hold_asked".to_owned(), ..event },
        Change::Suspected { .. } => Event { event: "suspected".to_owned(), ..event },
        _ => Event { event: "cancel_asked".to_owned(), ..event },
    }
}

fn submitted(jobs: &[NewJob], fold: Option<Fold>, event: Event) -> Happening {
    let (first, last) = (jobs.first(), jobs.last());
    Happening {
        owner: first.map(|job| job.owner),
        event: Event {
            event: "submitted".to_owned(),
            job: first.map(|job| job.id),
            last_job: last.map(|job| job.id.after(fold.map_or(0, |fold| fold.count))),
            state: first.map(|job| job.state),
            queue: first.map(|job| job.spec.queue.clone()),
            schedule: first.and_then(|job| job.run.as_ref()).map(|run| run.name.to_string()),
            ..event
        },
    }
}

fn schedule(record: Option<&ScheduleRecord>, event: Event) -> Happening {
    let name = record.map(|record| record.name.to_string());
    let event = Event { event: "schedule".to_owned(), schedule: name, ..event };
    Happening { owner: record.map(|record| record.owner), event }
}

fn queue(name: &str, event: Event) -> Event {
    Event { event: "queue".to_owned(), queue: Some(name.to_owned()), ..event }
}

fn blank(what: &str, at: WallTime) -> Event {
    Event {
        time: to_rfc3339(at),
        event: what.to_owned(),
        job: None,
        last_job: None,
        state: None,
        attempt: None,
        outcome: None,
        queue: None,
        schedule: None,
        missed: None,
    }
}
