//! The memory: where jobs, attempts and queues are written down so that no crash loses them.
//!
//! Owns the [`Store`] and [`Reader`] traits and what each call promises for recovery; [`sqlite`] is the
//! embedded implementation, [`memory`] a plain one that forgets with the process, and `conformance`
//! the suite that every implementation passes. Never decides anything about a job. Invariant: what
//! [`Store::commit`] returned `Ok` for is on the disk.

mod error;
mod filter;
mod fold;
mod gate;
pub mod journal;
pub mod memory;
pub mod sqlite;

#[cfg(test)]
mod conformance;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::job::{
    ArrayPlace, AttemptRecord, AttemptToken, Awaited, Change, Class, Context, Deadline, Drain,
    Fold, Job, JobId, Limits, QueueRecord, RetryPolicy, ScheduleId, ScheduleRecord, Spec, State,
    StoreId, Suspicion, Turn, WallTime,
};

pub use error::{Refusal, StoreError};
pub use filter::{ArrayTally, Filter, Page, Selected};
pub use fold::FoldedElements;

/// A store, owned by one writer thread.
pub trait Store: Send {
    /// Writes the changes in order as one synced commit.
    ///
    /// Each change is taken whole or refused alone, without harm to its neighbours; the answers stand
    /// in the order of the changes. When the call returns `Ok`, everything it took is synced. When it
    /// returns `Err`, nothing of the batch may be counted on, and [`StoreError`] says whether the
    /// same batch may be given again.
    fn commit(&mut self, batch: &[Change]) -> Result<Vec<Result<(), Refusal>>, StoreError>;

    /// Hands every job that is not final to `visit`, in the order of their ids; after them those that are
    /// written down as one, told by the first of them.
    fn pending(&mut self, visit: &mut dyn FnMut(Pending)) -> Result<(), StoreError>;

    /// Every schedule, in the order of their numbers.
    fn schedules(&mut self) -> Result<Vec<StoredSchedule>, StoreError>;

    /// Opens a reader on a connection of its own, to be used from any thread beside the writer.
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// Notes that this life ended in order, and syncs that.
    fn close(&mut self) -> Result<(), StoreError>;
}

/// What the daemon learns when it opens a store, before anything else happens.
#[derive(Debug)]
pub struct Recovery {
    /// The store's identity.
    pub store: StoreId,
    /// The number of this life: raised by one and synced before this is returned.
    pub life: u64,
    /// The next id that no job ever had.
    pub next_id: JobId,
    /// The next number that no schedule ever had.
    pub next_schedule: ScheduleId,
    /// Whether the life before this one ended in order (see [`Store::close`]).
    pub clean: bool,
    /// Whether the life before this one began under the same boot. True in a new store.
    pub same_boot: bool,
    /// The queues that were set.
    pub queues: Vec<QueueRecord>,
    /// Nothing new is to start.
    pub drain: Option<Drain>,
}

/// A schedule as it is found at a start.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSchedule {
    /// As it is written; its next moment is rebased if it was made under another boot.
    pub record: ScheduleRecord,
    /// How far past that moment was when the store was opened under another boot.
    pub overdue: Duration,
    /// The jobs of its runs that are not final.
    pub unfinished: BTreeSet<JobId>,
}

/// What scheduling needs of a job that is not final: no parameters, no environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Its id.
    pub id: JobId,
    /// The user that submitted it.
    pub owner: u32,
    /// Its place in an array.
    pub place: Option<ArrayPlace>,
    /// Where it stands; a running one as it was written.
    pub state: State,
    /// Not before this moment; rebased if it was made under another boot.
    pub not_before: Option<Deadline>,
    /// When it came.
    pub submitted_at: WallTime,
    /// The place in its queue that a user gave it.
    pub turn: Option<Turn>,
    /// Its queue; jobs of one queue share the text.
    pub queue: Arc<str>,
    /// Its kind; jobs of one kind share the text.
    pub kind: Arc<str>,
    /// Higher goes first.
    pub priority: i32,
    /// The class its spec asks for.
    pub class: Class,
    /// Core permits on the pool.
    pub cpus: u32,
    /// Its retry policy.
    pub retry: RetryPolicy,
    /// Never run again when it is unknown whether an attempt ended.
    pub at_most_once: bool,
    /// How many attempts it has had, the running one included.
    pub attempts: u32,
    /// How many of these do not count against its retries.
    pub pardoned: u32,
    /// The daemon died while it ran, and it has not ended otherwise since.
    pub suspicion: Option<Suspicion>,
    /// Why it is held, or is to be, if somebody said so.
    pub reason: Option<Box<str>>,
    /// The limits it stands under beside those of its queue and lane; shared where the texts are equal.
    pub limits: Option<Arc<Limits>>,
    /// A user asked for its running attempt to be cancelled.
    pub cancel_asked: bool,
    /// A user wants it held instead of run again.
    pub hold_asked: bool,
    /// The token of its running attempt.
    pub token: Option<AttemptToken>,
    /// Its unique key.
    pub unique: Option<Arc<str>>,
    /// What it still requires of other jobs, while it waits or is held.
    pub requires: Vec<Awaited>,
    /// It and those behind it are written down as one: so many, with indexes so far apart.
    pub fold: Option<Fold>,
}

/// Reads beside the writer. No call holds a read transaction open when it returns.
pub trait Reader: Send {
    /// One page of the jobs that `filter` describes, those that are written down as one included.
    fn page(&mut self, filter: &Filter, page: Page) -> Result<Vec<Job>, StoreError>;

    /// How the elements of these arrays stand; arrays that are not there are left out.
    fn arrays(&mut self, arrays: &[JobId]) -> Result<Vec<ArrayTally>, StoreError>;

    /// The ids, states and outcomes of all jobs that `filter` describes, in the order of their ids, but
    /// for those that are written down as one.
    fn select(&mut self, filter: &Filter) -> Result<Vec<Selected>, StoreError>;

    /// The arrays of which `filter` describes all that is written down as one.
    fn folds(&mut self, filter: &Filter) -> Result<Vec<FoldedElements>, StoreError>;

    /// One job with its attempts, oldest first.
    fn job(&mut self, id: JobId) -> Result<Option<(Job, Vec<AttemptRecord>)>, StoreError>;

    /// The specs and contexts of jobs, in the order asked; ids that are not there are left out.
    fn specs(&mut self, ids: &[JobId]) -> Result<Vec<Work>, StoreError>;

    /// What these jobs require, by job and by what they require.
    fn requirements(&mut self, ids: &[JobId]) -> Result<Vec<Edge>, StoreError>;

    /// What others require of these jobs, in the same order.
    fn dependents(&mut self, ids: &[JobId]) -> Result<Vec<Edge>, StoreError>;

    /// How many jobs there are, by queue and state.
    fn counts(&mut self) -> Result<Vec<(String, State, u64)>, StoreError>;
}

/// What one job requires of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The job that requires it.
    pub job: JobId,
    /// Where that job stands.
    pub state: State,
    /// What it requires, and how the other job ended.
    pub awaited: Awaited,
    /// It has passed this for good, until it is run again.
    pub passed: bool,
}

/// The work of a job, read when its turn comes near.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Which job.
    pub id: JobId,
    /// Its place in an array.
    pub place: Option<ArrayPlace>,
    /// How often it was edited.
    pub edits: u32,
    /// What to do.
    pub spec: Arc<Spec>,
    /// In which surroundings.
    pub context: Arc<Context>,
}
