//! The engine: a work-stealing thread pool with core permits, and the bridge that turns a closure on it into a future.
//!
//! Owns the threads, their queues and the one ledger of core permits. Never knows what a closure is for, and never blocks
//! whoever spawns one. Invariant: the permits held by running closures and by outside holders never exceed the cores,
//! but for the compensation that README.md bounds. States, protocols and proofs are in README.md beside this file.

mod batch;
mod blocking_line;
mod book;
mod cell;
mod handle;
mod injector;
mod intake;
mod job;
mod join;
mod latch;
mod ledger;
mod options;
mod parker;
mod placement;
mod priority;
mod rendezvous;
mod schedstat;
mod scope;
mod shared;
mod shutdown;
mod sleep;
mod slot;
mod spin;
mod stats;
mod sync;
mod task;
mod threads;
mod waiting;
mod watch;
mod worker;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::Arc;

use shared::Shared;

pub use batch::map;
pub use handle::{JoinError, JoinHandle};
pub use join::join;
pub use ledger::{Acquire, Ledger, Permits};
pub use options::{MAX_THREADS, Options};
pub use priority::ask_for_short_slices;
pub use scope::{Scope, scope};
pub use shutdown::Shutdown;
pub use stats::{Stats, WorkerStats};
pub use task::Task;

/// Why a pool could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No core permit, or more than threads can be made for.
    #[error("a pool needs between 1 and {max} cores, not {cores}: set `cores` accordingly")]
    Cores {
        /// The wish.
        cores: usize,
        /// The most there can be.
        max: usize,
    },
    /// The niceness is not one a thread without privileges can have.
    #[error("`nice` must be between 0 and 19, not {0}")]
    Nice(i32),
    /// Not a single thread could be started.
    #[error(
        "the system refused to start a thread: raise the limit of processes (`ulimit -u`, `TasksMax=`)"
    )]
    NoThread,
}

/// A handle to a pool; cheap to clone. When the last one is dropped the pool drains by itself, and nobody waits for it.
#[derive(Clone)]
pub struct Pool {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close(Shutdown::Drain);
    }
}

impl Pool {
    /// Starts a pool with one thread a core.
    pub fn new(options: Options) -> Result<Self, BuildError> {
        check_cores(options.cores)?;
        if !(0..=19).contains(&options.nice) {
            return Err(BuildError::Nice(options.nice));
        }
        let shared = Shared::new(options);
        shared.start_lookers();
        if shared.threads.alive() == 0 {
            return Err(BuildError::NoThread);
        }
        watch::start(&shared);
        Ok(Self { handle: Arc::new(Handle { shared }) })
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Queues a closure of class cpu that takes one core permit. From a closure of this pool it goes on the worker's own
    /// deque. Never blocks.
    pub fn spawn<F, T>(&self, closure: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        task::spawn(self.shared(), closure)
    }

    /// Queues many closures with one crossing, one wake-up and one allocation for all of them; the results come
    /// together, in order. If one panics the batch's result is that panic, after the others have ended.
    pub fn spawn_batch<F, T>(&self, closures: Vec<F>) -> JoinHandle<Vec<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn(move || map(closures, |closure| closure()))
    }

    /// A spawn with a weight, a class or a cancellation token.
    pub fn task(&self) -> Task {
        Task::new(Arc::clone(self.shared()))
    }

    /// Runs a closure on the pool and waits for it on this thread, so that it may borrow. On a thread of this pool it
    /// runs at once. A panic goes on here. After a shutdown it runs here, serially.
    pub fn install<F, R>(&self, closure: F) -> R
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        let inside =
            worker::with_current(|w| w.is_some_and(|w| Arc::ptr_eq(&w.shared, self.shared())));
        if inside {
            return closure();
        }
        let mut closure = Some(closure);
        match task::spawn_and_wait(self.shared(), &mut closure) {
            Ok(result) => result,
            Err(JoinError::Panicked(panic)) => resume_unwind(panic),
            Err(JoinError::Cancelled | JoinError::Abandoned) => match closure.take() {
                Some(closure) => closure(),
                None => unreachable!("an abandoned closure is not taken"),
            },
        }
    }

    /// The ledger of core permits, for those who burn cores outside the pool's threads.
    pub fn permits(&self) -> Ledger {
        Ledger::new(Arc::clone(self.shared()))
    }

    /// Calls `listener` each time [`Ledger::lent`] has changed, on the thread that changed it: it must be quick and
    /// must not block. The first listener stays; `false` if there was one.
    pub fn on_lent(&self, listener: impl Fn() + Send + Sync + 'static) -> bool {
        self.shared().lent.listen(Box::new(listener))
    }

    /// Changes the sizes while everything runs. Growing takes effect at once, shrinking as closures end; nothing is lost.
    pub fn resize(&self, cores: usize, blocking: usize) -> Result<(), BuildError> {
        check_cores(cores)?;
        self.shared().resize(cores, blocking);
        Ok(())
    }

    /// Looks at the pool without disturbing it.
    pub fn stats(&self) -> Stats {
        Stats::read(self.shared())
    }

    /// Ends the pool and waits on this thread until its last thread is gone. Permits held outside stay valid; closures
    /// that wait in line for more than one permit are waited for as long as an outside holder keeps them waiting. Called
    /// from a closure of the pool it only begins the end.
    pub fn shutdown(&self, how: Shutdown) {
        self.shared().close(how);
        let inside =
            worker::with_current(|w| w.is_some_and(|w| Arc::ptr_eq(&w.shared, self.shared())));
        if !inside {
            self.shared().wait_for_end();
        }
    }

    /// As [`Self::shutdown`], for a task. The end has begun when this returns; the future only waits for it.
    pub fn shutdown_async(&self, how: Shutdown) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(self.shared());
        shared.close(how);
        poll_fn(move |context| shared.poll_end(context.waker()))
    }
}

fn check_cores(cores: usize) -> Result<(), BuildError> {
    // Half of the slots, because every core may need a spare (see `Threads::limit`).
    let max = MAX_THREADS / 2;
    if (1..=max).contains(&cores) { Ok(()) } else { Err(BuildError::Cores { cores, max }) }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("permits", &self.permits()).finish_non_exhaustive()
    }
}

/// Runs `f`, which waits for something, and hands the closure's core permits on meanwhile; they are back when this
/// returns. Another worker takes over, so that every core stays busy. On a thread of no pool, and in a closure that was
/// declared blocking, it just runs `f`.
pub fn blocking<R>(f: impl FnOnce() -> R) -> R {
    worker::blocking(f)
}
