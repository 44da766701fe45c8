//! Launches that wait for a spawner, and who hears what becomes of them.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::child::{Child, Listener};
use super::launch::{Launch, SpawnError};

/// Whether a launch is still wanted.
pub(super) type Wanted = Box<dyn Fn() -> bool + Send>;

/// One launch.
pub(super) struct Request {
    pub(super) launch: Launch,
    pub(super) reply: Reply,
    /// Tells whether it is to be tried again, if it is worth another try at all.
    pub(super) wanted: Option<Wanted>,
    pub(super) place: OwnedSemaphorePermit,
}

/// Who hears what of a launch.
pub(super) enum Reply {
    /// Hears when the program runs.
    Start(oneshot::Sender<Result<Child, SpawnError>>),
    /// Is handed the child when the program runs, and hears when it has ended.
    End { child: oneshot::Sender<Child>, end: Listener },
}

impl Reply {
    /// Nobody is listening any more.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Start(reply) => reply.is_closed(),
            Self::End { child, end } => child.is_closed() && end.is_closed(),
        }
    }
}

/// Requests in order, and whether more may come.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
    /// Launches that are being tried again.
    pub(super) short: AtomicUsize,
}

#[derive(Default)]
struct QueueState {
    requests: VecDeque<Request>,
    closed: bool,
}

impl Queue {
    pub(super) fn push(&self, request: Request) {
        self.lock().requests.push_back(request);
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The next request, or nothing after the queue was closed and emptied.
    pub(super) fn pop(&self) -> Option<Request> {
        let mut state = self.lock();
        loop {
            if let Some(request) = state.requests.pop_front() {
                return Some(request);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes out the requests that nobody wants any more.
    pub(super) fn take_unwanted(&self) -> Vec<Request> {
        let mut state = self.lock();
        let wanted = |request: &Request| {
            !request.reply.is_closed() && request.wanted.as_ref().is_none_or(|wanted| wanted())
        };
        if state.requests.iter().all(wanted) {
            return Vec::new();
        }
        let (kept, unwanted) = state.requests.drain(..).partition::<Vec<_>, _>(wanted);
        state.requests = kept.into();
        unwanted
    }

    /// Held for single queue operations only, none of which can panic halfway.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
