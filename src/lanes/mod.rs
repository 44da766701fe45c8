//! The hands: run attempts on the async lane or the pool, end them when told, report their outcomes.
//!
//! Owns the running work: one tokio task per attempt, which awaits the handler there (async lane) or its
//! closure on the pool, and sends one [`Ended`] on a bounded channel. Never decides what starts and
//! never writes anything down. Invariant: every attempt that was started is reported exactly once,
//! also when its handler panics, is cancelled, runs too long or is interrupted.

mod attempt;
mod lending;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::handlers::{Handler, Progress, Run};
use crate::job::{AttemptToken, Class, Failure, JobId, Outcome, Usage};
use crate::pool::Pool;

pub use lending::{Lending, Lent};

/// An attempt that is to run.
#[derive(Debug)]
pub struct Attempt {
    /// What the handler is given. Its `cancel` and `progress` are replaced by the lane's own.
    pub run: Run,
    /// The code that runs it.
    pub handler: Handler,
    /// The class it runs as, which is never `auto`.
    pub class: Class,
    /// How long it may run.
    pub timeout: Option<Duration>,
}

/// An attempt that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Which job.
    pub job: JobId,
    /// The attempt's token.
    pub token: AttemptToken,
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// Whether another attempt may end better.
    pub retryable: bool,
    /// The least pause before a retry that the other side asked for.
    pub retry_after: Option<Duration>,
}

/// Why an attempt is ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A user cancelled the job.
    Cancelled,
    /// The daemon ends.
    Interrupted,
    /// It printed more than it may.
    OutputLimit,
}

/// The running attempts of both lanes.
#[derive(Debug)]
pub struct Lanes {
    pool: Pool,
    reports: mpsc::Sender<Ended>,
    tracker: TaskTracker,
    running: HashMap<AttemptToken, Running>,
}

#[derive(Debug)]
struct Running {
    job: JobId,
    attempt: u32,
    cancel: CancellationToken,
    verdict: Arc<Verdict>,
    progress: Arc<Progress>,
    lending: Lending,
}

/// Why the lane ended an attempt, if it did; the first cause stays.
#[derive(Debug, Default)]
struct Verdict(AtomicU8);

impl Verdict {
    const NONE: u8 = 0;
    const CANCELLED: u8 = 1;
    const TIMED_OUT: u8 = 2;
    const INTERRUPTED: u8 = 3;
    const OUTPUT_LIMIT: u8 = 4;

    fn pass(&self, verdict: u8) {
        // Relaxed is enough: the cancellation token that is fired next carries the ordering.
        let _ = self.0.compare_exchange(Self::NONE, verdict, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.0.load(Ordering::Relaxed) {
            Self::CANCELLED => Some(Outcome::Cancelled),
            Self::TIMED_OUT => Some(Outcome::TimedOut),
            Self::INTERRUPTED => Some(Outcome::Interrupted),
            Self::OUTPUT_LIMIT => Some(Outcome::Failed(Failure::OutputLimit)),
            _ => None,
        }
    }
}

impl Lanes {
    /// Lanes over `pool` that report on `reports`.
    pub fn new(pool: Pool, reports: mpsc::Sender<Ended>) -> Self {
        Self { pool, reports, tracker: TaskTracker::new(), running: HashMap::new() }
    }

    /// Runs an attempt. Must be called on a tokio runtime.
    pub fn start(&mut self, mut attempt: Attempt) {
        let (job, token) = (attempt.run.job, attempt.run.token);
        let running = Running {
            job,
            attempt: attempt.run.attempt,
            cancel: CancellationToken::new(),
            verdict: Arc::default(),
            progress: Arc::default(),
            lending: Lending::new(),
        };
        attempt.run.cancel = running.cancel.clone();
        attempt.run.progress = Arc::clone(&running.progress);
        let verdict = Arc::clone(&running.verdict);
        let lending = running.lending.clone();
        self.running.insert(token, running);
        let (pool, reports) = (self.pool.clone(), self.reports.clone());
        self.tracker.spawn(async move {
            let ended = attempt::run(attempt, verdict, &lending, pool).await;
            // The receiver is gone only when the daemon is ending and has stopped listening.
            let _ = reports.send(ended).await;
        });
    }

    /// Ends a running attempt; it is reported as any other. `false` without such an attempt.
    pub fn end(&self, token: AttemptToken, cause: Cause) -> bool {
        let found = self.running.get(&token);
        if let Some(running) = found {
            running.verdict.pass(match cause {
                Cause::Cancelled => Verdict::CANCELLED,
                Cause::Interrupted => Verdict::INTERRUPTED,
                Cause::OutputLimit => Verdict::OUTPUT_LIMIT,
            });
            running.cancel.cancel();
        }
        found.is_some()
    }

    /// Which job a running attempt is of, and how its core permits are lent while it waits.
    pub fn lending(&self, token: AttemptToken) -> Option<(JobId, Lending)> {
        self.running.get(&token).map(|running| (running.job, running.lending.clone()))
    }

    /// Ends every running attempt.
    pub fn end_all(&self, cause: Cause) {
        for token in self.running.keys() {
            self.end(*token, cause);
        }
    }

    /// Forgets an attempt whose report has arrived; tells its number, if it was known.
    pub fn forget(&mut self, token: AttemptToken) -> Option<u32> {
        self.running.remove(&token).map(|running| running.attempt)
    }

    /// How many attempts have not been reported.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether nothing runs.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Which attempts run: their jobs, numbers and tokens.
    pub fn attempts(&self) -> impl Iterator<Item = (JobId, u32, AttemptToken)> {
        self.running.iter().map(|(token, running)| (running.job, running.attempt, *token))
    }

    /// Whether the work of a running attempt has yet to begin (see [`Progress::wait`]).
    pub fn waits(&self, token: AttemptToken) -> bool {
        self.running.get(&token).is_some_and(|running| running.progress.waits())
    }

    /// Which jobs run, and how far they are.
    pub fn progress(&self) -> impl Iterator<Item = (JobId, (u64, Option<u64>))> {
        self.running.values().map(|running| (running.job, running.progress.read()))
    }
}

impl Drop for Lanes {
    /// However the daemon comes to its end, what it runs ends with it.
    fn drop(&mut self) {
        self.end_all(Cause::Interrupted);
    }
}
