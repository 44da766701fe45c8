//! A user changes a job that is here already.
//!
//! Owns no state of its own. A job that does not run is taken out of its line until the edit is
//! written down, so that no attempt ever begins between the old and the new; whatever came first, the
//! start or the edit, the other one finds it done.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::places::decline;
use super::table::{Beside, Place, Slot};
use super::{Action, Begin, Decline, Demand, Revision, Scheduler, Writing};
use crate::job::{
    ArrayPlace, Awaited, Change, Deadline, Edited, JobId, Now, Requirement, State, Turn,
};

/// The most requirements that are followed to see whether a job would wait for itself: some
/// milliseconds.
const MOST_FOLLOWED: usize = 100_000;

/// An edit that is under way to the disk.
#[derive(Clone, Debug)]
pub(super) struct Editing {
    /// Where the job goes.
    pub(super) to: State,
    /// What it takes from then on.
    pub(super) demand: Demand,
    /// Its place in an array.
    pub(super) place: Option<ArrayPlace>,
    /// What it requires from then on, if that changes.
    requires: Option<Arc<[Requirement]>>,
    /// When it counted as having come before, and beside whom, if that changes.
    was: Option<(i64, Beside)>,
}

impl Scheduler {
    pub(super) fn on_edit(
        &mut self,
        now: Now,
        job: JobId,
        revision: &Revision,
        actions: &mut Vec<Action>,
    ) {
        let Some(slot) = self.unwritten(job, actions) else { return };
        let from = self.jobs.get(slot).state;
        if from == State::Running && !revision.later {
            return decline(job, Decline::State(from), actions);
        }
        let turn = match self.check_edit(now, slot, revision) {
            Ok(turn) => turn,
            Err(why) => return decline(job, why, actions),
        };
        let moment = match revision.begin {
            Begin::Kept => self.timers.moment(slot),
            Begin::Now => None,
            Begin::NotBefore(moment) => Some(moment),
        };
        let to = edited_state(now, from, revision, moment);
        let keeps = matches!(to, State::Scheduled | State::Held | State::Waiting);
        if from != State::Running {
            self.leave(slot);
            self.place(slot, Place::Writing);
            let was = turn.map(|(turn, born)| self.take_turn(slot, turn, born));
            self.writing.insert(
                slot,
                Writing::Edited(Box::new(Editing {
                    to,
                    demand: revision.demand,
                    place: revision.place,
                    requires: revision.requires.clone(),
                    was,
                })),
            );
        }
        actions.push(Action::Write(Change::Edited(Box::new(Edited {
            job,
            edits: revision.edits,
            from,
            to,
            not_before: moment.filter(|_| keeps),
            requirements: revision.requires.clone(),
            turn: turn.map(|(turn, _)| turn),
            spec: Arc::clone(&revision.spec),
            context: Arc::clone(&revision.context),
            at: now.wall,
        }))));
    }

    /// What only the scheduler knows to be wrong; else the place in the queue, if that changes.
    fn check_edit(
        &self,
        now: Now,
        slot: Slot,
        revision: &Revision,
    ) -> Result<Option<(Turn, i64)>, Decline> {
        if let Some(requires) = &revision.requires {
            self.find_circle(self.jobs.get(slot).id, requires)?;
        }
        revision.turn.map(|wanted| self.new_turn(now, slot, &revision.spec, wanted)).transpose()
    }

    /// Refuses what would have the job wait for itself.
    fn find_circle(&self, job: JobId, requires: &[Requirement]) -> Result<(), Decline> {
        let mut seen = BTreeSet::new();
        let mut ahead: Vec<JobId> = requires.iter().map(|other| other.job).collect();
        let mut followed = ahead.len();
        while let Some(other) = ahead.pop() {
            if other == job {
                let through = requires.iter().map(|first| first.job);
                let through = through.into_iter().find(|first| self.leads_to(*first, job));
                return Err(Decline::Circle(through.unwrap_or(job)));
            }
            if !seen.insert(other) {
                continue;
            }
            let before = ahead.len();
            self.required_by(other, &mut ahead);
            followed += ahead.len() - before;
            if followed > MOST_FOLLOWED {
                return Err(Decline::Tangled);
            }
        }
        Ok(())
    }

    /// Whether this job is that one or waits for it, directly or through others.
    fn leads_to(&self, from: JobId, job: JobId) -> bool {
        let mut seen = BTreeSet::new();
        let mut ahead = vec![from];
        while let Some(other) = ahead.pop() {
            if other == job {
                return true;
            }
            if seen.insert(other) {
                self.required_by(other, &mut ahead);
            }
        }
        false
    }

    /// Adds what a job requires, or will require once its own edit is written down.
    fn required_by(&self, job: JobId, ahead: &mut Vec<JobId>) {
        let Some(slot) = self.jobs.find(job) else { return };
        match self.writing.get(&slot) {
            Some(Writing::Edited(editing)) if editing.requires.is_some() => {
                ahead.extend(editing.requires.iter().flat_map(|all| all.iter()).map(|r| r.job));
            }
            _ => ahead.extend(self.dependencies.of(slot).map(|(requirement, _)| requirement.job)),
        }
    }

    /// An edit is synced: the job is what it says from now on.
    pub(super) fn on_edited(
        &mut self,
        edited: &Edited,
        requires: Vec<Awaited>,
        actions: &mut Vec<Action>,
    ) {
        let Some(slot) = self.jobs.find(edited.job) else { return };
        if edited.from == State::Running {
            return self.revise_later(slot, &edited.spec);
        }
        if !matches!(self.writing.get(&slot), Some(Writing::Edited(_))) {
            return debug_assert!(false, "{} was not being edited", edited.job);
        }
        let Some(Writing::Edited(editing)) = self.writing.remove(&slot) else { return };
        self.revise(slot, &edited.spec, &editing);
        if edited.requirements.is_some() {
            self.dependencies.remove(slot);
            if !requires.is_empty() {
                let jobs = &self.jobs;
                self.dependencies.insert(slot, requires, |job| jobs.find(job).is_some());
            }
        }
        match edited.not_before {
            Some(moment) => self.timers.remember(slot, moment),
            None => self.timers.forget(slot),
        }
        let state = edited.to;
        self.jobs.get_mut(slot).state = state;
        if matches!(state, State::Queued | State::Scheduled) {
            self.dependencies.remove(slot);
        }
        self.enter(slot);
        actions.push(Action::Settled { job: edited.job, state });
    }

    /// An edit was refused: the job is what it was.
    pub(super) fn take_edit_back(&mut self, job: JobId) {
        let Some(slot) = self.jobs.find(job) else { return };
        if !matches!(self.writing.get(&slot), Some(Writing::Edited(_))) {
            return;
        }
        if let Some(Writing::Edited(editing)) = self.writing.remove(&slot)
            && let Some(was) = editing.was
        {
            self.take_turn_back(slot, was);
        }
        self.enter(slot);
    }
}

/// Where an edit leaves a job.
fn edited_state(now: Now, from: State, revision: &Revision, moment: Option<Deadline>) -> State {
    let waits = match &revision.requires {
        Some(requires) => !requires.is_empty(),
        None => from == State::Waiting,
    };
    match from {
        State::Held | State::Running => from,
        _ if waits => State::Waiting,
        _ if moment.is_some_and(|moment| !moment.is_due(now)) => State::Scheduled,
        _ => State::Queued,
    }
}
