//! What a handler is given for one attempt, and what it gives back.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::job::{AttemptToken, Context, Failure, JobId, Outcome, Params, Usage};

use super::output::Output;
use super::outside::Outside;
use super::progress::Progress;

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
    /// Where the handler tells what of the attempt goes on outside of the daemon's program.
    pub outside: Arc<Outside>,
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
    /// Whether another run could end differently. Where it is false no retry follows, whatever the
    /// job's policy says; where it is true the policy decides.
    pub retryable: bool,
}

impl Report {
    /// The attempt ended so; a retry is up to the job's policy.
    pub const fn ended(outcome: Outcome) -> Self {
        Self { outcome, usage: None, retry_after: None, retryable: true }
    }

    /// The attempt did what it was to do.
    pub const fn succeeded() -> Self {
        Self::ended(Outcome::Succeeded)
    }

    /// The attempt saw `run.cancel` and stopped.
    pub const fn cancelled() -> Self {
        Self::ended(Outcome::Cancelled)
    }

    /// The attempt failed with the handler's own error.
    #[expect(clippy::needless_pass_by_value, reason = "callers hand over what they have just made")]
    pub fn error(problem: impl ToString) -> Self {
        Self::ended(Outcome::Failed(Failure::Error(problem.to_string())))
    }

    /// The same, and another run would end the same way.
    #[must_use]
    pub fn hopeless(self) -> Self {
        Self { retryable: false, ..self }
    }

    /// The same, with what the attempt used.
    #[must_use]
    pub fn with_usage(self, usage: Usage) -> Self {
        Self { usage: Some(usage), ..self }
    }

    /// The same, with the pause that the other side asked for.
    #[must_use]
    pub fn retry_after(self, pause: Option<Duration>) -> Self {
        Self { retry_after: pause, ..self }
    }
}
