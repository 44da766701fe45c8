//! Everything that can happen to the control loop: one closed list.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::requests::RequestId;
use super::writer::Written;
use crate::job::{
    ArrayPlace, AttemptToken, Condition, Context, Deadline, Drain, Edited, Ending, Fold, Job,
    JobId, Move, Now, Rate, Requirement, Spec, WallTime,
};
use crate::lanes::{Ended, Lending};
use crate::protocol::{self, Error, Finished};
use crate::scheduler::{Entry, Explanation, FoldedEntry, Planned};
use crate::store::{Edge, FoldedElements, Work};

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
    /// The work of jobs whose turn comes soon was read from the store.
    ReadAhead(Vec<Work>),
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
    /// It was read how the jobs ended that an edited one requires from now on.
    KnownEdit {
        /// The edit, which is written down.
        edited: Box<Edited>,
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
    /// Change what is folded of arrays, as one.
    ChangeFolded(JobChange, Vec<JobId>, Answer<protocol::ChangeReply>),
    /// Run elements again that ended as one.
    RetryFolded(Vec<FoldedElements>, Answer<protocol::ChangeReply>),
    /// Forget elements that ended as one.
    RemoveFolded(Vec<FoldedElements>, Answer<protocol::ChangeReply>),
    /// Make jobs of their own of the next elements of those that ended as one.
    UnfoldEnded(Box<FoldedElements>, Answer<protocol::ChangeReply>),
    /// Make jobs of their own of elements of folded arrays, each up to an id.
    Unfold(Vec<(JobId, JobId)>, Answer<()>),
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
    /// Make a schedule; its number, and its name if it has none, are still to be given.
    AddSchedule(Box<Planned>, Answer<protocol::Schedule>),
    /// Tell all schedules of a user, or of all users.
    Schedules(Option<u32>, oneshot::Sender<Vec<protocol::Schedule>>),
    /// Tell one schedule.
    ShowSchedule(ScheduleName, Answer<protocol::Schedule>),
    /// Pause, resume or drop a schedule.
    ChangeSchedule(ScheduleName, ScheduleChange, Answer<()>),
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
    Drain(Option<Drain>, Answer<()>),
    /// End the daemon.
    Stop(bool, oneshot::Sender<()>),
}

/// What can be done to a job that is not final.
#[derive(Clone, Debug)]
pub(super) enum JobChange {
    /// End it.
    Cancel(Option<String>),
    /// Keep it where it is.
    Hold(Option<String>),
    /// Let it go on.
    Release,
    /// Make it something else.
    Edit(Arc<Edition>),
}

impl JobChange {
    /// What it does, as a past participle.
    pub(super) const fn done(&self) -> &'static str {
        match self {
            Self::Cancel(_) => "cancelled",
            Self::Hold(_) => "held",
            Self::Release => "released",
            Self::Edit(_) => "edited",
        }
    }
}

/// What is to become of jobs that a user edits: checked, and the same for all but their work.
#[derive(Debug)]
pub(super) struct Edition {
    /// What each is to be, with how often it had been edited.
    pub(super) works: HashMap<JobId, Work>,
    /// When they may start, if that changes.
    pub(super) begin: Option<NewBegin>,
    /// What they require of other jobs, if that changes.
    pub(super) requires: Option<Arc<[Requirement]>>,
    /// Their place in their queue, if that changes.
    pub(super) turn: Option<Move>,
    /// Only what counts after an attempt changes.
    pub(super) later: bool,
}

/// When an edited job may start.
#[derive(Clone, Copy, Debug)]
pub(super) enum NewBegin {
    /// At once.
    Now,
    /// Then.
    Later(Begin),
}

/// How a client names a schedule.
#[derive(Clone, Debug)]
pub(super) struct ScheduleName {
    /// Its name or its number.
    pub(super) text: String,
    /// The client.
    pub(super) uid: u32,
    /// Whether the schedules of others are its business.
    pub(super) admin: bool,
}

/// What can be done to a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScheduleChange {
    /// Nothing comes of it for now, for this reason.
    Pause(Option<String>),
    /// It goes on.
    Resume,
    /// It goes.
    Remove,
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
    /// More elements, which are like the last one.
    pub(super) fold: Option<Fold>,
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

/// Elements of an array that are no jobs of their own yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoldedRange {
    /// The array.
    pub(super) array: JobId,
    /// Whose they are.
    pub(super) owner: u32,
    /// The first of them.
    pub(super) first: JobId,
    /// Its index.
    pub(super) first_index: u64,
    /// How many, and how far apart their indexes are.
    pub(super) fold: Fold,
}

impl FoldedRange {
    /// What is folded in the scheduler's eyes.
    pub(super) fn of(folded: &FoldedEntry) -> Self {
        let FoldedEntry { first, fold, .. } = folded;
        let place = first.place;
        Self {
            array: place.map_or(first.id, |place| place.array),
            owner: first.owner,
            first: first.id,
            first_index: place.map_or(0, |place| place.index),
            fold: *fold,
        }
    }

    /// Elements as a store tells of them.
    pub(super) fn told(elements: &FoldedElements) -> Self {
        let first = &elements.first;
        Self {
            array: elements.folded().array,
            owner: first.owner,
            first: first.id,
            first_index: first.place.map_or(0, |place| place.index),
            fold: elements.fold,
        }
    }

    /// The last of them.
    pub(super) fn last(&self) -> JobId {
        self.first.after(self.fold.count - 1)
    }

    /// The last of those with an index up to this one.
    pub(super) fn through_index(&self, index: u64) -> Option<JobId> {
        let steps = index.checked_sub(self.first_index)? / self.fold.step;
        Some(self.first.after(steps.min(self.fold.count - 1)))
    }
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
    /// The moment, for a job that is taken now: a time of day follows the wall clock, a delay the boot clock.
    pub(super) fn deadline(self, now: Now) -> Deadline {
        match self {
            Self::At(moment) => Deadline::at(moment),
            Self::In(delay) => Deadline::after(now, delay),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Follows;

    #[test]
    fn a_time_of_day_follows_the_wall_clock_and_a_delay_the_boot_clock() {
        let now = Now { boot: Duration::from_secs(5), wall: WallTime(7) };
        let at = Begin::At(WallTime(9)).deadline(now);
        assert_eq!((at.follows, at.wall), (Follows::Wall, WallTime(9)));
        let delay = Begin::In(Duration::from_secs(2)).deadline(now);
        assert_eq!((delay.follows, delay.boot), (Follows::Boot, Duration::from_secs(7)));
    }
}
