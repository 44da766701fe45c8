//! The disk: takes changes in order, some time later, or refuses one alone.

use super::world::World;
use crate::job::{
    AttemptToken, Awaited, Came, Change, Class, Deadline, Edited, Ending, Folded, JobId,
    RetryPolicy, State, Suspicion, Turn,
};
use crate::scheduler::{Demand, Entry, FoldedEntry, Input};

/// A job as it is on the disk.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// As it was submitted.
    pub(super) job: Entry,
    pub(super) state: State,
    pub(super) not_before: Option<Deadline>,
    pub(super) attempts: u32,
    pub(super) token: Option<AttemptToken>,
    pub(super) cancel_asked: bool,
    /// It has passed what it requires.
    pub(super) passed: bool,
    /// A user had it run again.
    pub(super) revived: bool,
    pub(super) pardoned: u32,
    pub(super) suspicion: Option<Suspicion>,
    /// It is to be held instead of run again.
    pub(super) hold_asked: bool,
    pub(super) edits: u32,
    /// The policies it had since its attempt began: an end may be decided before an edit is told.
    policies: Vec<RetryPolicy>,
}

/// Something on its way to the disk.
#[derive(Debug)]
pub(super) enum Pending {
    /// Jobs that users submitted.
    Submit(Vec<Entry>),
    /// Jobs that users submitted, with more of the same behind them.
    SubmitArray(Vec<Entry>, FoldedEntry),
    /// A finished job is to be run again.
    Revive(JobId),
    /// What the scheduler asked for.
    Change(Change),
}

impl Pending {
    pub(super) fn is(&self, change: &Change) -> bool {
        matches!(self, Self::Change(pending) if pending == change)
    }

    fn job(&self) -> Option<JobId> {
        match self {
            Self::Submit(_) | Self::SubmitArray(..) => None,
            Self::Revive(job) => Some(*job),
            Self::Change(change) => change.job(),
        }
    }
}

impl Stored {
    fn new(job: Entry) -> Self {
        let (state, not_before) = (job.state, job.not_before);
        let passed = job.requires.is_empty();
        Self {
            job,
            state,
            not_before,
            attempts: 0,
            token: None,
            cancel_asked: false,
            passed,
            revived: false,
            pardoned: 0,
            suspicion: None,
            hold_asked: false,
            edits: 0,
            policies: Vec::new(),
        }
    }

    /// What scheduling needs of it, but for how what it requires ended.
    fn entry(&self) -> Entry {
        let requires = if self.passed { Vec::new() } else { self.job.requires.clone() };
        Entry {
            requires,
            state: self.state,
            not_before: self.not_before,
            attempts: self.attempts,
            pardoned: self.pardoned,
            suspicion: self.suspicion,
            ..self.job.clone()
        }
    }

    /// Its attempt was lost, in a crash unless the machine went down.
    pub(super) fn recover(&mut self, rerun: bool, crashed: bool) {
        self.pardoned += u32::from(rerun && !self.cancel_asked);
        if rerun && crashed && self.job.demand.inside && !self.cancel_asked {
            self.suspicion = Some(Suspicion::after_crash(self.suspicion));
        }
        let to = if self.cancel_asked {
            State::Cancelled
        } else if self.is_condemned() {
            State::Failed
        } else if rerun && self.hold_asked {
            State::Held
        } else if rerun {
            State::Queued
        } else {
            State::Failed
        };
        self.go(to, None);
    }

    pub(super) fn is_condemned(&self) -> bool {
        self.suspicion.is_some_and(Suspicion::condemns)
    }

    /// It is what the edit says from now on.
    fn edit(&mut self, edited: &Edited) {
        let spec = &edited.spec;
        (self.state, self.not_before) = (edited.to, edited.not_before);
        self.edits += 1;
        self.job.queue = spec.queue.as_str().into();
        (self.job.priority, self.job.retry) = (spec.priority, spec.retry.clone());
        self.policies.push(spec.retry.clone());
        self.job.limits = spec.limits.as_deref().cloned().map(std::sync::Arc::new);
        let permits = if spec.class == Class::Cpu { spec.cpus } else { 0 };
        let inside = self.job.demand.inside;
        self.job.demand = Demand { class: spec.class, permits, inside };
        self.job.not_before = edited.not_before;
        if let Some(requires) = &edited.requirements {
            let awaited = |requirement: &_| Awaited { requirement: *requirement, ending: None };
            self.job.requires = requires.iter().map(awaited).collect();
            self.passed = false;
        }
        self.passed |= matches!(edited.to, State::Queued | State::Scheduled);
    }

