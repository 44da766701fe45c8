//! The disk answers: a change that was asked for is synced, or was refused.

use super::dependencies::Verdict;
use super::table::Slot;
use super::{Action, CancelWish, Scheduler, WRITE_AGAIN, Writing};
use crate::job::{Change, Deadline, Ending, JobId, Now, Outcome, State};

impl Scheduler {
    /// Applies a synced change. Changes that were not asked for here, or no longer matter, are
    /// passed over.
    pub(super) fn on_committed(&mut self, change: &Change, actions: &mut Vec<Action>) {
        let Some((slot, step)) = self.answered(change) else { return };
        match step {
            Answered::Goes(to) => {
                let job = self.jobs.get(slot).id;
                let suspicion = self.alone.suspicion(slot);
                self.settle(slot, to, actions);
                if is_planned(change) && !to.is_final() {
                    self.alone.suspect(slot, suspicion);
                }
                if to.is_final() {
                    self.tell_dependents(job, &ending(change, to));
                }
            }
            Answered::CancelAsked => self.abort(slot, actions),
        }
    }

    /// Puts the job back where it was. What only the scheduler wanted is asked for again later;
    /// what a user wanted is up to the user.
    pub(super) fn on_refused(&mut self, now: Now, change: Change) {
        if let Change::HoldAsked { job, hold: true, .. } = change {
            let running = self.jobs.find(job).and_then(|slot| self.running.get_mut(&slot));
            if let Some(running) = running {
                running.hold = None;
            }
            return;
        }
        if let Change::Edited(edited) = &change {
            return self.take_edit_back(edited.job);
        }
        let Some((slot, step)) = self.answered(&change) else { return };
        match step {
            Answered::CancelAsked => {
                if let Some(running) = self.running.get_mut(&slot)
                    && running.cancel == CancelWish::Asked
                {
                    running.cancel = CancelWish::None;
                }
            }
            Answered::Goes(to) if matches!(change, Change::Moved { .. }) => {
                self.put_back(now, slot, to);
            }
            Answered::Goes(_) => self.write_end_later(now, slot, change),
        }
    }

    /// A refused move leaves the job in its old state.
    fn put_back(&mut self, now: Now, slot: Slot, to: State) {
        self.writing.remove(&slot);
        let from = self.jobs.get(slot).state;
        if to == State::Held {
            self.reasons.remove(&slot);
        }
        if (from, to) == (State::Scheduled, State::Queued) {
            self.timers.remember(slot, Deadline::after(now, WRITE_AGAIN));
        }
        // What decided it may have been taken back meanwhile: a job that it requires is run again.
        let decided = self.dependencies.verdict(slot) != Verdict::Waits;
        if decided && from == State::Waiting && to != State::Held && to != State::Cancelled {
            self.dependencies.put_off(slot, Deadline::after(now, WRITE_AGAIN));
        }
        self.enter(slot);
    }

    /// An attempt that ended can't be put back: its end is written again after a pause, and until
    /// then the job neither runs nor is forgotten.
    fn write_end_later(&mut self, now: Now, slot: Slot, change: Change) {
        if let Some(Writing::Ended { again, .. }) = self.writing.get_mut(&slot) {
            *again = Some(Box::new(change));
            self.timers.remember(slot, Deadline::after(now, WRITE_AGAIN));
            self.timers.arm(slot);
        }
    }

    /// Which job's change this is and what it would do, if it is one that is under way.
    fn answered(&self, change: &Change) -> Option<(Slot, Answered)> {
        let find = |job: JobId| self.jobs.find(job);
        match change {
            Change::Moved { job, from, to, .. } => {
                let slot = find(*job)?;
                let asked =
                    matches!(self.writing.get(&slot)?, Writing::Moved(wanted) if wanted == to);
                (asked && self.jobs.get(slot).state == *from).then_some((slot, Answered::Goes(*to)))
            }
            Change::Ended { job, token, .. } => {
                let slot = find(*job)?;
                match self.writing.get(&slot)? {
                    Writing::Ended { token: ended, next, again: None } => {
                        (ended == token).then_some((slot, Answered::Goes(*next)))
                    }
                    _ => None,
                }
            }
            Change::CancelAsked { job, .. } => Some((find(*job)?, Answered::CancelAsked)),
            _ => None,
        }
    }
}

/// Whether an attempt ended because the daemon wanted it: that says nothing of what its job is suspected of.
fn is_planned(change: &Change) -> bool {
    matches!(change, Change::Ended { outcome: Outcome::Interrupted, .. })
}

/// How a job came to its end by this change.
fn ending(change: &Change, state: State) -> Ending {
    let outcome = match change {
        Change::Ended { outcome, .. } => Some(outcome.clone()),
        _ => None,
    };
    Ending::Final { state, outcome }
}

/// What an answer from the disk is about.
enum Answered {
    /// The job was to go to this state.
    Goes(State),
    /// A running attempt was to be cancelled.
    CancelAsked,
}
