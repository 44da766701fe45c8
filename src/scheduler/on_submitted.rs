//! Jobs come in.

use super::places::{asked, decline};
use super::table::{Asks, Place, Record, Slot};
use super::{Action, Decline, Entry, Scheduler};
use crate::job::{Awaited, Came, Deadline, Now, State, Turn, WallTime};

impl Scheduler {
    /// Takes committed jobs in. One that is here already, or whose state says that it does not wait,
    /// is declined and changes nothing.
    pub(super) fn on_submitted(
        &mut self,
        now: Now,
        entries: Vec<Entry>,
        actions: &mut Vec<Action>,
    ) {
        self.take_all(entries, |entry| born(now, entry), actions);
    }

    /// Takes committed jobs in that were born as it is told.
    pub(super) fn take_all(
        &mut self,
        entries: Vec<Entry>,
        born: impl Fn(&Entry) -> i64,
        actions: &mut Vec<Action>,
    ) {
        let mut slots = Vec::with_capacity(entries.len());
        for mut entry in entries {
            if let Some(slot) = self.jobs.find(entry.id) {
                let state = self.jobs.get(slot).state;
                decline(entry.id, Decline::State(state), actions);
            } else if entry.state.is_final() || entry.state == State::Running {
                decline(entry.id, Decline::State(entry.state), actions);
            } else {
                let requires = std::mem::take(&mut entry.requires);
                slots.push((self.take_in(born(&entry), &entry), requires));
            }
        }
        self.await_others(slots);
    }

    /// Only when all are in, since jobs that come together may require each other in any order.
    fn await_others(&mut self, slots: Vec<(Slot, Vec<Awaited>)>) {
        for (slot, requires) in slots {
            self.dependencies.revived(self.jobs.get(slot).id);
            if !requires.is_empty() {
                let jobs = &self.jobs;
                self.dependencies.insert(slot, requires, |job| jobs.find(job).is_some());
            }
            self.enter(slot);
        }
    }

    fn take_in(&mut self, born: i64, entry: &Entry) -> Slot {
        let queue = self.queues.number(&entry.queue);
        let (class, permits) = asked(entry.demand);
        let limits = entry.limits.as_deref();
        let inside = entry.demand.inside;
        let limits = self.come_under((entry.id, entry.owner), entry.place, limits, inside);
        self.latest = self.latest.max(born);
        let slot = self.jobs.insert(Record {
            id: entry.id,
            born,
            queue,
            owner: entry.owner,
            priority: entry.priority,
            attempts: entry.attempts,
            pardoned: entry.pardoned,
            policy: self.policies.take(&entry.retry),
            limits,
            state: entry.state,
            asks: Asks::new(class, permits),
            place: Place::Held,
        });
        if let Some(turn) = entry.turn.filter(|turn| (turn.beside, turn.offset) != (entry.id, 0)) {
            self.jobs.put_beside(slot, Some((turn.beside, turn.offset)));
        }
        self.alone.suspect(slot, entry.suspicion);
        self.queues.get_mut(queue).counts.held += 1;
        match (entry.not_before, entry.state) {
            (Some(moment), State::Scheduled | State::Held | State::Waiting) => {
                self.timers.remember(slot, moment);
            }
            (None, State::Scheduled) => {
                self.timers.remember(slot, Deadline::after(self.clock, std::time::Duration::ZERO));
            }
            _ => {}
        }
        if let (State::Held, Some(reason)) = (entry.state, &entry.reason) {
            self.reasons.insert(slot, reason.clone());
        }
        slot
    }
}

/// When the job counts as having come.
fn came(entry: &Entry) -> WallTime {
    match entry.turn {
        Some(Turn { came: Came::At(moment), .. }) => moment,
        _ => entry.submitted_at,
    }
}

/// When the job came, on the boot clock, in microseconds; before the boot it is negative.
pub(super) fn born(now: Now, entry: &Entry) -> i64 {
    let waited = i64::try_from(now.wall.since(came(entry)).as_micros()).unwrap_or(i64::MAX);
    i64::try_from(now.boot.as_micros()).unwrap_or(i64::MAX).saturating_sub(waited)
}
