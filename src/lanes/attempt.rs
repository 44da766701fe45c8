//! One attempt from its start to its report.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

use super::{Attempt, Ended, Lending, Verdict};
use crate::handlers::{AsyncHandler, BlockingHandler, Handler, Report, Run};
use crate::job::{AttemptToken, Class, Failure, JobId, Outcome, Usage};
use crate::pool::{JoinError, Permits, Pool};

/// Runs the attempt and makes its report.
pub(super) async fn run(
    attempt: Attempt,
    begun: Instant,
    verdict: Arc<Verdict>,
    lending: &Lending,
    pool: Pool,
) -> Ended {
    let Attempt { run, handler, class, timeout } = attempt;
    let (job, token, cancel) = (run.job, run.token, run.cancel.clone());
    let work = on_lane(run, handler, class, lending, pool);
    let report = match timeout {
        None => work.await,
        Some(limit) => within(limit, work, &verdict, &cancel).await,
    };
    ended(job, token, begun, report, &verdict)
}

/// What is reported of an attempt whose handler said this.
pub(super) fn ended(
    job: JobId,
    token: AttemptToken,
    begun: Instant,
    report: Report,
    verdict: &Verdict,
) -> Ended {
    let usage = report.usage.unwrap_or_default();
    let usage = Usage { wall: begun.elapsed(), ..usage };
    let outcome = judged(report.outcome, verdict);
    Ended {
        job,
        token,
        outcome,
        usage,
        retryable: report.retryable,
        retry_after: report.retry_after,
    }
}

/// What the lane did to the attempt outweighs what the handler made of it: a process that traps the
/// signal and leaves with 0 was ended all the same. Only the daemon's own end takes nothing away from
/// work that is done.
fn judged(outcome: Outcome, verdict: &Verdict) -> Outcome {
    match (verdict.outcome(), outcome) {
        (Some(Outcome::Interrupted) | None, Outcome::Succeeded) => Outcome::Succeeded,
        (Some(verdict), _) => verdict,
        (None, outcome) => outcome,
    }
}

pub(super) async fn within(
    limit: Duration,
    work: impl Future<Output = Report>,
    verdict: &Verdict,
    cancel: &CancellationToken,
) -> Report {
    tokio::pin!(work);
    tokio::select! {
        biased;
        report = &mut work => report,
        () = tokio::time::sleep(limit) => {
            verdict.pass(Verdict::TIMED_OUT);
            cancel.cancel();
            work.await
        }
    }
}

async fn on_lane(
    run: Run,
    handler: Handler,
    class: Class,
    lending: &Lending,
    pool: Pool,
) -> Report {
    match (handler, class) {
        (Handler::Async(handler), Class::Cpu) => with_permits(run, handler, lending, &pool).await,
        (Handler::Async(handler), _) => awaited(handler, run).await,
        (Handler::Blocking(handler), class) => on_pool(run, handler, class, &pool).await,
    }
}

/// Async work of class `cpu`: it burns cores outside the pool's threads, so it holds their permits
/// and parks no thread. While it waits for something of the daemon's it lends them.
async fn with_permits(
    run: Run,
    handler: Arc<dyn AsyncHandler>,
    lending: &Lending,
    pool: &Pool,
) -> Report {
    let cancel = run.cancel.clone();
    let permits = tokio::select! {
        biased;
        permits = pool.permits().acquire(run.cpus as usize) => permits,
        () = cancel.cancelled() => return Report::ended(Outcome::Cancelled),
    };
    lending_while(awaited(handler, run), permits, lending).await
}

/// Holds the permits until the work is done, but lends them while it waits.
pub(super) async fn lending_while(
    work: impl Future<Output = Report>,
    mut permits: Permits,
    lending: &Lending,
) -> Report {
    let mut waits = lending.subscribe();
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            report = &mut work => return report,
            Ok(()) = waits.changed() => {
                if *waits.borrow_and_update() > 0 {
                    permits.lend();
                } else {
                    // The process runs on already: what it burns is charged at once, free or not.
                    permits.force_back();
                }
            }
        }
    }
}

async fn awaited(handler: Arc<dyn AsyncHandler>, run: Run) -> Report {
    // A handler whose call itself panics, before there is a future, is caught like any other.
    match AssertUnwindSafe(async move { handler.run(run).await }).catch_unwind().await {
        Ok(report) => report,
        Err(panic) => panicked(&*panic),
    }
}

async fn on_pool(run: Run, handler: Arc<dyn BlockingHandler>, class: Class, pool: &Pool) -> Report {
    let mut task = pool.task().cancel(run.cancel.clone());
    task = match class {
        Class::Blocking => task.blocking(),
        _ => task.weight(run.cpus as usize),
    };
    let joined = task.spawn(move || {
        let before = thread_cpu();
        let mut report = handler.run(run);
        report.usage.get_or_insert_default().cpu += thread_cpu().saturating_sub(before);
        report
    });
    match joined.await {
        Ok(report) => report,
        Err(JoinError::Panicked(panic)) => panicked(&*panic),
        Err(JoinError::Cancelled | JoinError::Abandoned) => Report::ended(Outcome::Cancelled),
    }
}

/// Processor time of this thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn panicked(panic: &(dyn Any + Send)) -> Report {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text");
    Report::ended(Outcome::Failed(Failure::Error(format!("the handler panicked: {text}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock of the event loop is the one that neither steps nor counts suspend, and no other is
    /// looked at: here it alone goes on.
    #[tokio::test(start_paused = true)]
    async fn a_timeout_counts_running_time_alone() {
        let limit = Duration::from_secs(3600);
        let (verdict, cancel) = (Verdict::default(), CancellationToken::new());
        let work = async {
            cancel.cancelled().await;
            Report::cancelled()
        };
        let mut timed = pin!(within(limit, work, &verdict, &cancel));
        assert!(timed.as_mut().now_or_never().is_none());
        tokio::time::advance(Duration::from_millis(3_599_999)).await;
        assert!(timed.as_mut().now_or_never().is_none());
        assert_eq!(verdict.outcome(), None);
        tokio::time::advance(Duration::from_millis(2)).await;
        timed.await;
        assert_eq!(verdict.outcome(), Some(Outcome::TimedOut));
    }
}
