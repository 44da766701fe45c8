//! A flag that one worker waits for and another sets.
//!
//! Owns the three states unset, slept over, set. Never touches the latch after setting it: the waiter may free it at
//! once. Invariant: a waiter that sleeps is woken by the one who sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::parker::LATCH;
use super::slot::Slot;
use super::worker::Worker;

const UNSET: u32 = 0;
const SLEPT_OVER: u32 = 1;
const SET: u32 = 2;

/// How often a waiter looks at the latch and for sub-jobs before it sleeps and hands its permit on: some tens of
/// microseconds, about what the sleep would cost.
const LOOKS: u32 = 96;
/// The first of these looks are made without offering the core to others.
const LOOKS_ALONE: u32 = 48;
/// At first only every so many looks try to steal. Whoever steals each sub-job the moment it is forked tosses a tree that
/// leans to one side to and fro between two cores, a level at a time, and each toss costs more than most sub-jobs.
const LOOKS_A_STEAL: u32 = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Latch {
    state: AtomicU32,
}

impl Latch {
    /// Whether it is set.
    pub(super) fn is_set(&self) -> bool {
        self.state.load(Ordering::Acquire) == SET
    }

    /// Sets it. `owner` is the waiter's slot; the latch itself may be gone as soon as it is set.
    pub(super) fn set(&self, owner: &Slot) {
        if self.state.swap(SET, Ordering::AcqRel) == SLEPT_OVER {
            owner.parker.unpark(LATCH);
        }
    }

    /// Waits on a worker, which runs its own sub-jobs and those of others meanwhile.
    pub(super) fn wait(&self, worker: &Worker) {
        let mut looks = 0;
        while !self.is_set() {
            let steals = looks >= LOOKS_ALONE || looks % LOOKS_A_STEAL == LOOKS_A_STEAL - 1;
            let own = worker.deques.children.pop();
            if let Some(job) = own.or_else(|| steals.then(|| worker.steal_child()).flatten()) {
                worker.slot.counters.run.add(1);
                job.run();
                looks = 0;
            } else if looks < LOOKS {
                looks += 1;
                if looks < LOOKS_ALONE {
                    std::hint::spin_loop();
                } else {
                    // The one who sets the latch may be waiting for this core.
                    std::thread::yield_now();
                }
            } else {
                self.sleep(worker);
                looks = 0;
            }
        }
    }

    fn sleep(&self, worker: &Worker) {
        let slept =
            self.state.compare_exchange(UNSET, SLEPT_OVER, Ordering::AcqRel, Ordering::Acquire);
        if slept != Err(SET) {
            let slot = Arc::clone(&worker.slot);
            worker.wait_outside(|| {
                while !self.is_set() {
                    let _ = slot.parker.park(None);
                }
            });
        }
    }
}
