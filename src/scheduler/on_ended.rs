//! An attempt ended: capacity comes back at once, and where the job goes is written down.

use std::time::Duration;

use super::limits::Units;
use super::table::{Place, Record, Slot};
use super::{Action, CancelWish, HoldWish, Running, Scheduler, Writing, seat};
use crate::job::{AttemptToken, Change, Deadline, JobId, Now, Outcome, State, Usage, jitter_seed};

/// What a lane reports.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) usage: Usage,
    pub(super) retry_after: Option<Duration>,
    pub(super) retryable: bool,
}

impl Scheduler {
    pub(super) fn on_ended(
        &mut self,
        now: Now,
        job: JobId,
        token: AttemptToken,
        end: End,
        actions: &mut Vec<Action>,
    ) {
        let Some(slot) = self.jobs.find(job) else { return };
        let current = self.running.get(&slot).map(|running| self.token(running.counter));
        if current != Some(token) {
            return;
        }
        let Some(running) = self.running.remove(&slot) else { return };
        let queue = self.jobs.get(slot).queue;
        self.queues.get_mut(queue).recent.note(&end.outcome, end.usage.wall);
        self.free(slot, &running.units, Place::Writing);
        let pause = self.retry_pause(slot, &end);
        let next = next_state(&running, &end.outcome, pause);
        if let Some(pause) = pause.filter(|_| !next.is_final()) {
            self.timers.remember(slot, Deadline::after(now, pause));
        }
        if let (State::Held, Some(HoldWish { reason: Some(reason) })) = (next, running.hold) {
            self.reasons.insert(slot, reason.into());
        }
        let keeps = matches!(next, State::Scheduled | State::Held);
        let not_before = if keeps { self.timers.moment(slot) } else { None };
        let writing = Writing::Ended { counter: token.counter, next, again: None };
        self.writing.insert(slot, writing);
        let End { outcome, usage, .. } = end;
        let at = now.wall;
        let change = Change::Ended { job, token, outcome, usage, at, next, not_before };
        actions.push(Action::Write(change));
    }

    /// Gives back what the attempt held, or what was set aside for it.
    pub(super) fn free(&mut self, slot: Slot, units: &Units, place: Place) {
        let Record { queue, asks, limits, .. } = *self.jobs.get(slot);
        let (class, permits) = (asks.class(), asks.permits());
        self.rooms[seat(class)].give_back(permits);
        self.give_back(limits, units);
        self.place(slot, place);
        self.refresh(queue);
    }

    /// How long the job is to pause before its next attempt, if it is to have one.
    fn retry_pause(&self, slot: Slot, end: &End) -> Option<Duration> {
        let record = self.jobs.get(slot);
        let policy = self.policies.get(record.policy);
        let used = record.attempts.saturating_sub(record.pardoned).saturating_sub(1);
        let again = end.retryable && policy.wants_retry(&end.outcome, used);
        let seed = jitter_seed(self.store, record.id);
        let pause = || policy.backoff.pause(used.saturating_add(1), seed);
        again.then(|| pause().max(end.retry_after.unwrap_or_default()))
    }
}

/// Where the job goes. A success that came before the cancellation took hold stays a success: the
/// work is done, and saying otherwise would make somebody do it again.
fn next_state(running: &Running, outcome: &Outcome, pause: Option<Duration>) -> State {
    let cancelled = running.cancel != CancelWish::None && *outcome != Outcome::Succeeded;
    match pause {
        _ if cancelled => State::Cancelled,
        None => outcome.final_state(),
        Some(_) if running.hold.is_some() => State::Held,
        Some(pause) if pause.is_zero() => State::Queued,
        Some(_) => State::Scheduled,
    }
}
