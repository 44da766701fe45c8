//! What is written down: jobs, attempts, queues, and the changes that make them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::class::{Class, Lane};
use super::edit::Edited;
use super::id::{AttemptToken, JobId};
use super::outcome::Outcome;
use super::rate::Rate;
use super::requirement::Requirement;
use super::schedule::{ScheduleId, ScheduleRecord, ScheduleRun, TurnTaken};
use super::spec::{ArrayPlace, Context, Spec};
use super::state::State;
use super::suspicion::Suspicion;
use super::time::{Deadline, WallTime};

/// A job as it is submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Its id, given by the control loop.
    pub id: JobId,
    /// The user that submitted it.
    pub owner: u32,
    /// The first id of the submission it came with; `last` selects by it.
    pub submission: JobId,
    /// Its place in an array.
    pub place: Option<ArrayPlace>,
    /// When it came.
    pub submitted_at: WallTime,
    /// Where it starts its life: queued, held, scheduled, or waiting if it requires something.
    pub state: State,
    /// Not before this moment; always with [`State::Scheduled`], and kept while it is held or waits.
    pub not_before: Option<Deadline>,
    /// What it requires of other jobs, each named once; shared between the elements of an array.
    pub requirements: Arc<[Requirement]>,
    /// A key that no other unfinished job of the same owner has.
    pub unique: Option<Arc<str>>,
    /// Which run of which schedule it is, if it is one.
    pub run: Option<Box<ScheduleRun>>,
    /// The work; shared between jobs that have the same.
    pub spec: Arc<Spec>,
    /// The submitter's surroundings; shared between the jobs of a submission.
    pub context: Arc<Context>,
}

/// A job as it is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The user that submitted it.
    pub owner: u32,
    /// The first id of the submission it came with.
    pub submission: JobId,
    /// Its place in an array.
    pub place: Option<ArrayPlace>,
    /// Where it stands.
    pub state: State,
    /// Not before this moment; always with [`State::Scheduled`], and kept while it is held or waits.
    pub not_before: Option<Deadline>,
    /// When it came.
    pub submitted_at: WallTime,
    /// When its latest attempt started.
    pub started_at: Option<WallTime>,
    /// When it reached its final state.
    pub finished_at: Option<WallTime>,
    /// How many attempts it has had, the running one included.
    pub attempts: u32,
    /// How many of these do not count against its retries.
    pub pardoned: u32,
    /// The daemon died while it ran, and it has not ended otherwise since.
    pub suspicion: Option<Suspicion>,
    /// How its latest ended attempt ended.
    pub outcome: Option<Outcome>,
    /// A user asked for its running attempt to be cancelled.
    pub cancel_asked: bool,
    /// Why it was held, cancelled or skipped, in the user's or the scheduler's words.
    pub reason: Option<String>,
    /// The lane of its latest attempt.
    pub lane: Option<Lane>,
    /// A key that no other unfinished job of the same owner has.
    pub unique: Option<Arc<str>>,
    /// How often it was edited.
    pub edits: u32,
    /// Which run of which schedule it is, if it is one.
    pub run: Option<Box<ScheduleRun>>,
    /// The work.
    pub spec: Arc<Spec>,
    /// The submitter's surroundings.
    pub context: Arc<Context>,
}

/// One attempt as it is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    /// Its name, which no other attempt ever had.
    pub token: AttemptToken,
    /// The lane it ran on.
    pub lane: Lane,
    /// The class it ran as, which is never `auto`.
    pub class: Class,
    /// When it started.
    pub started_at: WallTime,
    /// When it ended.
    pub finished_at: Option<WallTime>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What it used.
    pub usage: Option<Usage>,
}

/// What an attempt used of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time, user and system together.
    pub cpu: Duration,
    /// Time from start to end.
    pub wall: Duration,
    /// The most memory it held at once, in bytes, where that is known.
    pub max_rss_bytes: Option<u64>,
}

/// A queue as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRecord {
    /// Its name.
    pub name: String,
    /// How many of its jobs may run at once; `None` for no limit of its own.
    pub max: Option<u32>,
    /// Its share when several queues have jobs ready; 1 or more.
    pub weight: u32,
    /// How many of its jobs may start in a span of time.
    pub rate: Option<Rate>,
    /// Whether its jobs stay where they are.
    pub paused: bool,
    /// Why it was paused.
    pub reason: Option<String>,
}

impl QueueRecord {
    /// The weight of a queue that was given none.
    pub const DEFAULT_WEIGHT: u32 = 100;

    /// A queue without limits of its own.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            max: None,
            weight: Self::DEFAULT_WEIGHT,
            rate: None,
            paused: false,
            reason: None,
        }
    }
}

/// Elements of an array that are written down as one until their turn comes near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// How many.
    pub count: u64,
    /// How far apart their indexes are.
    pub step: u64,
}

/// All the elements of an array that are written down as one, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The array.
    pub array: JobId,
    /// The first of them.
    pub first: JobId,
    /// How many.
    pub count: u64,
}

impl Folded {
    /// The last of them.
    pub fn last(&self) -> JobId {
        self.first.after(self.count.saturating_sub(1))
    }
}

