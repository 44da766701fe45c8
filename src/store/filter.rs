//! Which jobs a question is about, and which part of a long answer is wanted.

use crate::job::{JobId, Outcome, State, WallTime};

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
    /// Why it was held, cancelled or skipped.
    pub reason: Option<String>,
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
    /// Jobs of runs of one of these schedules, by the schedule's name.
    pub schedules: Vec<String>,
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
