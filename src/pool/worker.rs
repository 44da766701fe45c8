//! The life of a pool thread: search, run, sleep.
//!
//! Owns its deques. Never runs a cpu closure without a permit in its duty word (but for the compensation that the watch
//! documents). Invariant at the top of each loop is written there. The protocol is in README.md.

#![allow(unsafe_code)] // The thread-local pointer to the worker.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_deque::Steal;

use super::job::JobRef;
use super::parker::{BLOCKING, EXIT, LATCH, LOOK, PERMIT};
use super::shared::Shared;
use super::slot::{Deques, Duty, Mode, Slot};
use super::sync::lock;

/// How long a worker may go on from closure to closure while somebody waits for its permit: long against the cost of a
/// hand-over (some 10 µs), short against what a waiter notices.
const QUANTUM: Duration = Duration::from_millis(2);
/// How long a search goes on before it offers its core to others between two looks.
const ALONE: Duration = Duration::from_micros(5);
/// How long a thread beyond one a core sleeps before it goes away.
const PATIENCE: Duration = Duration::from_secs(10);
/// Every so many closures the intake is looked at before the own deque, so that a closure which feeds its own worker
/// can't keep the others' closures waiting.
const INJECTOR_FIRST: u32 = 61;

thread_local! {
    static CURRENT: Cell<*const Worker> = const { Cell::new(ptr::null()) };
}

/// One thread's view of the pool.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    pub(super) slot: Arc<Slot>,
    pub(super) deques: Deques,
    /// Permits that the closure at hand was given.
    pub(super) held: Cell<usize>,
    /// Since when permits are in hand.
    since: Cell<Instant>,
    tick: Cell<u32>,
    random: Cell<u32>,
}

/// What a search found.
enum Found {
    /// A closure or sub-job for the one permit in hand.
    Cpu(JobRef),
    /// A closure with permits of its own.
    Heavy(JobRef, usize),
    /// A place in the blocking line.
    Blocking,
}

/// The thread's whole life.
pub(super) fn main(shared: Arc<Shared>, index: usize) {
    let slot = Arc::clone(shared.slot(index));
    let Some(deques) = lock(&slot.deques).take() else { return };
    super::priority::ask_for_usual_slices();
    super::priority::make_nicer(shared.options.nice);
    slot.tid.store(super::priority::thread_id(), Ordering::SeqCst);
    let worker = Worker {
        shared,
        index,
        slot,
        deques,
        held: Cell::new(0),
        since: Cell::new(Instant::now()),
        tick: Cell::new(0),
        random: Cell::new(index as u32 * 2 + 1),
    };
    CURRENT.set(&raw const worker);
    worker.shared.place(index);
    // The move is made by now; whatever this thread starts must not inherit the bond.
    worker.slot.place.set_free();
    worker.shared.awake.set(index);
    worker.live();
    CURRENT.set(ptr::null());
    worker.leave();
}

/// Runs `f` with the worker of this thread, if it is a pool thread.
pub(super) fn with_current<R>(f: impl FnOnce(Option<&Worker>) -> R) -> R {
    CURRENT.with(|current| {
        let worker = current.get();
        // SAFETY: the pointer is set while the worker lives on this very thread's stack, below this call.
        f(unsafe { worker.as_ref() })
    })
}

/// Runs `f`, which waits for something, without a core permit. See [`super::blocking`].
pub(super) fn blocking<R>(f: impl FnOnce() -> R) -> R {
    with_current(|worker| match worker {
        Some(worker) => worker.wait_outside(f),
        None => f(),
    })
}

impl Worker {
    fn live(&self) {
        let mut tokens = self.slot.parker.park(None);
        while tokens & EXIT == 0 {
            if tokens & BLOCKING != 0 {
                self.serve_blocking_line();
                self.shared.sleep.begin_search();
            }
            if tokens & PERMIT != 0 {
                self.take_up(1);
            }
            self.work();
            tokens = self.rest();
        }
        self.leave_map();
    }

    /// Takes this worker off the map of those that may have something to steal. A worker that had to give its permit
    /// away may lie down (and even go) with closures in its deque: those stay on the map for others.
    fn leave_map(&self) {
        if self.deques.spawned.is_empty() && self.deques.children.is_empty() {
            self.shared.awake.clear(self.index);
        }
    }

    fn leave(self) {
        let Self { shared, index, slot, deques, .. } = self;
        slot.tid.store(0, Ordering::SeqCst);
        *lock(&slot.deques) = Some(deques);
        shared.threads.release(index);
        // Whoever wanted a thread meanwhile may have been refused because this one still counted.
        shared.replace_if_wanted();
        shared.tell_if_ended();
        shared.close_if_done();
    }

    /// Runs what can be found. Counted as searching when called and when it returns, then without permits.
    fn work(&self) {
        while let Some(found) = self.search() {
            if self.shared.sleep.end_search() {
                // This was the last one looking: if there is more, somebody else must look now.
                self.shared.permits_are_free();
            }
            self.run(found);
            while let Some(job) = self.next_local() {
                self.run(Found::Cpu(job));
            }
            self.shared.sleep.begin_search();
        }
    }

