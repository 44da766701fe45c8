//! How many threads there are and may be, which slots they use, and which of them are awake.
//!
//! Owns thread creation and retirement. Never decides what a thread does. Invariant: a slot belongs to at most one
//! thread, and what is left in a slot's deques stays on the map, so that others steal it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::options::MAX_THREADS;
use super::parker::EXIT;
use super::shared::Shared;
use super::sync::lock;
use super::worker;

/// Threads and their bounds.
#[derive(Debug)]
pub(super) struct Threads {
    cores: AtomicUsize,
    blocking: AtomicUsize,
    roll: Mutex<Roll>,
}

#[derive(Debug, Default)]
struct Roll {
    alive: usize,
    used_slots: usize,
    free_slots: Vec<usize>,
}

impl Threads {
    pub(super) fn new(cores: usize, blocking: usize) -> Self {
        Self {
            cores: AtomicUsize::new(cores),
            blocking: AtomicUsize::new(blocking),
            roll: Mutex::default(),
        }
    }

    /// The wished number of core permits.
    pub(super) fn cores(&self) -> usize {
        self.cores.load(Ordering::Relaxed)
    }

    /// The wished number of extra threads.
    pub(super) fn blocking(&self) -> usize {
        self.blocking.load(Ordering::Relaxed)
    }

    /// The most threads: one a core, the extra ones, and one spare a core that takes over while another sleeps over a
    /// stolen sub-job.
    pub(super) fn limit(&self) -> usize {
        (2 * self.cores() + self.blocking()).min(MAX_THREADS)
    }

    /// How many threads there are.
    pub(super) fn alive(&self) -> usize {
        lock(&self.roll).alive
    }

    /// Slots that ever had a thread.
    pub(super) fn used_slots(&self) -> usize {
        lock(&self.roll).used_slots
    }

    pub(super) fn set_limits(&self, cores: usize, blocking: usize) {
        self.cores.store(cores, Ordering::Relaxed);
        self.blocking.store(blocking, Ordering::Relaxed);
    }

    fn reserve(&self) -> Option<usize> {
        let mut roll = lock(&self.roll);
        if roll.alive >= self.limit() {
            return None;
        }
        let slot = match roll.free_slots.pop() {
            Some(slot) => slot,
            None if roll.used_slots < MAX_THREADS => {
                roll.used_slots += 1;
                roll.used_slots - 1
            }
            None => return None,
        };
        roll.alive += 1;
        Some(slot)
    }

    /// A thread is gone (or was never started).
    pub(super) fn release(&self, slot: usize) {
        let mut roll = lock(&self.roll);
        roll.alive -= 1;
        roll.free_slots.push(slot);
    }

    /// Whether all threads satisfy a count taken under the lock that thread creation needs.
    pub(super) fn all_are(&self, count: impl FnOnce() -> usize) -> bool {
        let roll = lock(&self.roll);
        roll.alive == count()
    }
}

impl Shared {
    /// Starts one more thread that begins with the token, if the limit and the kernel allow.
    pub(super) fn start_thread(self: &Arc<Self>, token: u32) -> bool {
        if self.closing.is_closed() {
            return false;
        }
        let Some(index) = self.threads.reserve() else { return false };
        self.slot(index).parker.unpark(token);
        let shared = Arc::clone(self);
        let name = format!("{}-{index}", self.options.name);
        let started = thread::Builder::new().name(name).spawn(move || worker::main(shared, index));
        if started.is_err() {
            // Out of threads or memory: take the token back; the work stays queued for the threads that exist.
            let _ = self.slot(index).parker.try_take();
            self.threads.release(index);
        }
        started.is_ok()
    }

    /// Changes the sizes. Growing takes effect at once; shrinking lets closures that run finish and surplus threads go
    /// as soon as they have nothing to do.
    pub(super) fn resize(self: &Arc<Self>, cores: usize, blocking: usize) {
        self.threads.set_limits(cores, blocking);
        self.spin.resize(cores);
        self.start_lookers();
        let grants = self.book.resize(cores);
        self.settle(grants);
        self.blocking.resize(self, blocking);
        self.retire_sleepers();
        self.permits_are_free();
    }

    /// Starts one thread a core, each of which looks for work once before it sleeps.
    pub(super) fn start_lookers(self: &Arc<Self>) {
        while self.threads.alive() < self.threads.cores() {
            self.sleep.begin_search();
            if !self.start_thread(super::parker::LOOK) {
                self.sleep.end_search();
                return;
            }
        }
    }

    /// Sends sleepers away while there are more threads than allowed.
    fn retire_sleepers(self: &Arc<Self>) {
        let mut surplus = self.threads.alive().saturating_sub(self.threads.limit());
        while surplus > 0 {
            let Some(index) = self.sleep.pop() else { return };
            self.slot(index).parker.unpark(EXIT);
            surplus -= 1;
        }
    }
}

/// One bit a slot: set while its worker is up or its deque of closures is not empty.
#[derive(Debug)]
pub(super) struct AwakeMap {
    words: Box<[AtomicU64]>,
    /// Words that were ever used.
    used: AtomicUsize,
}

impl AwakeMap {
    pub(super) fn new() -> Self {
        let words = (0..MAX_THREADS.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { words, used: AtomicUsize::new(0) }
    }

    /// The worker got up; must come before its first push.
    pub(super) fn set(&self, index: usize) {
        self.used.fetch_max(index / 64 + 1, Ordering::SeqCst);
        self.words[index / 64].fetch_or(1 << (index % 64), Ordering::SeqCst);
    }

    /// The worker lies down with empty deques.
    pub(super) fn clear(&self, index: usize) {
        self.words[index / 64].fetch_and(!(1 << (index % 64)), Ordering::SeqCst);
    }

    /// Visits the workers that are up until `f` says yes.
    pub(super) fn any(&self, mut f: impl FnMut(usize) -> bool) -> bool {
        let used = self.used.load(Ordering::SeqCst);
        for (place, word) in self.words[..used].iter().enumerate() {
            let mut bits = word.load(Ordering::SeqCst);
            while bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                if f(place * 64 + bit) {
                    return true;
                }
                bits &= bits - 1;
            }
        }
        false
    }
}
