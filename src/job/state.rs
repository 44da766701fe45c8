//! The states of a job and the only table of the ways between them.
//!
//! ```text
//!              ┌── scheduled (not before T, retry delay) ──┐
//! submitted ───┼── waiting   (dependencies) ───────────────┼──► queued ──► running ──► succeeded | failed | cancelled
//!              └── held      (by hand) ────────────────────┘       ▲            │
//!                     waiting ──► skipped                          └── retry ───┘
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::UnknownName;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not before a time: a delay, or the pause before a retry.
    Scheduled,
    /// For other jobs to end.
    Waiting,
    /// By hand, until released.
    Held,
    /// Ready, for its turn.
    Queued,
    /// An attempt is under way.
    Running,
    /// Final: the last attempt succeeded.
    Succeeded,
    /// Final: the last attempt failed and no retry is left.
    Failed,
    /// Final: cancelled by a user.
    Cancelled,
    /// Final: what it waited for did not come true.
    Skipped,
}

/// A way that the table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {from} job can't become {to}")]
pub struct Transition {
    /// Where the job stands.
    pub from: State,
    /// Where it was to go.
    pub to: State,
}

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Waiting,
        Self::Held,
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Skipped,
    ];

    /// Whether nothing more happens to the job by itself.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped)
    }

    /// Whether a job in this state may go to `to`.
    ///
    /// Every state that is not final can be held or cancelled; a retry or release looks at all gates
    /// again, so it may lead to any of the states before running.
    pub const fn may_become(self, to: Self) -> bool {
        match self {
            Self::Scheduled | Self::Queued => {
                matches!(to, Self::Scheduled | Self::Queued | Self::Held | Self::Cancelled)
                    || matches!((self, to), (Self::Queued, Self::Running))
            }
            Self::Waiting => matches!(
                to,
                Self::Queued | Self::Scheduled | Self::Held | Self::Cancelled | Self::Skipped
            ),
            Self::Held => {
                matches!(to, Self::Queued | Self::Scheduled | Self::Waiting | Self::Cancelled)
            }
            Self::Running => matches!(
                to,
                Self::Succeeded
                    | Self::Failed
                    | Self::Cancelled
                    | Self::Scheduled
                    | Self::Queued
                    | Self::Held
            ),
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped => {
                matches!(to, Self::Queued | Self::Scheduled | Self::Waiting | Self::Held)
            }
        }
    }

    /// Whether an edit may leave a job of this state as `to`: what it waits for may have become
    /// something else, or nothing.
    pub const fn may_be_edited_into(self, to: Self) -> bool {
        match self {
            Self::Scheduled | Self::Waiting | Self::Queued => {
                matches!(to, Self::Scheduled | Self::Waiting | Self::Queued)
            }
            Self::Held => matches!(to, Self::Held),
            Self::Running => matches!(to, Self::Running),
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped => false,
        }
    }

    /// Goes to `to`, if the table has that way.
    pub const fn become_(self, to: Self) -> Result<Self, Transition> {
        if self.may_become(to) { Ok(to) } else { Err(Transition { from: self, to }) }
    }

    /// The state's name on the wire and the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for State {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or_else(|| UnknownName {
            what: "state",
            given: text.to_owned(),
            known: "scheduled, waiting, held, queued, running, succeeded, failed, cancelled, skipped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unfinished_state_can_be_held_or_cancelled() {
        for state in State::ALL.into_iter().filter(|state| !state.is_final()) {
            assert!(state.may_become(State::Cancelled), "{state}");
            assert!(state == State::Held || state.may_become(State::Held), "{state}");
        }
    }

    #[test]
    fn only_a_queued_job_starts_and_only_a_waiting_one_is_skipped() {
        for state in State::ALL {
            assert_eq!(state.may_become(State::Running), state == State::Queued, "{state}");
            assert_eq!(state.may_become(State::Skipped), state == State::Waiting, "{state}");
        }
    }

    #[test]
    fn a_final_state_is_left_by_retry_alone() {
        for state in State::ALL.into_iter().filter(|state| state.is_final()) {
            assert!(
                State::ALL.into_iter().filter(|to| to.is_final()).all(|to| !state.may_become(to))
            );
            assert!(state.may_become(State::Queued));
        }
    }
}
