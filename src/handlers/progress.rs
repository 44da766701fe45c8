//! How far an attempt is, told without locks and read by anybody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Units done out of a total, which is zero while it is not known. The unit is the kind's own, for
/// file work bytes.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    waits: AtomicBool,
}

impl Progress {
    /// Says how much there is to do.
    pub fn expect(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// Says that so much more is done.
    pub fn advance(&self, by: u64) {
        self.done.fetch_add(by, Ordering::Relaxed);
    }

    /// Says whether the work has yet to begin, for want of something that the system has none of just now.
    pub fn wait(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// Whether the work has yet to begin.
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// What is done, and the total if that is known.
    pub fn read(&self) -> (u64, Option<u64>) {
        let total = self.total.load(Ordering::Relaxed);
        (self.done.load(Ordering::Relaxed), (total > 0).then_some(total))
    }
}
