//! Everything that can happen to the control loop: one closed list.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::requests::RequestId;
use super::writer::Written;
use crate::job::{
    ArrayPlace, AttemptToken, Condition, Context, Deadline, Ending, Job, JobId, Now, Rate,
    Requirement, Spec, WallTime,
};
use crate::lanes::{Ended, Lending};
use crate::protocol::{self, Error, Finished};
use crate::scheduler::{Entry, Explanation};
use crate::store::{Edge, Work};

/// Something that happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A session asks for something.
    Asked(Ask),
    /// An attempt ended.
    Ended(Ended),
    /// The writer has finished a batch.
    Written(Written),
    /// The writer has kept the ends of attempts in the side journal.
    Noted {
        /// How many stand there now.
        aside: usize,
    },
    /// The work of jobs whose turn has come was read from the store.
    Loaded {
        /// Which jobs were asked for.
        wanted: Vec<JobId>,
        /// Those that were found.
        found: Vec<Work>,
    },
    /// Final jobs that came back to life were read again, as they are now.
    Revived {
        /// Which, and who asked for it.
        wanted: Vec<(JobId, RequestId)>,
        /// Those that were found.
        found: Vec<Job>,
        /// What they require.
        edges: Vec<Edge>,
    },
    /// It was read how the jobs ended that these require.
    Known {
        /// Jobs that are written down and not with the scheduler yet.
        entries: Vec<Entry>,
        /// How the others ended.
        endings: Endings,
    },
    /// The operating system or the service manager wants something.
    Signal(Signal),
    /// An attempt has printed more than it may.
    Overflowed(AttemptToken),
    /// The moment that the scheduler wanted to be woken at has come.
    Due,
    /// How many core permits running jobs have lent out has changed.
    Lent,
    /// It is time to try a batch again that found no room on the disk.
    RetryWrite,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// TERM or INT: drain and end; the second time end at once.
    Stop,
    /// HUP: read the config again.
    Reload,
}

/// The way back to a session. A session that has gone meanwhile is no error.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What a session asks of the control loop.
#[derive(Debug)]
pub(super) enum Ask {
    /// Submit jobs, all or none.
    Submit(Submission, Answer<Taken>),
    /// Change jobs that are not final.
    Change(JobChange, Vec<JobId>, Answer<protocol::ChangeReply>),
    /// Run final jobs again.
    Retry(Vec<Revival>, Answer<protocol::ChangeReply>),
    /// Forget final jobs.
    Remove(Vec<JobId>, Answer<protocol::ChangeReply>),
    /// Tell when jobs become final.
    Wait(Vec<JobId>, mpsc::Sender<Finished>, oneshot::Sender<Waiting>),
    /// Stop telling.
    Unwait(WaiterId),
    /// Tell which job a running attempt is of, and how its permits are lent.
    Lend(AttemptToken, oneshot::Sender<Option<(JobId, Lending)>>),
    /// Tell which attempts run: their jobs, numbers and tokens.
    Attempts(oneshot::Sender<Vec<(JobId, u32, AttemptToken)>>),
    /// Tell why a job is where it is.
    Explain(JobId, oneshot::Sender<Option<Explanation>>),
    /// Tell how far a running job is.
    Progress(Vec<JobId>, oneshot::Sender<Vec<(JobId, u64, Option<u64>)>>),
    /// Tell all queues.
    Queues(oneshot::Sender<Vec<protocol::Queue>>),
    /// Make or change a queue.
    SetQueue(QueueChange, Answer<()>),
    /// Drop a queue.
    RemoveQueue(String, Answer<()>),
    /// Tell the lanes.
    Lanes(oneshot::Sender<protocol::LanesReply>),
    /// Change the lanes' sizes.
    SetLanes(protocol::SetLanes, Answer<protocol::LanesReply>),
    /// Tell counters.
    Stats(oneshot::Sender<protocol::StatsReply>),
    /// Tell how the daemon is.
    Status(oneshot::Sender<protocol::StatusReply>),
    /// Tell the config in force.
    Config(oneshot::Sender<protocol::ConfigReply>),
    /// Read the config again.
    Reload(Answer<protocol::ReloadReply>),
    /// Start nothing more, or start again.
    Drain(bool, oneshot::Sender<()>),
    /// End the daemon.
    Stop(bool, oneshot::Sender<()>),
}

/// What can be done to a job that is not final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobChange {
    /// End it.
    Cancel(Option<String>),
    /// Keep it where it is.
    Hold(Option<String>),
    /// Let it go on.
    Release,
}

