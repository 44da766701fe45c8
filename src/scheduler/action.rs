//! What the scheduler asks for: every effect it can have.

use super::entry::Demand;
use crate::job::{AttemptToken, Change, JobId, State};

/// What the daemon is to perform, each exactly once.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write the start down and launch the attempt.
    Start(Start),
    /// Write the change down, then hand it back as [`Input::Committed`](super::Input::Committed) or [`Input::Refused`](super::Input::Refused).
    Write(Change),
    /// End this running attempt; its lane will report it as [`Outcome::Cancelled`](crate::job::Outcome::Cancelled).
    Abort {
        /// Which job.
        job: JobId,
        /// Its running attempt.
        token: AttemptToken,
    },
    /// The job reached a final state, or came back to a gate, and that is synced.
    Settled {
        /// Which job.
        job: JobId,
        /// Where it stands now.
        state: State,
    },
    /// What a user asked of the job can't be done.
    Declined {
        /// Which job.
        job: JobId,
        /// Why.
        why: Decline,
    },
}

/// An attempt that is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which job.
    pub job: JobId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The new attempt's token.
    pub token: AttemptToken,
    /// What was set aside for it.
    pub demand: Demand,
    /// The daemon died while it ran before: nothing else runs inside the daemon now.
    pub alone: bool,
}

/// Why a request about one job can't be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decline {
    /// It is not one of the unfinished jobs.
    Unknown,
    /// The transition table has no such way from here.
    State(State),
    /// A change of it is being written: ask again once that is committed.
    Busy,
    /// It would wait for itself, through this job.
    Circle(JobId),
    /// So many jobs wait for each other behind what it was to require that it was not looked at all.
    Tangled,
    /// It can't have the place in its queue that it was to have.
    Misplaced(Misplaced),
}

/// Why a job can't have the place in its queue that it was to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misplaced {
    /// It was to stand beside itself.
    Itself,
    /// The other job does not wait for its turn: it runs or has ended.
    Gone(JobId),
    /// The other job stands in another queue.
    OtherQueue(JobId),
    /// The other job has another priority.
    OtherPriority(JobId),
    /// Too many jobs were put there one between the others.
    NoRoom(JobId),
    /// The first of its priority stands behind too many others to be looked for.
    TooDeep,
}
