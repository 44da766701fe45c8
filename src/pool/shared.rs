//! What all threads of a pool share, and the decisions that concern more than one worker: whom to wake, who gets a freed
//! permit, when a thread is added.
//!
//! Owns the queues, the slots and the book. Never runs a closure. Invariant (no lost wake-up): while there is work, a free
//! permit and a sleeping worker, somebody is searching or about to wake a searcher.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock};

use super::blocking_line::BlockingLine;
use super::book::{Answer, Book, Grants, Turn};
use super::intake::Intake;
use super::job::JobRef;
use super::ledger::Waiter;
use super::options::{MAX_THREADS, Options};
use super::parker::{LOOK, PERMIT};
use super::placement;
use super::shutdown::Closing;
use super::sleep::Sleep;
use super::slot::Slot;
use super::spin::Spin;
use super::sync::lock;
use super::threads::{AwakeMap, Threads};
use super::watch::WatchBell;

/// A count that many add to and many read.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicUsize);

impl Count {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn add(&self, n: usize) {
        self.0.fetch_add(n, Ordering::SeqCst);
    }

    pub(super) fn sub(&self, n: usize) {
        self.0.fetch_sub(n, Ordering::SeqCst);
    }
}

/// Permits lent by their holders, and who wants to hear when that number changes.
#[derive(Default)]
pub(super) struct Lent {
    count: Count,
    /// Asserted: a listener has nothing of the pool's that a panic could leave half-done.
    listener: OnceLock<AssertUnwindSafe<Box<dyn Fn() + Send + Sync>>>,
}

impl Lent {
    pub(super) fn get(&self) -> usize {
        self.count.get()
    }

    pub(super) fn add(&self, n: usize) {
        self.count.add(n);
        self.tell();
    }

    pub(super) fn sub(&self, n: usize) {
        self.count.sub(n);
        self.tell();
    }

    /// Takes the listener; false if there is one already.
    pub(super) fn listen(&self, listener: Box<dyn Fn() + Send + Sync>) -> bool {
        self.listener.set(AssertUnwindSafe(listener)).is_ok()
    }

    fn tell(&self) {
        if let Some(listener) = self.listener.get() {
            (listener.0)();
        }
    }
}

/// See the module.
pub(super) struct Shared {
    pub(super) book: Book<Waiter>,
    pub(super) sleep: Sleep,
    pub(super) intake: Intake,
    pub(super) blocking: BlockingLine,
    /// Closures whose permits are granted and who only need a thread.
    granted: Mutex<VecDeque<(JobRef, usize)>>,
    granted_len: Count,
    /// Closures of more than one permit that found no thread when their permits were granted.
    aside: Mutex<Vec<JobRef>>,
    aside_len: Count,
    /// Closures of more than one permit that stand in the line.
    pub(super) heavy_waiting: Count,
    /// Whether the queue has its entry in the permit line.
    queue_in_line: AtomicBool,
    /// Permits lent by their holders.
    pub(super) lent: Lent,
    slots: Box<[OnceLock<Arc<Slot>>]>,
    pub(super) awake: AwakeMap,
    pub(super) threads: Threads,
    pub(super) closing: Closing,
    pub(super) spin: Spin,
    pub(super) watch: WatchBell,
    /// Whether woken threads are sent to free cores; see [`placement`].
    pub(super) places_threads: bool,
    pub(super) options: Options,
}