    /// The only way a stored state changes but for an edit; leaving a final one needs a user's retry.
    fn go(&mut self, to: State, not_before: Option<Deadline>) {
        let id = self.job.id;
        assert!(self.state.may_become(to), "{id} goes from {} to {to}", self.state);
        assert!(!self.state.is_final(), "{id} is {} and ends once more as {to}", self.state);
        self.passed |= matches!(to, State::Queued | State::Scheduled);
        self.hold_asked &= to == State::Running;
        self.state = to;
        self.not_before = not_before;
        self.token = self.token.filter(|_| to == State::Running);
    }
}

impl World {
    /// A batch is synced.
    pub(super) fn sync_some(&mut self) {
        let batch = self.dice.roll(self.pending.len() as u64 + 1);
        for _ in 0..if self.disk_is_full { 0 } else { batch } {
            self.sync_one();
        }
    }

    pub(super) fn sync_one(&mut self) {
        match self.pending.pop_front() {
            None => {}
            Some(Pending::Submit(entries)) => self.take_jobs(&entries),
            Some(Pending::SubmitArray(entries, folded)) => {
                self.take_jobs(&entries);
                self.folds.push(folded.clone());
                self.answers.push_back(Input::Folded(Box::new(folded)));
            }
            Some(Pending::Revive(job)) => {
                let Some(stored) = self.disk.get_mut(&job) else { return };
                stored.state = if stored.passed { State::Queued } else { State::Waiting };
                (stored.cancel_asked, stored.revived) = (false, true);
                (stored.not_before, stored.pardoned) = (None, stored.attempts);
                stored.suspicion = None;
                self.lost_alone.remove(&job);
                stored.job.turn = None;
                let entry = self.entry(job);
                self.answers.push_back(Input::Submitted(vec![entry]));
            }
            Some(Pending::Change(Change::Edited(edited))) => self.sync_edit(edited),
            Some(Pending::Change(change)) => {
                let starts = matches!(change, Change::Started { .. });
                if !starts && self.refuses && self.dice.chance(4) {
                    self.put_off.extend(change.job());
                    return self.answers.push_back(Input::Refused(change));
                }
                self.apply(&change);
                self.answers.push_back(Input::Committed(change));
            }
        }
    }

