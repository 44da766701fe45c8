//! Time has passed: jobs become due.

use super::table::Place;
use super::{Action, Scheduler, Writing};
use crate::job::{Now, State};

/// While so many changes are under way to the disk, jobs that become due wait for room there: a
/// million that become due together must neither stall the loop nor pile up behind a slow disk.
const MOST_WRITING: usize = 10_000;

impl Scheduler {
    /// Asks for the move of every job that became due, as far as the disk keeps up.
    pub(super) fn fire_timers(&mut self, now: Now, actions: &mut Vec<Action>) {
        while self.may_fire() {
            let Some(slot) = self.timers.take_due(now) else { return };
            match self.jobs.get(slot).place {
                Place::Writing => {
                    let Some(Writing::Ended { again, .. }) = self.writing.get_mut(&slot) else {
                        continue;
                    };
                    let Some(change) = again.take() else { continue };
                    self.timers.forget(slot);
                    if let crate::job::Change::Ended { not_before: Some(moment), .. } = *change {
                        self.timers.remember(slot, moment);
                    }
                    actions.push(Action::Write(*change));
                }
                _ => self.write_move(now, slot, State::Queued, None, actions),
            }
        }
    }

    /// Whether the disk keeps up with what is under way.
    pub(super) fn may_fire(&self) -> bool {
        self.writing.len() < MOST_WRITING
    }
}
