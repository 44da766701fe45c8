//! The two ways to end a pool, and the moment at which it has ended.
//!
//! Owns the phase. Never stops a running closure. Invariant: the pool closes when all its threads sleep and nothing is
//! queued anywhere; from then on whatever still comes in is abandoned by whoever brings it.

use std::sync::atomic::{AtomicU8, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Poll, Waker};

use super::parker::EXIT;
use super::shared::Shared;
use super::sync::lock;

/// What happens to closures that have not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// They run first; new ones are refused, except those that running closures spawn.
    Drain,
    /// They are dropped, and their handles say [`super::JoinError::Abandoned`]. Running closures finish.
    Abandon,
}

const OPEN: u8 = 0;
const DRAINING: u8 = 1;
const ABANDONING: u8 = 2;
const CLOSED: u8 = 3;

/// The phase, and those who wait for the end.
#[derive(Debug, Default)]
pub(super) struct Closing {
    phase: AtomicU8,
    waiters: Mutex<Vec<Waker>>,
    ended: Condvar,
}

impl Closing {
    /// Whether closures from outside are refused.
    pub(super) fn is_refusing(&self) -> bool {
        self.phase.load(Ordering::Relaxed) != OPEN
    }

    /// Whether closures that have not begun are to be dropped.
    pub(super) fn is_abandoning(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= ABANDONING
    }

    /// Whether all threads were sent away.
    pub(super) fn is_closed(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == CLOSED
    }

    fn raise(&self, phase: u8) {
        self.phase.fetch_max(phase, Ordering::SeqCst);
    }
}

impl Shared {
    /// Begins to close.
    pub(super) fn close(self: &Arc<Self>, how: Shutdown) {
        match how {
            Shutdown::Drain => self.closing.raise(DRAINING),
            Shutdown::Abandon => {
                self.closing.raise(ABANDONING);
                self.abandon_queues();
            }
        }
        self.close_if_done();
    }

    /// Closes if a shutdown is under way, every thread sleeps, and nothing waits anywhere. Called whenever one of these
    /// may have become true.
    pub(super) fn close_if_done(self: &Arc<Self>) {
        if !self.closing.is_refusing() || self.closing.is_closed() {
            return;
        }
        fence(Ordering::SeqCst);
        let all_sleep = self.threads.all_are(|| {
            let sleeping = self.sleep.sleeping();
            let done = self.queued() == 0;
            if done { sleeping } else { usize::MAX }
        });
        if !all_sleep {
            return;
        }
        self.closing.raise(CLOSED);
        while let Some(index) = self.sleep.pop() {
            self.slot(index).parker.unpark(EXIT);
        }
        self.abandon_queues();
        self.tell_if_ended();
        self.watch.ring();
    }

    /// A closure was queued while the pool may have closed: whoever queued it clears the queues.
    pub(super) fn tidy_if_closed(self: &Arc<Self>) {
        if self.closing.is_refusing() {
            fence(Ordering::SeqCst);
            if self.closing.is_closed() {
                self.abandon_queues();
            }
        }
    }

    /// Tells those who wait for the end, once the last thread is gone.
    pub(super) fn tell_if_ended(&self) {
        if self.has_ended() {
            let waiters = std::mem::take(&mut *lock(&self.closing.waiters));
            self.closing.ended.notify_all();
            waiters.into_iter().for_each(Waker::wake);
        }
    }

    fn has_ended(&self) -> bool {
        self.closing.is_closed() && self.threads.alive() == 0
    }

    /// Waits on this thread until the last thread is gone.
    pub(super) fn wait_for_end(&self) {
        let mut waiters = lock(&self.closing.waiters);
        while !self.has_ended() {
            waiters = self.closing.ended.wait(waiters).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`Self::wait_for_end`], for a future.
    pub(super) fn poll_end(&self, waker: &Waker) -> Poll<()> {
        let mut waiters = lock(&self.closing.waiters);
        if self.has_ended() {
            return Poll::Ready(());
        }
        if !waiters.iter().any(|w| w.will_wake(waker)) {
            waiters.push(waker.clone());
        }
        Poll::Pending
    }
}
