//! Which jobs a question is about, and which part of a long answer is wanted.

use crate::job::{ArrayPlace, Job, JobId, Outcome, State, WallTime};

/// A job that a filter found.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// Its id.
    pub id: JobId,
    /// Its owner.
    pub owner: u32,
    /// Its place in an array.
    pub place: Option<ArrayPlace>,
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
    /// Jobs that reached their final state at this moment or later.
    pub finished_since: Option<WallTime>,
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
    /// Each array is one job: the first of its elements that the page would have.
    pub collapse: bool,
}

/// How the elements of one array stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayTally {
    /// The array.
    pub array: JobId,
    /// The least index.
    pub first: u64,
    /// The greatest index.
    pub last: u64,
    /// How many elements stand in which state.
    pub counts: Vec<(State, u64)>,
}

impl Filter {
    /// Whether a job fits every field but `last`.
    pub(super) fn fits(&self, job: &Job) -> bool {
        self.names(job) && self.describes(job)
    }

    /// Whether it is one of the jobs that are named by id or by place, or none is.
    fn names(&self, job: &Job) -> bool {
        let Self { ids, elements, .. } = self;
        (ids.is_empty() && elements.is_empty())
            || ids.iter().any(|(from, to)| (from..=to).contains(&&job.id))
            || elements.iter().any(|(array, from, to)| {
                job.place.is_some_and(|at| at.array == *array && (*from..=*to).contains(&at.index))
            })
    }

    /// Whether it fits every field but those that name it and `last`.
    pub(super) fn describes(&self, job: &Job) -> bool {
        let Self { owner, states, outcomes, queues, names, kinds, .. } = self;
        let word = job.outcome.as_ref().map(crate::job::Outcome::word);
        let failed_so = job.state == State::Failed
            && outcomes.iter().any(|outcome| word == Some(outcome.as_str()));
        let state =
            (states.is_empty() && outcomes.is_empty()) || states.contains(&job.state) || failed_so;
        let name = |pattern: &String| {
            job.spec
                .name
                .as_deref()
                .is_some_and(|name| matches(pattern.as_bytes(), name.as_bytes()))
        };
        let finished = self
            .finished_before
            .is_none_or(|moment| job.finished_at.is_some_and(|finished| finished < moment));
        let recent = self
            .finished_since
            .is_none_or(|moment| job.finished_at.is_some_and(|finished| finished >= moment));
        state
            && finished
            && recent
            && owner.is_none_or(|owner| job.owner == owner)
            && (queues.is_empty() || queues.contains(&job.spec.queue))
            && (kinds.is_empty() || kinds.contains(&job.spec.kind))
            && (self.schedules.is_empty() || self.fits_schedule(job))
            && (names.is_empty() || names.iter().any(name))
    }

    fn fits_schedule(&self, job: &Job) -> bool {
        let named = |name: &str| self.schedules.iter().any(|wanted| wanted == name);
        job.run.as_ref().is_some_and(|run| named(&run.name))
    }
}

/// Whether a name fits a pattern in which `*` stands for any characters.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        ([want, pattern @ ..], [have, name @ ..]) => want == have && matches(pattern, name),
        _ => false,
    }
}
