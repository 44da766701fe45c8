//! Moments that jobs wait for.
//!
//! Invariant: every armed job has a moment; a job that is held or being written may keep a moment
//! that is not armed, to be looked at when it comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::table::Slot;
use crate::job::{Deadline, Now};

/// Armed and remembered moments.
#[derive(Debug, Default)]
pub(super) struct Timers {
    moments: BTreeMap<Slot, Deadline>,
    armed: BTreeSet<(Duration, Slot)>,
}

impl Timers {
    /// Remembers the job's moment without arming it.
    pub(super) fn remember(&mut self, slot: Slot, moment: Deadline) {
        self.disarm(slot);
        self.moments.insert(slot, moment);
    }

    /// Arms the moment that is remembered.
    pub(super) fn arm(&mut self, slot: Slot) {
        if let Some(moment) = self.moments.get(&slot) {
            self.armed.insert((moment.boot, slot));
        }
    }

    /// Lets the moment pass unnoticed, but remembers it.
    pub(super) fn disarm(&mut self, slot: Slot) {
        if let Some(moment) = self.moments.get(&slot) {
            self.armed.remove(&(moment.boot, slot));
        }
    }

    pub(super) fn forget(&mut self, slot: Slot) {
        self.disarm(slot);
        self.moments.remove(&slot);
    }

    pub(super) fn moment(&self, slot: Slot) -> Option<Deadline> {
        self.moments.get(&slot).copied()
    }

    pub(super) fn is_armed(&self, slot: Slot) -> bool {
        self.moment(slot).is_some_and(|moment| self.armed.contains(&(moment.boot, slot)))
    }

    /// The next armed moment.
    pub(super) fn next(&self) -> Option<Deadline> {
        self.armed.first().and_then(|&(_, slot)| self.moment(slot))
    }

    /// Disarms and hands out the next job whose moment has come.
    pub(super) fn take_due(&mut self, now: Now) -> Option<Slot> {
        let &(boot, slot) = self.armed.first()?;
        if boot > now.boot {
            return None;
        }
        self.armed.pop_first();
        Some(slot)
    }

    pub(super) fn lens(&self) -> (usize, usize) {
        (self.armed.len(), self.moments.len())
    }
}
