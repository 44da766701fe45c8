//! The trades: the code that runs each kind of work, one file per kind.
//!
//! Owns the handler traits, what a handler is given ([`Run`]) and what it gives back ([`Report`]), and
//! the registry that embedders can add to. Never schedules, never talks to a client. Invariant: the
//! trait decides the lane, so work that blocks can't reach the event loop by mistake.

mod output;
mod progress;

pub use output::Output;
pub use progress::Progress;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::job::{AttemptToken, Class, Context, JobId, Outcome, Params, Usage};

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

/// What a handler is given for one attempt.
#[derive(Debug)]
pub struct Run {
    /// Which job.
    pub job: JobId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The attempt's token, for `$TWOLANE_ATTEMPT` and the header `Twolane-Attempt`.
    pub token: AttemptToken,
    /// The job's name, if it has one.
    pub name: Option<String>,
    /// The index in its array, if it is an element of one.
    pub index: Option<u64>,
    /// The core permits it holds, for `$TWOLANE_CPUS`.
    pub cpus: u32,
    /// The parameters, checked at submit.
    pub params: Params,
    /// The submitter's surroundings.
    pub context: Arc<Context>,
    /// Where the attempt's output goes.
    pub output: Output,
    /// Fires when the attempt is cancelled or has run too long.
    pub cancel: CancellationToken,
    /// How long a process has between TERM and KILL.
    pub grace: Duration,
    /// Where the handler tells how far it is.
    pub progress: Arc<Progress>,
}

/// What a handler gives back.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How the attempt ended. The lane turns it into cancelled or timed out if it ended the attempt.
    pub outcome: Outcome,
    /// What the attempt used, if the handler knows better than its lane.
    pub usage: Option<Usage>,
    /// The least pause before a retry that the other side asked for.
    pub retry_after: Option<Duration>,
}

/// Why parameters are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// The kind has no such parameter.
    #[error("kind {kind} has no parameter {name:?}{hint}", hint = nearest.as_ref().map_or_else(String::new, |n| format!(": did you mean {n:?}?")))]
    Unknown {
        /// Which kind.
        kind: String,
        /// What was given.
        name: String,
        /// The parameter that is spelled most like it.
        nearest: Option<String>,
    },
    /// A parameter that must be there is not.
    #[error("kind {kind} needs the parameter {name:?}: {doc}")]
    Missing {
        /// Which kind.
        kind: String,
        /// Which parameter.
        name: String,
        /// What it means.
        doc: String,
    },
    /// A parameter's value does not fit.
    #[error("parameter {name:?}: {problem}")]
    Value {
        /// Which parameter.
        name: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The kind can't run as the class that was asked for.
    #[error("kind {kind} can't run as class {class}: use {allowed}")]
    Class {
        /// Which kind.
        kind: String,
        /// What was asked for.
        class: Class,
        /// What is possible, in words.
        allowed: String,
    },
}
