//! The brain: a pure state machine that decides what starts, what waits and why.
//!
//! Owns every job that is not final and all capacity that is handed out. Never reads a clock, never
//! does I/O, never blocks: [`Scheduler::step`] takes a moment and an [`Input`] and says which
//! [`Action`]s to perform. Invariant: [`Scheduler::check_invariants`] holds after every step.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{
    ArrayPlace, AttemptToken, Change, Class, Deadline, JobId, Lane, Outcome, QueueRecord,
    RetryPolicy, State, Usage, WallTime,
};

/// A job as it enters the scheduler: after its submission, or a retry of it, was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: JobId,
    /// The user that submitted it.
    pub owner: u32,
    /// Its place in an array.
    pub place: Option<ArrayPlace>,
    /// Queued, held or scheduled.
    pub state: State,
    /// Not before this moment; only with [`State::Scheduled`].
    pub not_before: Option<Deadline>,
    /// When it came: the older of two equals goes first.
    pub submitted_at: WallTime,
    /// Its queue.
    pub queue: Arc<str>,
    /// Higher goes first.
    pub priority: i32,
    /// What it takes while it runs.
    pub demand: Demand,
    /// Whether and how soon a failed attempt is followed by another.
    pub retry: RetryPolicy,
    /// How many attempts it has had.
    pub attempts: u32,
}

/// What a job takes while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Demand {
    /// The class it runs as: never `auto`, which was decided before.
    pub class: Class,
    /// Core permits, for class `cpu`; the others hold none.
    pub permits: u32,
}

impl Demand {
    /// The lane that work of this class runs on.
    pub const fn lane(self) -> Lane {
        match self.class {
            Class::Io => Lane::Async,
            Class::Cpu | Class::Blocking | Class::Auto => Lane::Pool,
        }
    }
}

/// How much may run at once; what runs already is never taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneSizes {
    /// Core permits.
    pub cpu: u32,
    /// Jobs of class `io`.
    pub io: u32,
    /// Jobs of class `blocking`.
    pub blocking: u32,
}

/// What happens to the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Jobs were committed and may be scheduled.
    Submitted(Vec<Entry>),
    /// A lane reports how an attempt ended. Ignored as stale unless the token is the current one.
    Ended {
        /// Which job.
        job: JobId,
        /// The attempt's token.
        token: AttemptToken,
        /// How it ended.
        outcome: Outcome,
        /// What it used.
        usage: Usage,
        /// The least pause before a retry that the other side asked for.
        retry_after: Option<Duration>,
    },
    /// A user wants the job to end.
    Cancel {
        /// Which job.
        job: JobId,
        /// Why.
        reason: Option<String>,
    },
    /// A user wants the job to stay where it is; a running one is held after this attempt's end only
    /// if it is to be retried.
    Hold {
        /// Which job.
        job: JobId,
        /// Why.
        reason: Option<String>,
    },
    /// A user lets a held job go on.
    Release {
        /// Which job.
        job: JobId,
    },
    /// A change that an [`Action::Write`] asked for is synced.
    Committed(Change),
    /// A change that an [`Action::Write`] asked for was refused; the job stays where it was.
    Refused(Change),
    /// A queue was committed with these settings.
    QueueSet(QueueRecord),
    /// A queue's own settings are gone.
    QueueRemoved(String),
    /// The sizes changed.
    Lanes(LaneSizes),
    /// So many core permits are lent out by running jobs that are blocked, and may be used by others.
    Lent(u32),
    /// Whether anything new may start: false while draining or while the store can't write.
    Starts(bool),
    /// Time has passed.
    Tick,
}

/// What the daemon is to perform, each exactly once.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write the start down and launch the attempt.
    Start(Start),
    /// Write the change down, then hand it back as [`Input::Committed`] or [`Input::Refused`].
    Write(Change),
    /// End this running attempt; its lane will report it as [`Outcome::Cancelled`].
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
}
