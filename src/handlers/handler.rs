//! The two traits of handlers: the one that waits and the one that blocks or burns.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::job::{Context, Params};

use super::param::ParamError;
use super::run::{Report, Run};

/// A handler that waits: it runs as a tokio task and must never block its thread.
pub trait AsyncHandler: Send + Sync + 'static {
    /// Looks at parameters that already fit their declaration; called at submit.
    fn check(&self, params: &Params, context: &Context) -> Result<(), ParamError> {
        let _ = (params, context);
        Ok(())
    }

    /// Does the work. When `run.cancel` fires it ends soon and leaves nothing behind.
    fn run(self: Arc<Self>, run: Run) -> Pin<Box<dyn Future<Output = Report> + Send>>;
}

/// A handler that blocks or burns CPU: it runs as a closure on the pool, where it may split its work
/// with [`crate::pool::scope`] and [`crate::pool::join`].
pub trait BlockingHandler: Send + Sync + 'static {
    /// Looks at parameters that already fit their declaration; called at submit.
    fn check(&self, params: &Params, context: &Context) -> Result<(), ParamError> {
        let _ = (params, context);
        Ok(())
    }

    /// Does the work. When `run.cancel` fires it ends soon and leaves nothing behind.
    fn run(&self, run: Run) -> Report;
}

/// The code that runs an attempt, and with it how it has to be run.
#[derive(Clone)]
pub enum Handler {
    /// As a tokio task.
    Async(Arc<dyn AsyncHandler>),
    /// As a closure on the pool.
    Blocking(Arc<dyn BlockingHandler>),
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async(_) => "Async(..)",
            Self::Blocking(_) => "Blocking(..)",
        })
    }
}
