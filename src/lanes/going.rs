//! Attempts that outlive the daemon's program: what the next one has to know of them, and how it goes on with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Cause, Lanes, Lending, Running, Verdict, attempt};
use crate::handlers::{Going, Outside, Taken, go_on};
use crate::job::{AttemptToken, Class, JobId};

/// An attempt that goes on whatever becomes of this program; what goes on of it is told to the next
/// program as it is, and held by one that goes on with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoingOn<What = Going> {
    /// Which job.
    pub job: JobId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The attempt's token.
    pub token: AttemptToken,
    /// The class it runs as.
    pub class: Class,
    /// The core permits it holds, if its class holds any.
    pub cpus: u32,
    /// How long it may run in all.
    pub timeout: Option<Duration>,
    /// When it began.
    pub begun: Instant,
    /// Why it was told to end, if it was.
    pub cause: Option<Cause>,
    /// What goes on.
    pub going: What,
}

/// An attempt of an earlier program that this one goes on with.
pub type Resumed = GoingOn<Taken>;

impl Lanes {
    /// Whether nothing runs but what goes on outside, in processes that nobody has waited for.
    pub fn all_go_on(&self) -> bool {
        self.running.values().all(|running| running.outside.is_all())
    }

    /// How many attempts do not go on outside.
    pub fn inside(&self) -> usize {
        self.running.values().filter(|running| !running.outside.is_all()).count()
    }

    /// Completes when an attempt goes on outside that did not before. May be dropped and called again.
    pub async fn one_goes_on(&self) {
        self.told.notified().await;
    }

    /// Ends every attempt that does not go on outside.
    pub fn end_inside(&self, cause: Cause) {
        for (token, running) in &self.running {
            if !running.outside.is_all() {
                self.end(*token, cause);
            }
        }
    }

    /// What the next program has to know of all that goes on.
    pub fn going_on(&self) -> Vec<GoingOn> {
        let all = self.running.iter();
        all.filter_map(|(token, running)| {
            Some(GoingOn {
                job: running.job,
                attempt: running.attempt,
                token: *token,
                class: running.class,
                cpus: running.cpus,
                timeout: running.timeout,
                begun: running.begun,
                cause: running.verdict.cause(),
                going: running.outside.going()?,
            })
        })
        .collect()
    }

    /// Goes on with an attempt. What it burns is charged at once, free or not. Must be called on a tokio runtime.
    pub fn resume(&mut self, resumed: Resumed) {
        let Resumed { job, token, class, cpus, timeout, begun, cause, going: taken, .. } = resumed;
        let cancel = CancellationToken::new();
        let verdict = Arc::<Verdict>::default();
        if let Some(cause) = cause {
            verdict.end(cause);
            cancel.cancel();
        }
        let outside = Arc::new(Outside::new(Arc::clone(&self.told)));
        let running = Running {
            job,
            attempt: resumed.attempt,
            cancel: cancel.clone(),
            verdict: Arc::clone(&verdict),
            progress: Arc::default(),
            lending: Lending::new(),
            outside: Arc::clone(&outside),
            class,
            cpus,
            timeout,
            begun,
        };
        let lending = running.lending.clone();
        self.running.insert(token, running);
        let permits = (class == Class::Cpu).then(|| self.pool.permits().charge(cpus as usize));
        let reports = self.reports.clone();
        self.tracker.spawn(async move {
            let going = go_on(taken, cancel.clone(), outside);
            let work = async {
                match permits {
                    Some(permits) => attempt::lending_while(going, permits, &lending).await,
                    None => going.await,
                }
            };
            let report = match timeout.filter(|_| cause.is_none()) {
                None => work.await,
                Some(limit) => {
                    let left = limit.saturating_sub(begun.elapsed());
                    attempt::within(left, work, &verdict, &cancel).await
                }
            };
            let ended = attempt::ended(job, token, begun, report, &verdict);
            // The receiver is gone only when the daemon is ending and has stopped listening.
            let _ = reports.send(ended).await;
        });
    }
}
