//! Why a store refuses one change, and why it can't do its work at all.

use std::path::PathBuf;

use crate::job::{JobId, ScheduleId, State};

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
    /// Somebody else edited the job since this edit was made.
    #[error("job {0} was edited by somebody else meanwhile: look at it again and repeat the edit")]
    EditedMeanwhile(JobId),
    /// Another job still waits for it.
    #[error("job {by} waits for job {job}: cancel job {by} first, or wait until it has gone on")]
    Awaited {
        /// Which job.
        job: JobId,
        /// Who waits for it.
        by: JobId,
    },
    /// The queue still has unfinished jobs.
    #[error("queue {0:?} still has unfinished jobs: cancel or finish them first")]
    QueueInUse(String),
    /// There is no such schedule.
    #[error("there is no schedule {0}")]
    NoSuchSchedule(ScheduleId),
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
