//! How long a worker that ran out of work looks on before it sleeps.
//!
//! Owns the budget. Invariant: at rest nobody spins, and a pool whose work comes too seldom for spinning to pay spins
//! hardly at all: the window shrinks with each search that ends in sleep.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use super::options::Options;

/// The window while searches end in work: a little more than an event loop needs to come round with its next closure.
const LONG: Duration = Duration::from_micros(20);
/// The window while they end in sleep; only enough to meet a burst.
const SHORT: Duration = Duration::from_micros(2);
/// How many good searches in a row the memory holds.
const MEMORY: i32 = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Spin {
    score: AtomicI32,
    spinners: AtomicUsize,
    most: AtomicUsize,
    pays: bool,
}

impl Spin {
    pub(super) fn new(cores: usize) -> Self {
        let spin = Self {
            score: AtomicI32::new(0),
            spinners: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            pays: Options::may_spin(),
        };
        spin.resize(cores);
        spin
    }

    /// Half the workers may look on at once, the others sleep at once.
    pub(super) fn resize(&self, cores: usize) {
        self.most.store(cores.div_ceil(2), Ordering::Relaxed);
    }

    /// Asks to look on; the answer is for how long. Every `Some` is followed by one [`Self::leave`].
    pub(super) fn enter(&self) -> Option<Duration> {
        if !self.pays {
            return None;
        }
        if self.spinners.fetch_add(1, Ordering::Relaxed) >= self.most.load(Ordering::Relaxed) {
            self.spinners.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(if self.score.load(Ordering::Relaxed) > 0 { LONG } else { SHORT })
    }

    /// Looks no more; `found` says whether it was worth it.
    pub(super) fn leave(&self, found: bool) {
        self.spinners.fetch_sub(1, Ordering::Relaxed);
        let score = self.score.load(Ordering::Relaxed);
        let next = if found { (score + 2).min(MEMORY) } else { (score - 1).max(-MEMORY) };
        if next != score {
            self.score.store(next, Ordering::Relaxed);
        }
    }
}
