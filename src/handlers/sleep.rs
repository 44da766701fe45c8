//! The kind `sleep`: waits, as a timer on the event loop or as a blocking call on a pool thread.
//!
//! It is there for tests, demonstrations and spacing. Either way it ends at once when cancelled.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::job::{Class, Params};

use super::handler::{AsyncHandler, BlockingHandler};
use super::kind::{Kind, KindInfo};
use super::param::{self, Param, ParamKind};
use super::run::{Report, Run};

const FOR: &str = "for";

/// The kind with its declaration.
pub(super) fn kind() -> Kind {
    let doc = "wait for a while: as a timer (class io) or in a call that blocks (class blocking)";
    let info = KindInfo {
        classes: vec![Class::Io, Class::Blocking],
        params: vec![Param::required(FOR, ParamKind::Duration, "how long, such as 2s")],
        ..KindInfo::new("sleep", Class::Io, doc)
    };
    Kind::asynchronous(info, Timer).also_blocking(Nap)
}

struct Timer;
struct Nap;

impl AsyncHandler for Timer {
    fn run(self: Arc<Self>, run: Run) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        // Only these two are kept while it waits: thousands of sleeps at once are the usual case.
        let (span, cancel) = (span(&run.params), run.cancel);
        Box::pin(async move {
            match cancel.run_until_cancelled(tokio::time::sleep(span)).await {
                Some(()) => Report::succeeded(),
                None => Report::cancelled(),
            }
        })
    }
}

impl BlockingHandler for Nap {
    fn run(&self, run: Run) -> Report {
        let span = span(&run.params);
        if crate::pool::blocking(|| cancelled_within(&run.cancel, span)) {
            Report::cancelled()
        } else {
            Report::succeeded()
        }
    }
}

fn span(params: &Params) -> Duration {
    param::duration(params, FOR).unwrap_or_default()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until the token fires (true) or the span is over (false).
fn cancelled_within(cancel: &CancellationToken, span: Duration) -> bool {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut task = TaskContext::from_waker(&waker);
    let mut cancelled = pin!(cancel.cancelled());
    let start = Instant::now();
    loop {
        // Asked first, then parked: a wake between the two makes the park return at once.
        if cancelled.as_mut().poll(&mut task).is_ready() {
            return true;
        }
        let left = span.saturating_sub(start.elapsed());
        if left.is_zero() {
            return false;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{bounded, run};
    use super::*;

    #[tokio::test]
    async fn a_timer_ends_after_its_time_and_when_cancelled() {
        let ended = Arc::new(Timer).run(run(json!({"for": 0.001})));
        assert_eq!(bounded(ended).await, Report::succeeded());
        let endless = run(json!({"for": 1e9}));
        let cancel = endless.cancel.clone();
        let ended = tokio::spawn(Arc::new(Timer).run(endless));
        cancel.cancel();
        assert_eq!(bounded(ended).await.unwrap(), Report::cancelled());
    }

    #[tokio::test]
    async fn a_blocking_sleep_ends_after_its_time_and_when_cancelled() {
        assert_eq!(Nap.run(run(json!({"for": 0.001}))), Report::succeeded());
        let endless = run(json!({"for": 1e9}));
        let cancel = endless.cancel.clone();
        let napping = tokio::task::spawn_blocking(move || Nap.run(endless));
        cancel.cancel();
        assert_eq!(bounded(napping).await.unwrap(), Report::cancelled());
    }
}
