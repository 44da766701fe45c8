//! Attempts go on that were under way when the daemon's program was replaced.
//!
//! They were started by the last life, so their tokens are of it, and they hold what they were given then: room,
//! places under limits, units. What runs is never taken back, so all of it is charged whether or not it is free.

use std::sync::Arc;

use super::limit_names::Named;
use super::limits::{LimitTable, Units};
use super::on_submitted::born;
use super::places::decline;
use super::table::{Place, Record};
use super::{Action, CancelWish, Decline, Entry, HoldWish, Running, Scheduler, seat};
use crate::job::{AttemptToken, Now, State};

/// An attempt that the last life handed over.
#[derive(Clone, Debug, PartialEq)]
pub struct HandedOver {
    /// Its job, which stands as running; with its attempts, this one included.
    pub entry: Entry,
    /// The attempt's token.
    pub token: AttemptToken,
    /// A user wants it to end, and its lane knows.
    pub cancel_asked: bool,
    /// A user wants the job held before its next attempt, for the reason that the entry tells.
    pub hold_asked: bool,
    /// The units of named resources that it holds, by resource.
    pub units: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

impl Scheduler {
    /// Takes in what runs. A job that is here already, or does not stand as running, is declined.
    pub(super) fn on_handed_over(
        &mut self,
        now: Now,
        attempts: Vec<HandedOver>,
        actions: &mut Vec<Action>,
    ) {
        for handed in attempts {
            let (id, state) = (handed.entry.id, handed.entry.state);
            if let Some(slot) = self.jobs.find(id) {
                decline(id, Decline::State(self.jobs.get(slot).state), actions);
            } else if state != State::Running {
                decline(id, Decline::State(state), actions);
            } else {
                self.take_over(now, handed);
            }
        }
    }

    fn take_over(&mut self, now: Now, handed: HandedOver) {
        let HandedOver { entry, token, cancel_asked, hold_asked, units } = handed;
        let slot = self.take_in(born(now, &entry), &entry);
        let Record { queue, asks, limits, .. } = *self.jobs.get(slot);
        self.rooms[seat(asks.class())].charge(asks.permits());
        let units = self.limits.take_over(limits, &units);
        let cancel = if cancel_asked { CancelWish::Aborted } else { CancelWish::None };
        let hold = hold_asked.then(|| HoldWish { reason: entry.reason.map(String::from) });
        self.running.insert(slot, Running { token, cancel, hold, units });
        self.place(slot, Place::Running);
        self.refresh(queue);
    }
}

impl LimitTable {
    /// Counts a job with this set that runs already, with the units that it was given, as far as there are such resources.
    fn take_over(&mut self, set: u32, given: &[(Arc<str>, Vec<Arc<str>>)]) -> Units {
        for index in 0..self.of(set).len() {
            let (number, amount) = self.of(set)[index];
            if let Some(limit) = self.get_mut(number) {
                limit.used += amount;
            }
        }
        let mut units = Units::new();
        for (name, taken) in given {
            let number = self.names.find(Named::Resource(name));
            let Some(number) = number else { continue };
            if let Some(limit) = self.get_mut(number) {
                limit.held.extend(taken.iter().cloned());
                units.push((number, taken.clone()));
            }
        }
        units
    }
}
