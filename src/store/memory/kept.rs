//! One job as a store in memory keeps it.

use std::sync::Arc;

use super::Content;
use crate::job::{
    AttemptRecord, Awaited, Deadline, Ending, Job, NewJob, Now, Outcome, Requirement, State,
    Suspicion, Turn, Usage, WallTime,
};
use crate::store::{Edge, Pending};

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) job: Job,
    /// The boot that the job's deadline was made under.
    pub(super) due_boot: String,
    pub(super) attempts: Vec<AttemptRecord>,
    pub(super) requirements: Arc<[Requirement]>,
    /// It has passed what it requires.
    pub(super) passed: bool,
    pub(super) hold_asked: bool,
    /// The place in its queue that a user gave it.
    pub(super) turn: Option<Turn>,
}

#[derive(Clone, Debug)]
pub(super) struct Boot {
    pub(super) id: String,
    pub(super) opened: Now,
}

impl Kept {
    pub(super) fn new(new: &NewJob, boot: &Boot) -> Self {
        let job = Job {
            id: new.id,
            owner: new.owner,
            submission: new.submission,
            place: new.place,
            state: new.state,
            not_before: new.not_before,
            submitted_at: new.submitted_at,
            started_at: None,
            finished_at: None,
            attempts: 0,
            pardoned: 0,
            suspicion: None,
            outcome: None,
            cancel_asked: false,
            reason: None,
            lane: None,
            unique: new.unique.clone(),
            edits: 0,
            run: new.run.clone(),
            spec: Arc::clone(&new.spec),
            context: Arc::clone(&new.context),
        };
        Self::of(job, Arc::clone(&new.requirements), boot)
    }

    pub(super) fn of(job: Job, requirements: Arc<[Requirement]>, boot: &Boot) -> Self {
        Self {
            job,
            due_boot: boot.id.clone(),
            attempts: Vec::new(),
            requirements,
            passed: false,
            hold_asked: false,
            turn: None,
        }
    }

    /// It leaves one state for another without an attempt.
    pub(super) fn moved(&mut self, (from, to): (State, State), reason: Option<&String>) {
        self.job.reason = reason.cloned();
        if from.is_final() {
            self.job.pardoned = self.job.attempts;
            self.job.suspicion = None;
            self.turn = None;
        }
        self.passed |= matches!(to, State::Queued | State::Scheduled);
    }

    /// The daemon died while it ran. One that is condemned is not to be held.
    pub(super) fn suspected(&mut self, suspicion: Suspicion, verdict: Option<&String>) {
        self.job.suspicion = Some(suspicion);
        if let Some(verdict) = verdict {
            self.job.reason = Some(verdict.clone());
            self.hold_asked = false;
        }
    }

    /// Its attempt has ended so.
    pub(super) fn ended(&mut self, outcome: &Outcome, usage: Usage, next: State, at: WallTime) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.finished_at = Some(at);
            attempt.outcome = Some(outcome.clone());
            attempt.usage = Some(usage);
        }
        if *outcome == Outcome::Interrupted && !next.is_final() {
            self.job.pardoned += 1;
        }
        if *outcome != Outcome::Interrupted {
            self.job.suspicion = None;
        }
        self.job.outcome = Some(outcome.clone());
        self.job.cancel_asked = false;
        if std::mem::take(&mut self.hold_asked) && next != State::Held {
            self.job.reason = None;
        }
    }

    pub(super) fn go(&mut self, to: State, due: Option<Deadline>, at: WallTime, boot: &Boot) {
        self.job.state = to;
        self.job.not_before = due;
        self.job.finished_at = to.is_final().then_some(at);
        self.due_boot.clone_from(&boot.id);
    }

    pub(super) fn key(&self) -> Option<(u32, Arc<str>)> {
        Some((self.job.owner, self.job.unique.clone()?))
    }

    pub(super) fn due(&self, boot: &Boot) -> Option<Deadline> {
        let same = self.due_boot == boot.id;
        self.job.not_before.map(|due| if same { due } else { due.rebased(boot.opened) })
    }

    pub(super) fn told(&self, boot: &Boot) -> Job {
        Job { not_before: self.due(boot), ..self.job.clone() }
    }

    /// What the job requires.
    pub(super) fn edges(&self, content: &Content) -> Vec<Edge> {
        let awaited = |requirement: &Requirement| {
            let ending = match content.jobs.get(&requirement.job).map(|other| &other.job) {
                None => Some(Ending::Removed),
                Some(other) => other
                    .state
                    .is_final()
                    .then(|| Ending::Final { state: other.state, outcome: other.outcome.clone() }),
            };
            Awaited { requirement: *requirement, ending }
        };
        let Job { id: job, state, .. } = self.job;
        let edge = |requirement: &Requirement| Edge {
            job,
            state,
            awaited: awaited(requirement),
            passed: self.passed,
        };
        self.requirements.iter().map(edge).collect()
    }

    pub(super) fn pending(&self, content: &Content, boot: &Boot) -> Pending {
        let told = self.job.state == State::Held || self.hold_asked;
        let waits = matches!(self.job.state, State::Waiting | State::Held) && !self.passed;
        let edges = if waits { self.edges(content) } else { Vec::new() };
        let Job { id, owner, place, state, submitted_at, attempts, cancel_asked, .. } = self.job;
        let spec = &self.job.spec;
        let running = self.attempts.last().filter(|_| state == State::Running);
        Pending {
            id,
            owner,
            place,
            state,
            not_before: self.due(boot),
            submitted_at,
            turn: self.turn,
            queue: Arc::from(spec.queue.as_str()),
            kind: Arc::from(spec.kind.as_str()),
            priority: spec.priority,
            class: spec.class,
            cpus: spec.cpus,
            retry: spec.retry.clone(),
            at_most_once: spec.at_most_once,
            attempts,
            pardoned: self.job.pardoned,
            suspicion: self.job.suspicion,
            hold_asked: self.hold_asked,
            reason: self.job.reason.as_deref().filter(|_| told).map(Box::from),
            limits: spec.limits.as_deref().cloned().map(Arc::new),
            cancel_asked,
            token: running.map(|attempt| attempt.token),
            unique: self.job.unique.clone(),
            requires: edges.into_iter().map(|edge| edge.awaited).collect(),
            fold: None,
        }
    }
}
