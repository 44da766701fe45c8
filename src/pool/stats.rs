//! What a pool is doing, read without disturbing it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::shared::Shared;
use super::slot::{Mode, Slot};

/// One look at a pool. The figures are read one after the other while the pool runs, so they may disagree by what
/// happened meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Core permits there should be.
    pub cores: usize,
    /// Extra threads there may be.
    pub blocking: usize,
    /// Threads there are.
    pub threads: usize,
    /// Threads that sleep.
    pub sleeping: usize,
    /// Threads that look for work.
    pub searching: usize,
    /// Permits held by running closures and outside holders.
    pub permits_in_use: usize,
    /// Permits their holders have lent and will want back.
    pub permits_lent: usize,
    /// Entries in the permit line.
    pub permits_waiting: usize,
    /// Closures that wait to be run.
    pub queued: usize,
    /// Closures of the blocking line that run.
    pub blocking_running: usize,
    /// How often a closure that waited without having said so was noticed.
    pub waits_noticed: u64,
    /// How often a blocking closure that burned a core was charged a permit.
    pub burns_noticed: u64,
    /// One entry a thread slot that was ever used.
    pub workers: Vec<WorkerStats>,
}

/// One worker's counters since its slot was first used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerStats {
    /// The slot's number, as in the thread's name.
    pub index: usize,
    /// Kernel thread id; 0 while the slot has no thread.
    pub tid: i32,
    /// What it is doing: `idle`, `cpu`, `blocking` or `waiting`.
    pub doing: &'static str,
    /// Permits its closure is charged.
    pub permits: usize,
    /// Closures and sub-jobs run.
    pub run: u64,
    /// Times it took work from another worker.
    pub stolen: u64,
    /// Closures it took out of the common queues.
    pub injected: u64,
    /// Times it went to sleep.
    pub parked: u64,
    /// Time in declared waits and in closures declared blocking.
    pub blocked: Duration,
    /// Time in waits that were noticed from outside.
    pub found_blocked: Duration,
    /// Time with permits in hand.
    pub busy: Duration,
}

impl WorkerStats {
    fn read(index: usize, slot: &Slot) -> Self {
        let duty = slot.duty();
        let counters = &slot.counters;
        Self {
            index,
            tid: slot.tid.load(std::sync::atomic::Ordering::Relaxed),
            doing: match duty.mode {
                Mode::Idle => "idle",
                Mode::Cpu => "cpu",
                Mode::Blocking => "blocking",
                Mode::Waiting => "waiting",
            },
            permits: duty.charge,
            run: counters.run.get(),
            stolen: counters.stolen.get(),
            injected: counters.injected.get(),
            parked: counters.parked.get(),
            blocked: Duration::from_nanos(counters.blocked_ns.get()),
            found_blocked: Duration::from_nanos(counters.found_blocked_ns.get()),
            busy: Duration::from_nanos(counters.busy_ns.get()),
        }
    }
}

impl Stats {
    pub(super) fn read(shared: &Arc<Shared>) -> Self {
        let balance = shared.book.balance();
        let workers = (0..shared.threads.used_slots())
            .map(|index| WorkerStats::read(index, shared.slot(index)))
            .collect();
        Self {
            cores: shared.threads.cores(),
            blocking: shared.threads.blocking(),
            threads: shared.threads.alive(),
            sleeping: shared.sleep.sleeping(),
            searching: shared.sleep.searching(),
            permits_in_use: (shared.book.total() as i64 - i64::from(balance.free)).max(0) as usize,
            permits_lent: shared.lent.get(),
            permits_waiting: balance.waiters as usize,
            queued: shared.queued(),
            blocking_running: shared.blocking.running(),
            waits_noticed: shared.watch.waits_noticed(),
            burns_noticed: shared.watch.burns_noticed(),
            workers,
        }
    }
}
