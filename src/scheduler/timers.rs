//! Moments that jobs wait for.
//!
//! Some follow the boot clock (delays), some the wall clock (times of day), each in an order of its
//! own: a step of the wall clock moves none of the first and all of the second. Invariant: every armed
//! job has a moment; a job that is held or being written may keep a moment that is not armed, to be
//! looked at when it comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::table::Slot;
use crate::job::{Deadline, Follows, Now, WallTime};

/// Armed and remembered moments.
#[derive(Debug, Default)]
pub(super) struct Timers {
    moments: BTreeMap<Slot, Deadline>,
    by_boot: BTreeSet<(Duration, Slot)>,
    by_wall: BTreeSet<(WallTime, Slot)>,
}

impl Timers {
    /// Remembers the job's moment without arming it.
    pub(super) fn remember(&mut self, slot: Slot, moment: Deadline) {
        self.disarm(slot);
        self.moments.insert(slot, moment);
    }

    /// Arms the moment that is remembered.
    pub(super) fn arm(&mut self, slot: Slot) {
        match self.moments.get(&slot) {
            Some(Deadline { boot, follows: Follows::Boot, .. }) => {
                self.by_boot.insert((*boot, slot));
            }
            Some(Deadline { wall, follows: Follows::Wall, .. }) => {
                self.by_wall.insert((*wall, slot));
            }
            None => {}
        }
    }

    /// Lets the moment pass unnoticed, but remembers it.
    pub(super) fn disarm(&mut self, slot: Slot) {
        if let Some(moment) = self.moments.get(&slot) {
            self.by_boot.remove(&(moment.boot, slot));
            self.by_wall.remove(&(moment.wall, slot));
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
        self.moment(slot).is_some_and(|moment| match moment.follows {
            Follows::Boot => self.by_boot.contains(&(moment.boot, slot)),
            Follows::Wall => self.by_wall.contains(&(moment.wall, slot)),
        })
    }

    /// The next armed moment that follows the boot clock.
    pub(super) fn next(&self) -> Option<Deadline> {
        self.by_boot.first().and_then(|&(_, slot)| self.moment(slot))
    }

    /// The next armed moment that follows the wall clock.
    pub(super) fn next_wall(&self) -> Option<WallTime> {
        self.by_wall.first().map(|&(wall, _)| wall)
    }

    /// Disarms and hands out the next job whose moment has come.
    pub(super) fn take_due(&mut self, now: Now) -> Option<Slot> {
        if self.by_boot.first().is_some_and(|&(boot, _)| boot <= now.boot) {
            return self.by_boot.pop_first().map(|(_, slot)| slot);
        }
        if self.by_wall.first().is_some_and(|&(wall, _)| wall <= now.wall) {
            return self.by_wall.pop_first().map(|(_, slot)| slot);
        }
        None
    }

    pub(super) fn lens(&self) -> (usize, usize) {
        (self.by_boot.len() + self.by_wall.len(), self.moments.len())
    }
}
