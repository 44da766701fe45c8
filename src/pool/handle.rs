//! The join handle: a future, and a wait for plain threads.
//!
//! Owns the handle's share of a cell. Never keeps a closure from running by being dropped (that detaches). Invariant: the
//! result is given out once.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio_util::sync::WaitForCancellationFutureOwned;

use super::cell::HandleShare;
use super::shared::Shared;
use super::worker;

/// How often the first poll of a handle looks at a closure that a wide-awake worker has in hand before it gives the
/// thread back: about two microseconds, less than parking and waking an event loop costs.
const GLANCES: u32 = 60;

/// Why there is no result.
pub enum JoinError {
    /// The closure panicked; this is what it panicked with.
    Panicked(Box<dyn Any + Send>),
    /// The closure was cancelled before it began; it never ran.
    Cancelled,
    /// The pool was shut down before the closure began; it never ran.
    Abandoned,
}

impl JoinError {
    /// The text the closure panicked with, if it panicked with a text.
    pub fn panic_message(&self) -> Option<&str> {
        let Self::Panicked(payload) = self else { return None };
        payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(_) => write!(f, "Panicked({:?})", self.panic_message().unwrap_or("..")),
            Self::Cancelled => f.write_str("Cancelled"),
            Self::Abandoned => f.write_str("Abandoned"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(_) => match self.panic_message() {
                Some(text) => write!(f, "the closure panicked: {text}"),
                None => f.write_str("the closure panicked"),
            },
            Self::Cancelled => f.write_str("the closure was cancelled before it began"),
            Self::Abandoned => f.write_str("the pool was shut down before the closure began"),
        }
    }
}

impl std::error::Error for JoinError {}

/// The way to a spawned closure's result. Dropping it detaches: the closure runs all the same.
#[must_use = "the result (and a panic) is lost if nobody waits; drop it on purpose to detach"]
pub struct JoinHandle<T> {
    share: HandleShare<T>,
    /// The first poll may wait a glance: a worker was looking for work when the closure was queued.
    hot: bool,
    /// Whether the closure takes one permit and no place in a line, so that any pool thread may run it.
    runs_anywhere: bool,
    token: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Set when the closure may stand in the permit line, which a cancel must tidy.
    in_line: Option<Arc<Shared>>,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(share: HandleShare<T>) -> Self {
        Self { share, hot: false, runs_anywhere: false, token: None, in_line: None }
    }

    /// For a closure on the common queues; `hot` if a worker is awake for it.
    pub(super) fn on_queue(mut self, hot: bool) -> Self {
        self.runs_anywhere = true;
        self.hot = hot;
        self
    }

    pub(super) fn with_token(mut self, token: Option<WaitForCancellationFutureOwned>) -> Self {
        self.token = token.map(Box::pin);
        self
    }

    pub(super) fn with_line(mut self, shared: Option<Arc<Shared>>) -> Self {
        self.in_line = shared;
        self
    }

    /// Whether the result is there, so that waiting would not wait.
    pub fn is_finished(&self) -> bool {
        self.share.is_complete()
    }

    /// Cancels the closure if it has not begun: it never runs, and the result is [`JoinError::Cancelled`]. A closure that
    /// runs is not disturbed.
    pub fn cancel(&self) {
        self.share.cancel();
        if let Some(shared) = &self.in_line {
            shared.prune_line();
        }
    }

    /// Waits on a plain thread. In a pool closure the awaited closure runs right here if it takes one permit and nobody
    /// has begun it, so that closures which wait for closures don't use up the threads; if it runs elsewhere, the core
    /// permit is handed on meanwhile.
    pub fn join(mut self) -> Result<T, JoinError> {
        if self.runs_anywhere && worker::with_current(|w| w.is_some()) {
            self.share.execute();
        }
        if self.share.is_complete() {
            return self.outcome();
        }
        worker::blocking(|| block_on(&mut self))
    }

    fn outcome(&mut self) -> Result<T, JoinError> {
        // The future is polled after its end only against its contract; say `Abandoned` rather than hang or panic.
        self.share.take().unwrap_or(Err(JoinError::Abandoned))
    }

    /// Looks a few times at a closure that is about to end, instead of going to sleep over it.
    fn glance(&mut self) -> bool {
        if !std::mem::take(&mut self.hot) {
            return false;
        }
        for _ in 0..GLANCES {
            if self.share.is_complete() {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }
}

impl<T> Unpin for JoinHandle<T> {}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.share.is_complete() || self.glance() || self.share.register(context.waker()) {
            return Poll::Ready(self.outcome());
        }
        let cancelled = self.token.as_mut().is_some_and(|t| t.as_mut().poll(context).is_ready());
        if cancelled {
            self.token = None;
            self.cancel();
            if self.share.is_complete() {
                return Poll::Ready(self.outcome());
            }
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub(super) fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = Pin::new(&mut future).poll(&mut context) {
            return output;
        }
        thread::park();
    }
}
