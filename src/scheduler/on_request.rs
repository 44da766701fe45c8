//! What users ask of one job: cancel, hold, release.

use super::dependencies::Verdict;
use super::places::decline;
use super::table::{Place, Slot};
use super::{Action, CancelWish, Decline, HoldWish, Scheduler};
use crate::job::{Change, JobId, Now, State};

impl Scheduler {
    pub(super) fn on_cancel(
        &mut self,
        now: Now,
        job: JobId,
        reason: Option<String>,
        actions: &mut Vec<Action>,
    ) {
        let Some(slot) = self.unwritten(job, actions) else { return };
        if self.jobs.get(slot).place == Place::Running {
            self.cancel_running(job, slot, reason, actions);
        } else {
            self.write_move(now, slot, State::Cancelled, reason, actions);
        }
    }

    /// The wish is written before the attempt is ended, so that a crash in between can't run again
    /// what the user saw die. While nothing may start the disk may be full, perhaps by this very
    /// job: then the attempt is ended at once. A repeated request is written again, for its answer,
    /// but aborts nothing twice.
    fn cancel_running(
        &mut self,
        job: JobId,
        slot: Slot,
        reason: Option<String>,
        actions: &mut Vec<Action>,
    ) {
        let Some(running) = self.running.get_mut(&slot) else { return };
        if running.cancel == CancelWish::Asked {
            return decline(job, Decline::Busy, actions);
        }
        actions.push(Action::Write(Change::CancelAsked { job, reason }));
        if running.cancel == CancelWish::None {
            running.cancel = CancelWish::Asked;
            if !self.starts {
                self.abort(slot, actions);
            }
        }
    }

    /// Ends a running attempt that is to be cancelled; once.
    pub(super) fn abort(&mut self, slot: Slot, actions: &mut Vec<Action>) {
        let job = self.jobs.get(slot).id;
        let Some(running) = self.running.get_mut(&slot) else { return };
        if running.cancel == CancelWish::Asked {
            running.cancel = CancelWish::Aborted;
            actions.push(Action::Abort { job, token: running.token });
        }
    }

    pub(super) fn on_hold(
        &mut self,
        now: Now,
        job: JobId,
        reason: Option<String>,
        actions: &mut Vec<Action>,
    ) {
        let Some(slot) = self.unwritten(job, actions) else { return };
        if let Some(running) = self.running.get_mut(&slot) {
            running.hold = Some(HoldWish { reason: reason.clone() });
            actions.push(Action::Write(Change::HoldAsked { job, hold: true, reason }));
            return;
        }
        if let Some(reason) = reason.as_deref().filter(|_| self.jobs.get(slot).state != State::Held)
        {
            self.reasons.insert(slot, reason.into());
        }
        self.write_move(now, slot, State::Held, reason, actions);
    }

    pub(super) fn on_release(&mut self, now: Now, job: JobId, actions: &mut Vec<Action>) {
        let Some(slot) = self.unwritten(job, actions) else { return };
        let state = self.jobs.get(slot).state;
        if let Some(running) = self.running.get_mut(&slot)
            && running.hold.take().is_some()
        {
            actions.push(Action::Write(Change::HoldAsked { job, hold: false, reason: None }));
            return;
        }
        if state != State::Held {
            return decline(job, Decline::State(state), actions);
        }
        let to = match self.dependencies.verdict(slot) {
            Verdict::Passes => self.ready_state(now, slot),
            Verdict::Waits | Verdict::Skipped(_) => State::Waiting,
        };
        self.write_move(now, slot, to, None, actions);
    }

    /// The job, unless it is unknown or a change of it is under way.
    pub(super) fn unwritten(&self, job: JobId, actions: &mut Vec<Action>) -> Option<Slot> {
        let Some(slot) = self.jobs.find(job) else {
            decline(job, Decline::Unknown, actions);
            return None;
        };
        if self.jobs.get(slot).place == Place::Writing {
            decline(job, Decline::Busy, actions);
            return None;
        }
        Some(slot)
    }
}
