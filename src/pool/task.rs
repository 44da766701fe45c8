//! The builder of a spawn: weight, class, cancellation.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::cell;
use super::handle::{JoinError, JoinHandle};
use super::shared::Shared;
use super::worker;

/// How a closure is to be run; made by [`super::Pool::task`].
#[derive(Clone)]
#[must_use = "nothing runs until `spawn`"]
pub struct Task {
    shared: Arc<Shared>,
    weight: usize,
    blocking: bool,
    token: Option<CancellationToken>,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, weight: 1, blocking: false, token: None }
    }

    /// How many core permits the closure takes, for one that uses several cores (through [`super::join()`] or threads of its
    /// own). At least one; more than there are means all there are.
    pub fn weight(mut self, permits: usize) -> Self {
        self.weight = permits.clamp(1, usize::from(u16::MAX));
        self
    }

    /// The closure waits in calls that can't be awaited: it runs on a pool thread without a core permit, and more of
    /// them run at once than there are cores.
    pub fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    /// If the token is cancelled before the closure begins, it never runs. Its handle says so at once if it is awaited,
    /// otherwise when the closure's turn comes. Costs a second allocation.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.token = Some(token);
        self
    }

    /// Queues the closure.
    pub fn spawn<F, T>(self, closure: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let Self { shared, weight, blocking, token } = self;
        let cancelled = token.as_ref().map(|t| t.clone().cancelled_owned());
        let weight = if blocking { 1 } else { weight };
        let (job, share) = cell::new(closure, weight as u16, token);
        let handle = JoinHandle::new(share).with_token(cancelled);
        if is_refused(&shared) {
            job.abandon();
            return handle;
        }
        if blocking {
            shared.blocking.push(&shared, job);
            shared.tidy_if_closed();
            handle
        } else if weight > 1 {
            shared.enqueue_heavy(job);
            handle.with_line(Some(shared))
        } else {
            let hot = enqueue(&shared, job);
            handle.on_queue(hot)
        }
    }
}

/// The short way for one permit, no class, no token: one allocation, and nothing of the builder's.
pub(super) fn spawn<F, T>(shared: &Arc<Shared>, closure: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (job, share) = cell::new(closure, 1, None);
    let handle = JoinHandle::new(share);
    if is_refused(shared) {
        job.abandon();
        return handle;
    }
    handle.on_queue(enqueue(shared, job))
}

/// Spawns a closure that may borrow, and waits for its end on this thread. The closure is taken out of its place when it
/// begins; if it never does, it is still there.
pub(super) fn spawn_and_wait<F, R>(
    shared: &Arc<Shared>,
    place: &mut Option<F>,
) -> Result<R, JoinError>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    let (job, share) = cell::new(
        || match place.take() {
            Some(closure) => closure(),
            None => unreachable!("the place was filled and this runs once"),
        },
        1,
        None,
    );
    let handle = JoinHandle::new(share);
    if is_refused(shared) {
        job.abandon();
    } else {
        enqueue(shared, job);
    }
    // The wait ends only when the closure has run or was given up, so what it borrows outlives it. A panic in between is
    // impossible: `join` catches nothing and does nothing but wait.
    handle.join()
}

/// While the pool closes only its own closures may spawn.
fn is_refused(shared: &Arc<Shared>) -> bool {
    shared.closing.is_refusing()
        && !worker::with_current(|w| {
            w.is_some_and(|w| Arc::ptr_eq(&w.shared, shared) && !shared.closing.is_abandoning())
        })
}

/// From a closure of the same pool on the worker's own deque, from elsewhere through the injector.
fn enqueue(shared: &Arc<Shared>, job: super::job::JobRef) -> bool {
    worker::with_current(|worker| match worker {
        Some(worker) if Arc::ptr_eq(&worker.shared, shared) => {
            worker.deques.spawned.push(job);
            shared.notify();
            false
        }
        _ => shared.inject(job),
    })
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("weight", &self.weight)
            .field("blocking", &self.blocking)
            .finish_non_exhaustive()
    }
}