/// Nothing new starts until somebody ends that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    /// Why.
    pub reason: Option<String>,
}

/// One fact to be written down. A store takes each as a whole or refuses it.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Jobs were submitted, all or none.
    Submitted {
        /// In the order of their ids.
        jobs: Vec<NewJob>,
        /// More elements of the array to which the last of these belongs: they follow it and are like
        /// it but for their indexes. They have their ids and are written down as one.
        fold: Option<Fold>,
    },
    /// Elements that were written down as one become jobs of their own.
    Unfolded {
        /// The array.
        array: JobId,
        /// How many of them, in order; fewer if there are no more.
        count: u64,
    },
    /// All elements of an array that are written down as one go to another state: queued, held or
    /// cancelled. Refused if they are not all these any more.
    FoldMoved {
        /// Which.
        folded: Folded,
        /// Where they stand.
        from: State,
        /// Where they go.
        to: State,
        /// Why.
        reason: Option<String>,
        /// When.
        at: WallTime,
    },
    /// Elements that ended as one become jobs of their own, as they are.
    EndedUnfolded {
        /// Which there are.
        folded: Folded,
        /// How many of them, in order; fewer if there are no more.
        count: u64,
    },
    /// Elements that ended as one are forgotten.
    FoldRemoved {
        /// Which.
        folded: Folded,
    },
    /// An attempt starts: the job goes from queued to running.
    Started {
        /// Which job.
        job: JobId,
        /// Which attempt, from 1.
        attempt: u32,
        /// Its token.
        token: AttemptToken,
        /// The lane it runs on.
        lane: Lane,
        /// The class it runs as.
        class: Class,
        /// When.
        at: WallTime,
    },
    /// An attempt ended. Refused as stale unless `token` is the job's current one.
    Ended {
        /// Which job.
        job: JobId,
        /// The attempt's token.
        token: AttemptToken,
        /// How it ended.
        outcome: Outcome,
        /// What it used.
        usage: Usage,
        /// When.
        at: WallTime,
        /// Where the job goes: a final state, or queued, scheduled or held for another attempt.
        next: State,
        /// Not before this moment; when `next` is scheduled, or held.
        not_before: Option<Deadline>,
    },
    /// A job that is not running goes to another state: held, released, cancelled, retried, due.
    Moved {
        /// Which job.
        job: JobId,
        /// Where it stands.
        from: State,
        /// Where it goes.
        to: State,
        /// Not before this moment; when `to` is scheduled, held or waiting.
        not_before: Option<Deadline>,
        /// Why.
        reason: Option<String>,
        /// When.
        at: WallTime,
    },
    /// The daemon died while this attempt ran inside it; the attempt's end as interrupted follows.
    Suspected {
        /// Which job.
        job: JobId,
        /// What is to be said of it now.
        suspicion: Suspicion,
        /// Why it is condemned, if it is.
        verdict: Option<String>,
    },
    /// A user wants a running job to end; it will not be run again whatever happens.
    CancelAsked {
        /// Which job.
        job: JobId,
        /// Why.
        reason: Option<String>,
    },
    /// A user wants a running job held instead of run again, or wants that no more.
    HoldAsked {
        /// Which job.
        job: JobId,
        /// Whether it is to be held.
        hold: bool,
        /// Why.
        reason: Option<String>,
    },
    /// A user changed what a job is to do, or when. Refused if it was edited since it was looked at.
    Edited(Box<Edited>),
    /// Finished jobs are forgotten.
    Removed {
        /// Which; ids that are not there are passed over.
        jobs: Vec<JobId>,
    },
    /// A queue was made or changed.
    QueueSet(QueueRecord),
    /// Nothing new starts from now on, or everything may again.
    DrainSet(Option<Drain>),
    /// A queue's settings were dropped. Refused while unfinished jobs stand in it.
    QueueRemoved {
        /// Its name.
        name: String,
    },
    /// A schedule was made or changed by hand.
    ScheduleSet(Box<ScheduleRecord>),
    /// A moment of a schedule was decided on. Refused unless its turn is the next one.
    ScheduleTurned(Box<TurnTaken>),
    /// A schedule was dropped; the jobs of its runs stay.
    ScheduleRemoved {
        /// Which.
        schedule: ScheduleId,
    },
}

impl Change {
    /// The one job that the change is about, if it is about one.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Started { job, .. }
            | Self::Ended { job, .. }
            | Self::Moved { job, .. }
            | Self::Suspected { job, .. }
            | Self::CancelAsked { job, .. }
            | Self::HoldAsked { job, .. } => Some(*job),
            Self::Edited(edited) => Some(edited.job),
            Self::Submitted { .. }
            | Self::Unfolded { .. }
            | Self::FoldMoved { .. }
            | Self::EndedUnfolded { .. }
            | Self::FoldRemoved { .. }
            | Self::Removed { .. }
            | Self::QueueSet(_)
            | Self::DrainSet(_)
            | Self::QueueRemoved { .. }
            | Self::ScheduleSet(_)
            | Self::ScheduleTurned(_)
            | Self::ScheduleRemoved { .. } => None,
        }
    }
}
