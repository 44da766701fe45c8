//! What comes in with a job, and how much may run at once.

use std::sync::Arc;

use crate::job::{
    ArrayPlace, Awaited, Class, Context, Deadline, JobId, Lane, Limits, Move, Requirement,
    RetryPolicy, Spec, State, Suspicion, Turn, WallTime,
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
    /// Queued, held, scheduled or waiting.
    pub state: State,
    /// Not before this moment; a queued one has none.
    pub not_before: Option<Deadline>,
    /// When it came: the older of two equals goes first.
    pub submitted_at: WallTime,
    /// The place in its queue that a user gave it.
    pub turn: Option<Turn>,
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
    /// How many of these do not count against its retries.
    pub pardoned: u32,
    /// The daemon died while it ran: it runs alone.
    pub suspicion: Option<Suspicion>,
    /// Why it is held, if it is.
    pub reason: Option<Box<str>>,
    /// What it still requires of other jobs; only while it waits or is held. One whose end is not told
    /// will be here or is here already.
    pub requires: Vec<Awaited>,
    /// The limits it stands under beside those of its queue and lane, if any.
    pub limits: Option<Arc<Limits>>,
}

/// What a user made of a job that is here already.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// How often it had been edited when this was made.
    pub edits: u32,
    /// The work.
    pub spec: Arc<Spec>,
    /// Its surroundings.
    pub context: Arc<Context>,
    /// What it takes while it runs.
    pub demand: Demand,
    /// Its place in an array, as before.
    pub place: Option<ArrayPlace>,
    /// When it may start.
    pub begin: Begin,
    /// What it requires of other jobs, if that is changed.
    pub requires: Option<Arc<[Requirement]>>,
    /// The place in its queue that it is to have, if that is changed.
    pub turn: Option<Move>,
    /// Only what counts after this attempt is changed, so a running job may have it.
    pub later: bool,
}

/// When an edited job may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// As before.
    Kept,
    /// At once.
    Now,
    /// Not before this moment.
    NotBefore(Deadline),
}

/// What a job takes while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Demand {
    /// The class it runs as: never `auto`, which was decided before.
    pub class: Class,
    /// Core permits, for class `cpu`; the others hold none.
    pub permits: u32,
    /// It runs inside the daemon and may bring it down; a command can't.
    pub inside: bool,
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

/// A named resource as the settings have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// How much there is.
    pub capacity: u64,
    /// The names of its units, as many as the capacity, or none.
    pub units: Vec<Arc<str>>,
}
