//! One worker's place: what it runs, which permits it is charged, where it sleeps, what others may steal from it.
//!
//! Owns the duty word and the counters. Never schedules. Invariant: the permits in the duty word belong to the worker's
//! closure until somebody swaps them out, and whoever swaps them out gives them back to the book.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

use crossbeam_deque::{Stealer, Worker as Deque};

use super::job::JobRef;
use super::parker::Parker;
use super::placement::Place;

const CHARGE: u64 = 0xffff;
const MODE_SHIFT: u32 = 16;
const MODE: u64 = 3 << MODE_SHIFT;
const LENT: u64 = 1 << 18;
const EPOCH: u64 = 1 << 32;

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing: it searches or sleeps.
    Idle,
    /// Runs closures that hold core permits.
    Cpu,
    /// Runs a closure of the blocking line.
    Blocking,
    /// Inside a declared wait of a closure.
    Waiting,
}

/// The duty word, unpacked: mode, permits charged, whether the watch lent them, and the number of the closure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duty {
    /// What the worker does.
    pub(super) mode: Mode,
    /// Permits the book has written down for its closure.
    pub(super) charge: usize,
    /// The watch found the closure waiting and gave its permits to others.
    pub(super) lent: bool,
    /// Counts closures, so that a sample can tell whether it still looks at the same one.
    pub(super) epoch: u32,
}

impl Duty {
    fn unpack(word: u64) -> Self {
        let mode = match (word & MODE) >> MODE_SHIFT {
            0 => Mode::Idle,
            1 => Mode::Cpu,
            2 => Mode::Blocking,
            _ => Mode::Waiting,
        };
        Self {
            mode,
            charge: (word & CHARGE) as usize,
            lent: word & LENT != 0,
            epoch: (word >> 32) as u32,
        }
    }

    fn pack(self) -> u64 {
        let lent = if self.lent { LENT } else { 0 };
        (u64::from(self.epoch) << 32)
            | lent
            | ((self.mode as u64) << MODE_SHIFT)
            | self.charge as u64
    }
}

/// Counters that only the worker (or the watch, for `blocked_ns`) adds to, and anybody reads.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Closures and sub-jobs run.
    pub(super) run: Tally,
    /// Of these, taken from another worker.
    pub(super) stolen: Tally,
    /// Of these, taken out of the injector or the blocking line by this worker.
    pub(super) injected: Tally,
    /// How often it went to sleep.
    pub(super) parked: Tally,
    /// Time in declared waits and in closures of the blocking line.
    pub(super) blocked_ns: Tally,
    /// Waiting time that the watch found in closures declared cpu.
    pub(super) found_blocked_ns: Tally,
    /// Time with core permits in hand, declared waits taken out.
    pub(super) busy_ns: Tally,
}

/// A counter with one writer: a load and a store, no locked instruction.
#[derive(Debug, Default)]
pub(super) struct Tally(AtomicU64);

impl Tally {
    /// Adds; only the one writer calls it.
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }

    /// Reads.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The two deques of a worker: sub-jobs of the closure it runs, and closures it took in.
#[derive(Debug)]
pub(super) struct Deques {
    /// Last in first out: fork-join children.
    pub(super) children: Deque<JobRef>,
    /// First in first out: spawned closures.
    pub(super) spawned: Deque<JobRef>,
}

/// See the module. Slots are kept and used again by later threads; addresses stay.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Slot {
    duty: AtomicU64,
    /// Where it sleeps.
    pub(super) parker: Parker,
    /// On which core.
    pub(super) place: Place,
    /// Kernel thread id, 0 while no thread is here.
    pub(super) tid: AtomicI32,
    /// Permits its closure was given at first, for the watch to charge again.
    pub(super) given: AtomicUsize,
    /// Counters.
    pub(super) counters: Counters,
    /// The thieves' end of the children.
    pub(super) children: Stealer<JobRef>,
    /// The thieves' end of the spawned closures.
    pub(super) spawned: Stealer<JobRef>,
    /// The owner's end, while no thread is here.
    pub(super) deques: Mutex<Option<Deques>>,
}

impl Slot {
    /// A slot without a thread.
    pub(super) fn new() -> Self {
        let deques = Deques { children: Deque::new_lifo(), spawned: Deque::new_fifo() };
        Self {
            duty: AtomicU64::new(0),
            parker: Parker::default(),
            place: Place::default(),
            tid: AtomicI32::new(0),
            given: AtomicUsize::new(0),
            counters: Counters::default(),
            children: deques.children.stealer(),
            spawned: deques.spawned.stealer(),
            deques: Mutex::new(Some(deques)),
        }
    }

    /// The duty at this moment.
    pub(super) fn duty(&self) -> Duty {
        Duty::unpack(self.duty.load(Ordering::SeqCst))
    }

    /// The worker begins its next closure on what it is charged; returns the duty as it was. One locked add, which both
    /// tells samplers that this is another closure and reads whether the watch has taken the permits meanwhile.
    pub(super) fn next_closure(&self) -> Duty {
        Duty::unpack(self.duty.fetch_add(EPOCH, Ordering::SeqCst))
    }

    /// The worker changes its duty, whatever it was; returns what it was, with the permits that were charged.
    pub(super) fn set(&self, mode: Mode, charge: usize) -> Duty {
        let mut word = self.duty.load(Ordering::SeqCst);
        loop {
            let was = Duty::unpack(word);
            let next = Duty { mode, charge, lent: false, epoch: was.epoch.wrapping_add(1) };
            match self.duty.compare_exchange_weak(
                word,
                next.pack(),
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => return was,
                Err(seen) => word = seen,
            }
        }
    }

    /// The watch changes the charge of a closure it has sampled; fails if the duty is no longer the one it saw.
    pub(super) fn recharge(&self, seen: Duty, charge: usize, lent: bool) -> bool {
        let next = Duty { charge, lent, ..seen };
        self.duty
            .compare_exchange(seen.pack(), next.pack(), Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}
