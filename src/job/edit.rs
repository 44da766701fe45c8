//! What a user changes about a job that is there already.

use std::sync::Arc;

use super::id::JobId;
use super::requirement::Requirement;
use super::spec::{Context, Spec};
use super::state::State;
use super::time::{Deadline, WallTime};

/// A job as it is after an edit. A store takes it only if nobody edited the job in between.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// Which job.
    pub job: JobId,
    /// How often it had been edited when this edit was made.
    pub edits: u32,
    /// Where it stands.
    pub from: State,
    /// Where it stands afterwards: elsewhere only if what it waits for was changed.
    pub to: State,
    /// Not before this moment; when `to` is scheduled, held or waiting.
    pub not_before: Option<Deadline>,
    /// What it requires of other jobs, if that was changed.
    pub requirements: Option<Arc<[Requirement]>>,
    /// Its place in its queue, if that was changed.
    pub turn: Option<Turn>,
    /// The work.
    pub spec: Arc<Spec>,
    /// Its surroundings.
    pub context: Arc<Context>,
    /// When.
    pub at: WallTime,
}

/// The place among the jobs of its queue and priority that a user gave a job, instead of the one that
/// its age gives it. It is lost when the job has ended and is run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When it counts as having come.
    pub came: Came,
    /// Beside which of those that came then.
    pub beside: JobId,
    /// Ahead of that one below zero, behind it above; the further, the larger.
    pub offset: i64,
}

/// When a job counts as having come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// With another job: as it was submitted, or as that one's own turn says. Never read from a store.
    With(JobId),
    /// At this moment.
    At(WallTime),
}

/// Where a user wants a job among the jobs of its queue and priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Ahead of all that are ready.
    First,
    /// Behind all.
    Last,
    /// Right ahead of this one.
    Before(JobId),
    /// Right behind this one.
    Behind(JobId),
}
