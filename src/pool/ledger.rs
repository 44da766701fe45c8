//! The permit ledger as the outside sees it: acquire core permits, hold them, lend them, take them back.
//!
//! Owns the waits. Never counts anything itself (the book does). Invariant: granted permits always have exactly one
//! owner: a `Permits`, an ask that was granted and not yet looked at, or a worker's charge.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::book::{Answer, Turn};
use super::job::JobRef;
use super::shared::Shared;
use super::sync::lock;

/// Who may stand in the line for permits.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A future.
    Ask(Arc<Ask>),
    /// A closure of more than one permit; a worker runs it once they are granted.
    Job(JobRef),
    /// The pool's queue, so that closures are not overtaken for ever; at most one entry.
    Queue,
}

/// The state that a waiting future shares with the line.
#[derive(Debug, Default)]
pub(super) struct Ask {
    state: Mutex<AskState>,
}

#[derive(Debug, Default)]
struct AskState {
    granted: Option<usize>,
    gone: bool,
    waker: Option<Waker>,
}

impl Ask {
    /// Tells the future; hands the permits back if it is gone.
    pub(super) fn grant(&self, count: usize) -> Option<usize> {
        let mut state = lock(&self.state);
        if state.gone {
            return Some(count);
        }
        state.granted = Some(count);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        None
    }
}

/// The pool's one ledger of core permits. Cheap to clone; it outlives the pool's threads.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

impl Ledger {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Waits for `count` permits, first come, first served: a big wish is not overtaken by small ones behind it. A wish
    /// for more than there are is granted all there are. Dropping the future leaves the line.
    pub fn acquire(&self, count: usize) -> Acquire {
        let wait = Wait::new(Arc::clone(&self.shared), Turn::New, count);
        Acquire { wait }
    }

    /// Takes `count` permits if they are free and nobody waits.
    pub fn try_acquire(&self, count: usize) -> Option<Permits> {
        let taken = self.shared.book.try_take(count);
        taken.then(|| Permits::new(Arc::clone(&self.shared), count))
    }

    /// Takes `count` permits at once, free or not: for somebody who burns so many cores already. The ledger is overdrawn
    /// until others give back.
    pub fn charge(&self, count: usize) -> Permits {
        self.shared.book.charge(count);
        Permits::new(Arc::clone(&self.shared), count)
    }

    /// How many permits there are.
    pub fn total(&self) -> usize {
        self.shared.book.total()
    }

    /// How many permits are held by running closures and by outside holders; above the total while a shrink or a
    /// closure that burns on a lent permit is being made up for.
    pub fn in_use(&self) -> usize {
        let free = i64::from(self.shared.book.balance().free);
        (self.total() as i64 - free).max(0) as usize
    }

    /// How many permits their holders have lent and will want back.
    pub fn lent(&self) -> usize {
        self.shared.lent.get()
    }