/// What can be done to a queue's rate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum RateChange {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Off,
    /// It is this one from now on.
    To(Rate),
}

/// What can be done to a queue.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueChange {
    /// Its name.
    pub(super) name: String,
    /// A new limit; 0 takes it away.
    pub(super) max: Option<u32>,
    /// What becomes of its rate.
    pub(super) rate: RateChange,
    /// A new weight.
    pub(super) weight: Option<u32>,
    /// Pause or resume it; with the reason.
    pub(super) paused: Option<(bool, Option<String>)>,
    /// Whether it may be made by this.
    pub(super) create: bool,
}

/// How jobs ended that others require, as far as somebody has looked.
pub(super) type Endings = HashMap<JobId, Ending>;

/// A final job that is to be run again.
#[derive(Debug)]
pub(super) struct Revival {
    /// The job as it was read.
    pub(super) job: Job,
    /// It has not passed what it requires of other jobs and waits for them again.
    pub(super) waits: bool,
}

/// Jobs that were checked and only lack their ids.
#[derive(Debug)]
pub(super) struct Submission {
    /// The user that submits them.
    pub(super) owner: u32,
    /// In order; ids will be consecutive.
    pub(super) drafts: Vec<Draft>,
    /// They are the elements of one array.
    pub(super) array: bool,
    /// The submission that they continue.
    pub(super) continues: Option<JobId>,
    /// How jobs ended that these require and that had ended when they were looked at.
    pub(super) endings: Endings,
}

/// A job without an id.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// Its index, if it is an element of an array.
    pub(super) index: Option<u64>,
    /// Stays where it is until released.
    pub(super) hold: bool,
    /// A key that no other unfinished job may have, and what to do if one has.
    pub(super) unique: Option<(Arc<str>, Conflict)>,
    /// When it may start at the earliest.
    pub(super) begin: Option<Begin>,
    /// What it requires of jobs that were there before.
    pub(super) requirements: Arc<[Requirement]>,
    /// What it requires of jobs of the same submission, by their places.
    pub(super) beside: Vec<(Condition, u64)>,
    /// The work.
    pub(super) spec: Arc<Spec>,
    /// The submitter's surroundings.
    pub(super) context: Arc<Context>,
}

/// What to do when another unfinished job has the unique key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// Take that one.
    Skip,
    /// Cancel it.
    Replace,
    /// Refuse.
    Fail,
}

/// A submission that was taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    /// The first and the last new id, if there is one.
    pub(super) new: Option<(JobId, JobId)>,
    /// Jobs that were there already.
    pub(super) existing: Vec<protocol::Existing>,
}

/// When a job may start at the earliest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// At this moment.
    At(WallTime),
    /// So long after it was taken.
    In(Duration),
}

impl Begin {
    /// The moment, for a job that is taken now.
    pub(super) fn deadline(self, now: Now) -> Deadline {
        Deadline::after(
            now,
            match self {
                Self::At(moment) => moment.since(now.wall),
                Self::In(delay) => delay,
            },
        )
    }
}

impl Draft {
    /// The job's place in the array that begins with `array`.
    pub(super) fn place(&self, array: JobId) -> Option<ArrayPlace> {
        self.index.map(|index| ArrayPlace { array, index })
    }

    /// Whether it requires anything of other jobs.
    pub(super) fn requires_something(&self) -> bool {
        !self.requirements.is_empty() || !self.beside.is_empty()
    }

    /// Everything it requires, in a submission whose jobs have these ids, by their places.
    pub(super) fn requirements_among(&self, ids: &[JobId]) -> Arc<[Requirement]> {
        if self.beside.is_empty() {
            return Arc::clone(&self.requirements);
        }
        let id = |place: u64| ids.get(place as usize).copied();
        let beside = self.beside.iter();
        let beside =
            beside.filter_map(|(on, place)| Some(Requirement { job: id(*place)?, on: *on }));
        let mut all: Vec<_> = self.requirements.iter().copied().chain(beside).collect();
        // A job that was there already may be named in both ways.
        all.sort_unstable();
        all.dedup_by_key(|requirement| requirement.job);
        all.into()
    }
}

/// Names one wait, so that it can be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct WaiterId(pub(super) u64);

/// A wait that has begun.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Its name.
    pub(super) id: WaiterId,
    /// Jobs that are not unfinished any more: the store knows how they ended.
    pub(super) gone: Vec<JobId>,
}