impl Shared {
    pub(super) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            book: Book::new(options.cores),
            sleep: Sleep::new(),
            intake: Intake::new(),
            blocking: BlockingLine::new(options.blocking),
            granted: Mutex::default(),
            granted_len: Count::default(),
            aside: Mutex::default(),
            aside_len: Count::default(),
            heavy_waiting: Count::default(),
            queue_in_line: AtomicBool::new(false),
            lent: Lent::default(),
            slots: (0..MAX_THREADS).map(|_| OnceLock::new()).collect(),
            awake: AwakeMap::new(),
            threads: Threads::new(options.cores, options.blocking),
            closing: Closing::default(),
            spin: Spin::new(options.cores),
            watch: WatchBell::default(),
            places_threads: placement::is_wanted(),
            options,
        })
    }

    /// The slot of a worker; slots are made on first use and stay.
    pub(super) fn slot(&self, index: usize) -> &Arc<Slot> {
        self.slots[index].get_or_init(|| Arc::new(Slot::new()))
    }

    /// Queues a closure from outside the pool's threads, or from a closure on none of them. True if a worker was looking
    /// for work at that moment and nothing else was queued, so that the closure will be run without a wake-up.
    pub(super) fn inject(self: &Arc<Self>, job: JobRef) -> bool {
        let first = self.intake.push(job);
        let wake = self.sleep.push_needs_wake();
        if wake {
            self.wake_one();
        }
        self.tidy_if_closed();
        first && !wake
    }

    /// Puts a closure of more than one permit in the permit line.
    pub(super) fn enqueue_heavy(self: &Arc<Self>, job: JobRef) {
        self.heavy_waiting.add(1);
        let want = job.weight();
        match self.book.ask(Turn::New, want, Waiter::Job(job)) {
            Answer::Granted(waiter, count) => self.settle(vec![(waiter, count)]),
            Answer::InLine(_) => self.stand_for_queue(),
        }
        self.tidy_if_closed();
    }

    /// After a push on a queue or a deque: wakes a worker if nobody looks and one could run something.
    pub(super) fn notify(self: &Arc<Self>) {
        if self.sleep.push_needs_wake() {
            self.wake_one();
        }
    }

    /// Whether anything waits that a worker with a permit of its own may run.
    pub(super) fn has_work(&self) -> bool {
        if !self.intake.is_empty() {
            return true;
        }
        let children_too = !self.book.balance().is_contended();
        self.awake.any(|index| {
            let slot = self.slot(index);
            !slot.spawned.is_empty() || children_too && !slot.children.is_empty()
        })
    }

    /// What a worker must look at once more after it lay down (step S3).
    pub(super) fn has_something_for_a_sleeper(self: &Arc<Self>) -> bool {
        if self.granted_len.get() > 0 || self.has_aside() || self.blocking.has_place_and_work() {
            return true;
        }
        let balance = self.book.balance();
        if balance.free <= 0 && balance.waiters == 0 || !self.has_work() {
            return false;
        }
        if balance.waiters > 0 {
            self.stand_for_queue();
            return false;
        }
        true
    }

    /// Wakes one worker, with a permit, if there is a permit and a worker; otherwise sees to it that the queue is not
    /// forgotten by those who hold the permits.
    fn wake_one(self: &Arc<Self>) {
        loop {
            let balance = self.book.balance();
            if balance.waiters > 0 {
                self.stand_for_queue();
                return;
            }
            if balance.free <= 0 {
                self.watch.ring();
                return;
            }
            if !self.sleep.claim_wake() {
                return;
            }
            if self.book.try_take(1) {
                if self.rouse(PERMIT) {
                    return;
                }
                // No thread to be had: those that exist are awake or wait, and look here before they sleep. One that lay
                // down while this permit was out of the book has seen none, so it must be looked for once more.
                let grants = self.book.give(1);
                self.sleep.end_search();
                self.settle(grants);
                fence(Ordering::SeqCst);
                if self.sleep.sleeping() == 0 || !self.has_work() {
                    return;
                }
                continue;
            }
            self.sleep.end_search();
            fence(Ordering::SeqCst);
            if !self.has_work() {
                return;
            }
        }
    }

    /// Gives a token to a sleeper, or to a new thread if the pool may have one more. The caller has counted the worker as
    /// searching if the token says so.
    pub(super) fn rouse(self: &Arc<Self>, token: u32) -> bool {
        if let Some(index) = self.sleep.pop() {
            self.place(index);
            self.slot(index).parker.unpark(token);
            return true;
        }
        self.start_thread(token)
    }

    /// Sends a thread that is about to run to a free core, where the kernel can't be relied on to do it.
    pub(super) fn place(&self, index: usize) {
        if self.places_threads {
            placement::send_to_a_free_core(self, index);
        }
    }

    /// A thread has gone: starts (or wakes) another one if there is something to do for it.
    pub(super) fn replace_if_wanted(self: &Arc<Self>) {
        if self.has_something_for_a_sleeper() {
            self.sleep.begin_search();
            if !self.rouse(LOOK) {
                self.sleep.end_search();
            }
        }
    }

    /// Gives permits back and lets the queue have them if nobody stands in the line.
    pub(super) fn give_and_notify(self: &Arc<Self>, count: usize) {
        let grants = self.book.give(count);
        self.settle(grants);
        self.permits_are_free();
    }

    /// Permits may have become free: wakes a worker if there is work for it.
    pub(super) fn permits_are_free(self: &Arc<Self>) {
        fence(Ordering::SeqCst);
        if self.book.balance().free > 0 && self.has_work() {
            self.notify();
        }
    }

    /// Tells everybody who was granted permits.
    pub(super) fn settle(self: &Arc<Self>, grants: Grants<Waiter>) {
        if grants.is_empty() {
            return;
        }
        let mut pending = VecDeque::from(grants);
        while let Some((waiter, count)) = pending.pop_front() {
            if let Some(unused) = self.deliver(waiter, count) {
                pending.extend(self.book.give(unused));
            }
        }
        if self.book.balance().waiters > 0 && self.has_work() {
            self.stand_for_queue();
        }
    }

    /// Hands granted permits to one waiter; returns those it can't use.
    fn deliver(self: &Arc<Self>, waiter: Waiter, count: usize) -> Option<usize> {
        match waiter {
            Waiter::Ask(ask) => ask.grant(count),
            Waiter::Job(job) => {
                self.heavy_waiting.sub(1);
                if job.is_claimed() {
                    job.abandon();
                    return Some(count);
                }
                self.sleep.begin_search();
                // Queued before the thread is called, so that its first look finds it.
                // Counted first, so that the count never falls below zero.
                self.granted_len.add(1);
                lock(&self.granted).push_back((job, count));
                if self.rouse(LOOK) {
                    return None;
                }
                self.sleep.end_search();
                self.put_one_aside()
            }
            Waiter::Queue => {
                self.queue_in_line.store(false, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                if !self.has_work() {
                    return Some(count);
                }
                self.sleep.begin_search();
                if self.rouse(PERMIT) {
                    return None;
                }
                self.sleep.end_search();
                Some(count)
            }
        }
    }

    /// There is no thread for a closure whose permits are granted. It must not sit on them: those that could free a thread
    /// may be waiting for them. It goes to the end of the line again once a thread has nothing to do.
    fn put_one_aside(&self) -> Option<usize> {
        // Counted first: whoever lies down in between must see it in one place or the other.
        self.aside_len.add(1);
        let Some((job, count)) = self.take_granted() else {
            self.aside_len.sub(1);
            return None;
        };
        lock(&self.aside).push(job);
        Some(count)
    }

    /// Whether closures wait for a thread rather than for permits.
    pub(super) fn has_aside(&self) -> bool {
        self.aside_len.get() > 0
    }

    /// A worker has time: the closures that were put aside get in line again, until one of them gets its permits, which
    /// is then for this worker to run.
    pub(super) fn take_aside(&self) -> Option<(JobRef, usize)> {
        while self.has_aside() {
            let job = lock(&self.aside).pop()?;
            self.heavy_waiting.add(1);
            self.aside_len.sub(1);
            let want = job.weight();
            if let Answer::Granted(Waiter::Job(job), count) =
                self.book.ask(Turn::New, want, Waiter::Job(job))
            {
                self.heavy_waiting.sub(1);
                return Some((job, count));
            }
        }
        None
    }

    /// While somebody stands in the permit line the queue must stand there too, if there is anything in it.
    pub(super) fn stand_for_queue(self: &Arc<Self>) {
        if !self.has_work() || self.queue_in_line.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Answer::Granted(waiter, count) = self.book.ask(Turn::New, 1, Waiter::Queue)
            && let Some(unused) = self.deliver(waiter, count)
        {
            let grants = self.book.give(unused);
            self.settle(grants);
            // As in `wake_one`: somebody may have lain down while the permit was out of the book.
            if self.sleep.sleeping() > 0 {
                self.permits_are_free();
            }
        }
    }

    /// Takes a closure whose permits are granted.
    pub(super) fn take_granted(&self) -> Option<(JobRef, usize)> {
        if self.granted_len.get() == 0 {
            return None;
        }
        let taken = lock(&self.granted).pop_front();
        if taken.is_some() {
            self.granted_len.sub(1);
        }
        taken
    }

    /// Closures that wait in queues, as far as that can be counted from outside.
    pub(super) fn queued(&self) -> usize {
        let mut queued = self.intake.len();
        queued += self.granted_len.get()
            + self.aside_len.get()
            + self.heavy_waiting.get()
            + self.blocking.queued();
        self.awake.any(|index| {
            let slot = self.slot(index);
            queued += slot.spawned.len() + slot.children.len();
            false
        });
        queued
    }

    /// Takes cancelled closures out of the permit line.
    pub(super) fn prune_line(self: &Arc<Self>) {
        self.prune_line_if(JobRef::is_claimed);
    }

    /// Takes closures out of the permit line and gives them up.
    pub(super) fn prune_line_if(self: &Arc<Self>, gone: impl Fn(&JobRef) -> bool) {
        let (removed, grants) = self.book.prune(|w| matches!(w, Waiter::Job(job) if gone(job)));
        self.settle(grants);
        for waiter in removed {
            if let Waiter::Job(job) = waiter {
                job.abandon();
                self.heavy_waiting.sub(1);
            }
        }
        self.permits_are_free();
        self.close_if_done();
    }

    /// Gives up everything that no worker has taken in yet.
    pub(super) fn abandon_queues(self: &Arc<Self>) {
        self.intake.abandon();
        self.blocking.abandon_all();
        while let Some((job, count)) = self.take_granted() {
            job.abandon();
            self.give_and_notify(count);
        }
        let aside = std::mem::take(&mut *lock(&self.aside));
        self.aside_len.sub(aside.len());
        aside.into_iter().for_each(JobRef::abandon);
        self.prune_line_if(|_| true);
    }
}
