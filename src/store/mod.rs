//! The memory: where jobs, attempts and queues are written down so that no crash loses them.
//!
//! Owns the [`Store`] and [`Reader`] traits and what each call promises for recovery; `sqlite` is the
//! embedded implementation and `conformance` the suite that every implementation passes. Never
//! decides anything about a job. Invariant: what [`Store::commit`] returned `Ok` for is on the disk.

use std::sync::Arc;

use std::path::PathBuf;

use crate::job::{
    ArrayPlace, AttemptRecord, AttemptToken, Change, Class, Context, Deadline, Job, JobId, Outcome,
    QueueRecord, RetryPolicy, Spec, State, StoreId, WallTime,
};

/// A store, owned by one writer thread.
pub trait Store: Send {
    /// Writes the changes in order as one synced commit.
    ///
    /// Each change is taken whole or refused alone, without harm to its neighbours; the answers stand
    /// in the order of the changes. When the call returns `Ok`, everything it took is synced. When it
    /// returns `Err`, nothing of the batch may be counted on, and [`StoreError`] says whether the
    /// same batch may be given again.
    fn commit(&mut self, batch: &[Change]) -> Result<Vec<Result<(), Refusal>>, StoreError>;

    /// Hands every job that is not final to `visit`, in the order of their ids.
    fn pending(&mut self, visit: &mut dyn FnMut(Pending)) -> Result<(), StoreError>;

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
    /// Whether the life before this one ended in order (see [`Store::close`]).
    pub clean: bool,
    /// The queues that were set.
    pub queues: Vec<QueueRecord>,
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
    /// A user asked for its running attempt to be cancelled.
    pub cancel_asked: bool,
    /// The token of its running attempt.
    pub token: Option<AttemptToken>,
}

/// Reads beside the writer. No call holds a read transaction open when it returns.
pub trait Reader: Send {
    /// One page of the jobs that `filter` describes.
    fn page(&mut self, filter: &Filter, page: Page) -> Result<Vec<Job>, StoreError>;

    /// The ids, states and outcomes of all jobs that `filter` describes, in the order of their ids.
    fn select(&mut self, filter: &Filter) -> Result<Vec<Selected>, StoreError>;

    /// One job with its attempts, oldest first.
    fn job(&mut self, id: JobId) -> Result<Option<(Job, Vec<AttemptRecord>)>, StoreError>;

    /// The specs and contexts of jobs, in the order asked; ids that are not there are left out.
    fn specs(&mut self, ids: &[JobId]) -> Result<Vec<Work>, StoreError>;

    /// How many jobs there are, by queue and state.
    fn counts(&mut self) -> Result<Vec<(String, State, u64)>, StoreError>;
}

/// The work of a job, read when its turn comes near.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Which job.
    pub id: JobId,
    /// What to do.
    pub spec: Arc<Spec>,
    /// In which surroundings.
    pub context: Arc<Context>,
}

/// A job that a filter found.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// Its id.
    pub id: JobId,
    /// Its owner.
    pub owner: u32,
    /// Where it stands.
    pub state: State,
    /// How its latest ended attempt ended.
    pub outcome: Option<Outcome>,
}

/// Which jobs; every field narrows, an empty one does not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Jobs whose id lies in one of these ranges, both ends included.
    pub ids: Vec<(JobId, JobId)>,
    /// Array elements: the array's id and a range of indexes, both ends included. Widens `ids`.
    pub elements: Vec<(JobId, u64, u64)>,
    /// Jobs of this user.
    pub owner: Option<u32>,
    /// Only the whole latest submission of `owner` (or of anybody without one).
    pub last: bool,
    /// Jobs in one of these states.
    pub states: Vec<State>,
    /// Failed jobs whose last outcome is one of these words (see [`Outcome::word`]). Widens `states`.
    pub outcomes: Vec<String>,
    /// Jobs in one of these queues.
    pub queues: Vec<String>,
    /// Jobs of one of these names; `*` stands for any characters.
    pub names: Vec<String>,
    /// Jobs of one of these kinds.
    pub kinds: Vec<String>,
    /// Jobs that reached their final state before this moment.
    pub finished_before: Option<WallTime>,
}

/// Which part of a long answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Newest first instead of oldest first.
    pub newest_first: bool,
    /// Go on behind this id.
    pub after: Option<JobId>,
    /// At most so many jobs.
    pub limit: u32,
}

/// Why a store refused one change; the others of its batch are not harmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The attempt token is not the job's current one.
    #[error("job {0}: the outcome came from an attempt that is no longer its current one")]
    Stale(JobId),
    /// There is no such job.
    #[error("job {0} is not in the store")]
    NoSuchJob(JobId),
    /// The job stands elsewhere than the change assumed.
    #[error("job {job} is {found}, not {expected}")]
    Elsewhere {
        /// Which job.
        job: JobId,
        /// Where it stands.
        found: State,
        /// Where the change assumed it.
        expected: State,
    },
    /// The queue still has unfinished jobs.
    #[error("queue {0:?} still has unfinished jobs: cancel or finish them first")]
    QueueInUse(String),
    /// There is no such queue.
    #[error("there is no queue {0:?}")]
    NoSuchQueue(String),
    /// An invariant of the database forbids it.
    #[error("the store forbids it: {0}")]
    Invariant(String),
}

/// Why a store can't do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no room left. Nothing of the batch was taken; it may be given again.
    #[error("no space left for {path}: free some space, the daemon goes on by itself", path = .0.display())]
    Full(PathBuf),
    /// The file is open for writing elsewhere and stayed so.
    #[error("{path} is locked by another program: is another daemon using this state directory?", path = .0.display())]
    Locked(PathBuf),
    /// The file or its directory can't be written.
    #[error("{path} can't be opened for writing ({reason}): check its owner and permissions", path = .path.display())]
    Denied {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The file was written by a newer program. It was not touched.
    #[error("{path} has schema {found}, this program knows up to {known}: install the newer version; the file was not touched", path = .path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its schema number.
        found: i64,
        /// The newest schema number this program knows.
        known: i64,
    },
    /// The file is no database of ours. It was not touched.
    #[error("{path} is not a job store ({reason}): move it away to start with an empty one; the file was not touched", path = .path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading or writing failed. What the last batch left behind is unknown until it is reopened.
    #[error("{path}: {reason}", path = .path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
}