    /// Looks everywhere, then looks on for a while, then gives up; without permits in the end.
    fn search(&self) -> Option<Found> {
        if let Some(found) = self.sweep() {
            return Some(found);
        }
        self.put_down();
        let window = self.shared.spin.enter()?;
        let found = self.look_on(window);
        self.shared.spin.leave(found.is_some());
        found
    }

    fn look_on(&self, window: Duration) -> Option<Found> {
        let begin = Instant::now();
        loop {
            for _ in 0..16 {
                if !self.shared.intake.is_empty() {
                    break;
                }
                std::hint::spin_loop();
            }
            if let Some(found) = self.sweep() {
                return Some(found);
            }
            self.put_down();
            let looked = begin.elapsed();
            if looked >= window {
                return None;
            }
            if looked >= ALONE {
                // If there are more threads than cores, the one that would bring work may be waiting for this core.
                std::thread::yield_now();
            }
        }
    }

    /// One look at everything.
    fn sweep(&self) -> Option<Found> {
        let ready = self.shared.take_granted().or_else(|| self.shared.take_aside());
        if let Some((job, permits)) = ready {
            return Some(Found::Heavy(job, permits));
        }
        if self.shared.blocking.take_place() {
            return Some(Found::Blocking);
        }
        if self.slot.duty().charge == 0 && !self.pick_up() {
            return None;
        }
        if self.must_yield() {
            return None;
        }
        self.next_anywhere().map(Found::Cpu)
    }

    /// Takes a permit if there is work for it.
    fn pick_up(&self) -> bool {
        self.put_down();
        if !self.shared.has_work() {
            return false;
        }
        if self.shared.book.try_take(1) {
            self.take_up(1);
            return true;
        }
        if self.shared.book.balance().waiters > 0 {
            self.shared.stand_for_queue();
        } else {
            self.shared.watch.ring();
        }
        false
    }

    /// Begins a stretch with permits in hand.
    pub(super) fn take_up(&self, permits: usize) {
        self.held.set(permits);
        self.slot.given.store(permits, Ordering::Relaxed);
        self.since.set(Instant::now());
        self.slot.place.begin();
        self.slot.set(Mode::Cpu, permits);
    }

    /// Ends a stretch; returns the duty as it was, whose charge now belongs to the caller.
    pub(super) fn end_stretch(&self, mode: Mode) -> Duty {
        let was = self.slot.set(mode, 0);
        if was.mode == Mode::Cpu {
            let busy = self.since.get().elapsed().as_nanos() as u64;
            self.slot.counters.busy_ns.add(busy);
            if was.lent {
                self.shared.lent.sub(self.held.get());
            }
        }
        was
    }

    /// Gives back the permits in hand, if any, and tells those who wait for some.
    fn put_down(&self) {
        if self.slot.duty().mode == Mode::Idle {
            return;
        }
        let was = self.end_stretch(Mode::Idle);
        if was.charge > 0 {
            let grants = self.shared.book.give(was.charge);
            self.shared.settle(grants);
        }
    }

    /// Lets the permit go if others have waited for it long enough, and puts the queue behind them in the line.
    fn must_yield(&self) -> bool {
        let balance = self.shared.book.balance();
        if !balance.is_contended() {
            return false;
        }
        if balance.free >= 0 && self.since.get().elapsed() < QUANTUM {
            return false;
        }
        self.put_down();
        if self.shared.book.balance().waiters > 0 {
            self.shared.stand_for_queue();
        }
        true
    }

    /// The next closure without becoming a searcher.
    fn next_local(&self) -> Option<JobRef> {
        if self.slot.duty().charge != 1 || self.shared.has_aside() || self.must_yield() {
            return None;
        }
        let tick = self.tick.get().wrapping_add(1);
        self.tick.set(tick);
        if tick.is_multiple_of(INJECTOR_FIRST)
            && let Some(job) = self.take_injected()
        {
            return Some(job);
        }
        self.next_child().or_else(|| self.next_spawned())
    }

    /// A sub-job that a stolen sub-job left here: nobody on this thread waits for it, but somebody does.
    fn next_child(&self) -> Option<JobRef> {
        self.deques.children.pop()
    }

    /// Own deque, then those of others, then the intake: what another worker has taken in is older than what is still
    /// outside, and may lie behind a long closure there.
    fn next_spawned(&self) -> Option<JobRef> {
        let own = self.deques.spawned.pop();
        own.or_else(|| self.steal_spawned()).or_else(|| self.take_injected())
    }

    fn next_anywhere(&self) -> Option<JobRef> {
        self.next_child().or_else(|| self.next_spawned()).or_else(|| self.steal_child())
    }