    /// How many wait in the line. The closures in the pool's queue count as one.
    pub fn waiting(&self) -> usize {
        self.shared.book.balance().waiters as usize
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("total", &self.total())
            .field("in_use", &self.in_use())
            .field("lent", &self.lent())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// A wait for permits; resolves to how many were granted, which then belong to the caller.
pub(super) struct Wait {
    shared: Arc<Shared>,
    turn: Turn,
    want: usize,
    stand: Stand,
}

enum Stand {
    Outside,
    InLine(u64, Arc<Ask>),
    Done,
}

impl Wait {
    pub(super) fn new(shared: Arc<Shared>, turn: Turn, want: usize) -> Self {
        Self { shared, turn, want, stand: Stand::Outside }
    }

    fn step_in(&mut self, waker: &Waker) -> Poll<usize> {
        let ask = Arc::new(Ask::default());
        lock(&ask.state).waker = Some(waker.clone());
        match self.shared.book.ask(self.turn, self.want, Waiter::Ask(Arc::clone(&ask))) {
            Answer::Granted(_, count) => {
                self.stand = Stand::Done;
                Poll::Ready(count)
            }
            Answer::InLine(number) => {
                self.stand = Stand::InLine(number, ask);
                // Closures queued while every permit was out have to be in the line too, or this wish would be
                // followed by the next and the next, and the queue never served.
                self.shared.stand_for_queue();
                Poll::Pending
            }
        }
    }
}

impl Future for Wait {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        let granted = match &self.stand {
            Stand::Outside => return self.step_in(context.waker()),
            Stand::Done => return Poll::Pending,
            Stand::InLine(_, ask) => {
                let mut state = lock(&ask.state);
                if state.granted.is_none() {
                    state.waker = Some(context.waker().clone());
                }
                state.granted
            }
        };
        let Some(count) = granted else { return Poll::Pending };
        self.stand = Stand::Done;
        Poll::Ready(count)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Stand::InLine(number, ask) = &self.stand else { return };
        let (removed, grants) = self.shared.book.leave(*number);
        self.shared.settle(grants);
        if removed {
            return;
        }
        let granted = {
            let mut state = lock(&ask.state);
            state.gone = true;
            state.granted.take()
        };
        if let Some(count) = granted {
            self.shared.give_and_notify(count);
        }
    }
}

/// The future of [`Ledger::acquire`]. Dropping it before its end leaves the line and keeps nothing.
#[must_use = "nothing is acquired until the future is awaited"]
pub struct Acquire {
    wait: Wait,
}

impl Future for Acquire {
    type Output = Permits;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permits> {
        let shared = Arc::clone(&self.wait.shared);
        Pin::new(&mut self.wait).poll(context).map(|count| Permits::new(shared, count))
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("want", &self.wait.want).finish_non_exhaustive()
    }
}

/// Core permits held by something outside the pool's threads, such as a child process. Dropping gives them back.
#[must_use = "dropping the permits gives them back"]
pub struct Permits {
    shared: Arc<Shared>,
    count: usize,
    lent: bool,
}

impl Permits {
    fn new(shared: Arc<Shared>, count: usize) -> Self {
        Self { shared, count, lent: false }
    }

    /// How many cores the holder may burn (while the permits are not lent).
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the permits are lent at this moment.
    pub fn is_lent(&self) -> bool {
        self.lent
    }

    /// Gives the permits to others until [`Self::take_back`]; nothing happens if they are lent already.
    pub fn lend(&mut self) {
        if !self.lent {
            self.lent = true;
            self.shared.lent.add(self.count);
            self.shared.give_and_notify(self.count);
        }
    }

    /// Regains lent permits, before anybody who wants new ones. Cancelled half-way, they stay lent. After a shrink fewer
    /// may come back ([`Self::count`]).
    pub async fn take_back(&mut self) {
        if self.lent {
            let granted = Wait::new(Arc::clone(&self.shared), Turn::Returning, self.count).await;
            self.shared.lent.sub(self.count);
            self.count = granted;
            self.lent = false;
        }
    }

    /// Takes lent permits back at once, free or not: for a holder that burns cores already and can't be stopped. The
    /// ledger is overdrawn until others give back.
    pub fn force_back(&mut self) {
        if self.lent {
            self.shared.book.charge(self.count);
            self.shared.lent.sub(self.count);
            self.lent = false;
        }
    }

    /// Holds `count` permits from now on: what is less is given back at once; what is more is taken at once, free or
    /// not, because the holder was found to burn that many cores. While lent only the number changes.
    pub fn set_count(&mut self, count: usize) {
        let before = std::mem::replace(&mut self.count, count);
        if self.lent {
            self.shared.lent.add(count);
            self.shared.lent.sub(before);
        } else if count > before {
            self.shared.book.charge(count - before);
        } else if count < before {
            self.shared.give_and_notify(before - count);
        }
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        if self.lent {
            self.shared.lent.sub(self.count);
        } else {
            self.shared.give_and_notify(self.count);
        }
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits")
            .field("count", &self.count)
            .field("lent", &self.lent)
            .finish_non_exhaustive()
    }
}
