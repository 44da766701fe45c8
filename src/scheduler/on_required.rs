//! Jobs that others require end or come back, and those that wait for them go on.

use super::dependencies::Verdict;
use super::table::{Place, Slot};
use super::{Action, Scheduler};
use crate::job::{Ending, JobId, Now, State};

impl Scheduler {
    /// A job ended and that is synced: whoever requires something of it is looked at.
    pub(super) fn tell_dependents(&mut self, job: JobId, ending: &Ending) {
        for slot in self.dependencies.ended(job, ending) {
            if self.jobs.get(slot).place == Place::Waiting {
                self.dependencies.enter(slot);
            }
        }
    }

    /// Asks for the move of every waiting job that can go on or never will, as far as the disk
    /// keeps up: a job may have a hundred thousand dependents.
    pub(super) fn move_decided(&mut self, now: Now, actions: &mut Vec<Action>) {
        while self.may_fire() {
            let Some(slot) = self.dependencies.take_decided(now) else { return };
            if self.jobs.get(slot).place != Place::Waiting {
                continue;
            }
            match self.dependencies.verdict(slot) {
                Verdict::Waits => {}
                Verdict::Skipped(why) => {
                    self.write_move(now, slot, State::Skipped, Some(why), actions);
                }
                Verdict::Passes => {
                    let to = self.ready_state(now, slot);
                    self.write_move(now, slot, to, None, actions);
                }
            }
        }
    }

    /// Where a job goes that no other job and nobody's hand keeps: its time may not have come.
    pub(super) fn ready_state(&self, now: Now, slot: Slot) -> State {
        let early = self.timers.moment(slot).is_some_and(|moment| !moment.is_due(now));
        if early { State::Scheduled } else { State::Queued }
    }

    /// Whether a job requires something of this one and has not passed it.
    pub fn is_waited_for(&self, job: JobId) -> bool {
        self.dependencies.wanted_by(job).next().is_some()
    }

    /// Who requires something of this job and has not passed it, in the order of their ids.
    pub fn waits_for(&self, job: JobId) -> Vec<JobId> {
        let slots = self.dependencies.wanted_by(job);
        let mut ids: Vec<_> = slots.map(|slot| self.jobs.get(slot).id).collect();
        ids.sort_unstable();
        ids
    }
}
