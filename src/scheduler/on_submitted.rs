//! Jobs come in.

use super::places::decline;
use super::table::{Place, Record};
use super::{Action, Decline, Entry, Scheduler};
use crate::job::{Class, Deadline, Now, State};

impl Scheduler {
    /// Takes committed jobs in. One that is here already, or whose state says that it does not wait,
    /// is declined and changes nothing.
    pub(super) fn on_submitted(
        &mut self,
        now: Now,
        entries: Vec<Entry>,
        actions: &mut Vec<Action>,
    ) {
        for entry in entries {
            if let Some(slot) = self.jobs.find(entry.id) {
                let state = self.jobs.get(slot).state;
                decline(entry.id, Decline::State(state), actions);
            } else if entry.state.is_final() || entry.state == State::Running {
                decline(entry.id, Decline::State(entry.state), actions);
            } else {
                self.take_in(now, &entry);
            }
        }
    }

    fn take_in(&mut self, now: Now, entry: &Entry) {
        let queue = self.queues.number(&entry.queue);
        let class = if entry.demand.class == Class::Auto { Class::Cpu } else { entry.demand.class };
        let permits = if class == Class::Cpu { entry.demand.permits.max(1) } else { 1 };
        let limits = entry.limits.as_deref();
        let (limits, grown) = self.limits.take(entry.id, entry.owner, entry.place, limits);
        for limit in grown {
            self.offer(limit);
        }
        let slot = self.jobs.insert(Record {
            id: entry.id,
            born: born(now, entry),
            queue,
            owner: entry.owner,
            priority: entry.priority,
            permits,
            attempts: entry.attempts,
            policy: self.policies.take(&entry.retry),
            limits,
            state: entry.state,
            class,
            place: Place::Held,
        });
        self.queues.get_mut(queue).counts.held += 1;
        match (entry.not_before, entry.state) {
            (Some(moment), State::Scheduled | State::Held) => self.timers.remember(slot, moment),
            (None, State::Scheduled) => {
                self.timers.remember(slot, Deadline::after(now, std::time::Duration::ZERO));
            }
            _ => {}
        }
        self.enter(slot);
    }
}

/// The submission's moment on the boot clock, in microseconds; before the boot it is negative.
fn born(now: Now, entry: &Entry) -> i64 {
    let waited = i64::try_from(now.wall.since(entry.submitted_at).as_micros()).unwrap_or(i64::MAX);
    i64::try_from(now.boot.as_micros()).unwrap_or(i64::MAX).saturating_sub(waited)
}