    fn take_jobs(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.disk.insert(entry.id, Stored::new(entry.clone()));
        }
        let entries = entries.iter().map(|entry| self.entry(entry.id)).collect();
        self.answers.push_back(Input::Submitted(entries));
    }

    /// The next elements of an array become jobs of their own.
    fn unfold(&mut self, array: JobId, count: u64) {
        let of_array =
            |folded: &FoldedEntry| folded.first.place.is_some_and(|place| place.array == array);
        let at = self.folds.iter().position(of_array).expect("an array that is folded");
        let FoldedEntry { first, fold, at_once } = &mut self.folds[at];
        assert!((1..=*at_once).contains(&count) && count <= fold.count, "{count} of {fold:?}");
        for _ in 0..count {
            let stored = self.disk.insert(first.id, Stored::new(first.clone()));
            assert!(stored.is_none(), "{} is unfolded twice", first.id);
            first.id = first.id.after(1);
            first.place.as_mut().expect("an element").index += fold.step;
        }
        fold.count -= count;
        if fold.count == 0 {
            self.folds.remove(at);
        }
    }

    /// What is folded of an array goes elsewhere as one, and is gone when that is its end.
    fn move_folded(&mut self, moved: Folded, from: State, to: State) {
        let of_array = |folded: &FoldedEntry| {
            folded.first.place.is_some_and(|place| place.array == moved.array)
        };
        let at = self.folds.iter().position(of_array).expect("an array that is folded");
        let FoldedEntry { first, fold, .. } = &mut self.folds[at];
        assert_eq!((moved.first, moved.count), (first.id, fold.count), "moved whole");
        assert_eq!(first.state, from, "{moved:?} is elsewhere");
        assert!(from.may_become(to) && from != to, "{from} to {to}");
        first.state = to;
        if to.is_final() {
            self.folds.remove(at);
        }
    }

    /// An edit is taken if nobody edited the job in between.
    fn sync_edit(&mut self, edited: Box<Edited>) {
        let stored = self.disk.get_mut(&edited.job).expect("a synced job");
        assert_eq!(stored.state, edited.from, "{} is elsewhere", edited.job);
        if edited.edits != stored.edits || self.refuses && self.dice.chance(4) {
            return self.answers.push_back(Input::Refused(Change::Edited(edited)));
        }
        assert!(stored.state.may_be_edited_into(edited.to), "{edited:?}");
        assert!(has_time(edited.to, edited.not_before.is_some()), "{edited:?}");
        self.unanswered.entry(edited.job).or_insert_with(|| stored.job.clone());
        stored.edit(&edited);
        let turn = edited.turn.map(|turn| Turn { came: self.came_then(turn.came), ..turn });
        let stored = self.disk.get_mut(&edited.job).expect("a synced job");
        stored.job.turn = turn.or(stored.job.turn);
        let mut requires = Vec::new();
        if edited.requirements.is_some() {
            requires = self.entry(edited.job).requires;
            assert!(!self.leads_to(edited.job, edited.job), "{} waits for itself", edited.job);
        }
        self.answers.push_back(Input::Edited { edited, requires });
    }

    fn came_then(&self, came: Came) -> Came {
        let Came::With(other) = came else { return came };
        let other = &self.disk[&other].job;
        other.turn.map_or(Came::At(other.submitted_at), |turn| turn.came)
    }

    /// Whether a job waits for another one, directly or through others.
    pub(super) fn leads_to(&self, from: JobId, job: JobId) -> bool {
        let (mut seen, mut ahead) = (std::collections::BTreeSet::new(), vec![from]);
        while let Some(other) = ahead.pop() {
            let stored = &self.disk[&other];
            for awaited in stored.job.requires.iter().filter(|_| !stored.passed) {
                let next = awaited.requirement.job;
                if next == job {
                    return true;
                }
                if seen.insert(next) {
                    ahead.push(next);
                }
            }
        }
        false
    }

    /// What the daemon would tell the scheduler of a job that is on the disk: how what it requires
    /// ended, as far as the disk knows.
    pub(super) fn entry(&self, job: JobId) -> Entry {
        let mut entry = self.disk[&job].entry();
        for awaited in &mut entry.requires {
            let other = self.disk.get(&awaited.requirement.job);
            let ended = other.filter(|other| other.state.is_final());
            awaited.ending = ended.map(|other| Ending::Final { state: other.state, outcome: None });
        }
        entry
    }

    /// Nothing that the scheduler asks for may ever have to be refused for what it says.
    fn apply(&mut self, change: &Change) {
        if let Change::Unfolded { array, count } = *change {
            return self.unfold(array, count);
        }
        if let Change::FoldMoved { folded, from, to, .. } = *change {
            return self.move_folded(folded, from, to);
        }
        self.put_off.retain(|job| change.job() != Some(*job));
        let stored = change.job().and_then(|job| self.disk.get_mut(&job)).expect("a synced job");
        match change {
            Change::Started { attempt, token, .. } => {
                assert_eq!(*attempt, stored.attempts + 1, "attempts are numbered in a row");
                stored.go(State::Running, None);
                stored.attempts = *attempt;
                stored.policies = vec![stored.job.retry.clone()];
                stored.token = Some(*token);
            }
            Change::Ended { token, next, not_before, outcome, .. } => {
                assert_eq!(stored.token, Some(*token), "an outcome of an old attempt");
                assert!(!stored.cancel_asked || next.is_final(), "cancelled, but goes on");
                assert!(has_time(*next, not_before.is_some()), "{change:?}");
                let counted = stored.attempts - stored.pardoned;
                let allows = |policy: &RetryPolicy| {
                    counted <= policy.retries && policy.retry_on.covers(outcome)
                };
                assert!(next.is_final() || stored.policies.iter().any(allows), "{change:?}");
                stored.suspicion = None;
                self.lost_alone.remove(&stored.job.id);
                stored.go(*next, *not_before);
            }
            Change::Moved { from, to, not_before, .. } => {
                assert_eq!(stored.state, *from, "{} is elsewhere", stored.job.id);
                assert!(has_time(*to, not_before.is_some()), "{change:?}");
                stored.go(*to, *not_before);
            }
            Change::CancelAsked { .. } => {
                assert_eq!(stored.state, State::Running);
                stored.cancel_asked = true;
            }
            Change::HoldAsked { hold, .. } => {
                assert_eq!(stored.state, State::Running);
                stored.hold_asked = *hold;
            }
            other => panic!("{other:?} is not the scheduler's to ask for"),
        }
    }

    /// Some of what is synced becomes known, in order.
    pub(super) fn answer_some(&mut self) {
        for _ in 0..self.dice.roll(self.answers.len() as u64 + 1) {
            if let Some(answer) = self.answers.pop_front() {
                self.input(answer);
            }
        }
    }

    /// Whether something about the job is on its way to the disk or back.
    pub(super) fn is_under_way(&self, job: JobId) -> bool {
        self.pending.iter().any(|pending| pending.job() == Some(job))
            || self.answers.iter().any(|answer| match answer {
                Input::Committed(Change::Unfolded { array, .. }) => {
                    let place = self.disk.get(&job).and_then(|stored| stored.job.place);
                    place.is_some_and(|place| place.array == *array)
                        && self.scheduler.job(job).is_none()
                }
                Input::Committed(change) | Input::Refused(change) => change.job() == Some(job),
                Input::Edited { edited, .. } => edited.job == job,
                Input::Submitted(entries) => entries.iter().any(|entry| entry.id == job),
                _ => false,
            })
    }
}

/// Whether a job may have, or lack, a time in this state.
fn has_time(state: State, has: bool) -> bool {
    match state {
        State::Scheduled => has,
        State::Held | State::Waiting => true,
        _ => !has,
    }
}