    /// The oldest closure that came from outside.
    fn take_injected(&self) -> Option<JobRef> {
        let workers = self.shared.threads.cores();
        let taken = self.shared.intake.take(&self.deques.spawned, workers)?;
        self.slot.counters.injected.add(taken.count as u64);
        if taken.poured || taken.count > 1 {
            // Whoever was woken for them while they were in hand found nothing and may sleep again.
            self.shared.notify();
        }
        Some(taken.first)
    }

    fn steal_spawned(&self) -> Option<JobRef> {
        self.steal(|victim| victim.spawned.steal_batch_and_pop(&self.deques.spawned))
    }

    /// Steals a sub-job, on a permit that nobody waits for.
    pub(super) fn steal_child(&self) -> Option<JobRef> {
        if self.shared.book.balance().is_contended() {
            return None;
        }
        self.steal(|victim| victim.children.steal())
    }

    /// Goes round the other workers that are up, from a random one on.
    fn steal(&self, attempt: impl Fn(&Slot) -> Steal<JobRef>) -> Option<JobRef> {
        let mut stolen = None;
        let start = self.next_random() as usize % super::options::MAX_THREADS;
        let mut visit = |index: usize| {
            if index == self.index {
                return false;
            }
            let victim = self.shared.slot(index);
            loop {
                match attempt(victim) {
                    Steal::Success(job) => {
                        stolen = Some(job);
                        return true;
                    }
                    Steal::Empty => return false,
                    Steal::Retry => std::hint::spin_loop(),
                }
            }
        };
        let _ = self.shared.awake.any(|i| i >= start && visit(i))
            || self.shared.awake.any(|i| i < start && visit(i));
        if stolen.is_some() {
            self.slot.counters.stolen.add(1);
        }
        stolen
    }

    fn next_random(&self) -> u32 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random.set(x);
        x
    }

    fn run(&self, found: Found) {
        match found {
            Found::Cpu(job) => self.run_cpu(job),
            Found::Heavy(job, permits) => self.run_heavy(job, permits),
            Found::Blocking => self.serve_blocking_line(),
        }
    }

    fn run_cpu(&self, job: JobRef) {
        if self.slot.next_closure().charge == 0 {
            // The watch lent the permit at the last moment of the closure before: search for another one.
            self.deques.spawned.push(job);
            self.put_down();
            return;
        }
        self.finish(job);
    }

    fn run_heavy(&self, job: JobRef, permits: usize) {
        self.put_down();
        self.take_up(permits);
        self.finish(job);
        self.put_down();
        self.shared.permits_are_free();
    }

    fn finish(&self, job: JobRef) {
        self.slot.counters.run.add(1);
        if self.shared.closing.is_abandoning() {
            job.abandon();
        } else {
            job.run();
        }
    }

    fn serve_blocking_line(&self) {
        self.put_down();
        while let Some(job) = self.shared.blocking.next(&self.shared) {
            let begin = Instant::now();
            self.slot.given.store(1, Ordering::Relaxed);
            self.slot.set(Mode::Blocking, 0);
            self.slot.counters.injected.add(1);
            self.finish(job);
            let was = self.slot.set(Mode::Idle, 0);
            self.slot.counters.blocked_ns.add(begin.elapsed().as_nanos() as u64);
            if was.charge > 0 {
                self.shared.give_and_notify(was.charge);
            }
        }
    }

    /// Sleeps until somebody has a token for this worker. Counted as searching when called; as the token says when it
    /// returns.
    fn rest(&self) -> u32 {
        loop {
            self.leave_map();
            self.shared.sleep.lie_down(self.index);
            if self.shared.has_something_for_a_sleeper() && self.shared.sleep.get_up(self.index) {
                self.shared.awake.set(self.index);
                return LOOK;
            }
            self.shared.close_if_done();
            self.slot.counters.parked.add(1);
            if let Some(tokens) = self.sleep_here() {
                return tokens;
            }
        }
    }

    /// Sleeps on the stack of sleepers; `None` if it got up by itself and should lie down again.
    fn sleep_here(&self) -> Option<u32> {
        loop {
            let tokens = self.park();
            if tokens != 0 {
                self.shared.awake.set(self.index);
                return Some(tokens);
            }
            // The time ran out. If somebody chose this worker meanwhile, its token is on the way: wait for it.
            if self.shared.sleep.get_up(self.index) {
                if self.shared.threads.alive() <= self.shared.threads.cores() {
                    return None;
                }
                if self.shared.sleep.end_search() {
                    self.shared.permits_are_free();
                }
                return Some(EXIT);
            }
        }
    }

    fn park(&self) -> u32 {
        loop {
            let surplus = self.shared.threads.alive() > self.shared.threads.cores();
            let tokens = self.slot.parker.park(surplus.then_some(PATIENCE));
            self.slot.place.set_free();
            // A latch may be set long after its waiter saw it; such a token means nothing here.
            if tokens != LATCH {
                return tokens & !LATCH;
            }
        }
    }
}
