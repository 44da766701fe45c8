//! Tests of the pool as a whole: what it promises to those who use it.

mod bridge;
mod fork_join;
mod leaks;
mod permits;
mod shutdown;
mod sizes;
mod stress;
mod watch;

use std::future::Future;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::{Options, Pool};

/// No wait in these tests lasts longer; it is reached only when something is broken.
const LIMIT: Duration = Duration::from_secs(60);

fn pool(cores: usize, blocking: usize) -> Pool {
    Pool::new(Options { cores, blocking, name: "test".to_owned(), ..Options::default() })
        .expect("a pool")
}

/// Runs a future on a runtime of its own, within the limit.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(LIMIT, future).await.expect("within the limit") })
}

/// Waits for a state that others bring about, by asking.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LIMIT, "not within the limit: {what}");
        std::thread::yield_now();
    }
}

/// A gate that closures wait at.
struct Gate {
    opener: Sender<()>,
    reached: Receiver<()>,
}

fn gate() -> (Gate, impl FnOnce() + Send + 'static) {
    let (opener, receiver): (Sender<()>, Receiver<()>) = channel();
    let (arrival, reached) = channel();
    (Gate { opener, reached }, move || {
        // The test may not care.
        let _ = arrival.send(());
        // An error means that the gate was dropped, which opens it too.
        let _ = receiver.recv_timeout(LIMIT);
    })
}

impl Gate {
    fn open(self) {
        drop(self.opener);
    }

    /// Waits until a closure is at the gate. One that a worker has taken but not begun can still be cancelled or
    /// abandoned, so only its own word says that it runs.
    fn wait_for_arrival(&self) {
        self.reached.recv_timeout(LIMIT).expect("a closure comes to the gate");
    }
}

/// Burns a core for so long.
fn burn(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::black_box(0);
    }
}
