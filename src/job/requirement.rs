//! What a job requires of others before it may start.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::UnknownName;
use super::id::JobId;
use super::outcome::Outcome;
use super::state::State;

/// How another job has to end.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It has to succeed.
    #[default]
    Ok,
    /// It has to end, no matter how; being skipped is an end too.
    Any,
    /// It has to fail: an error, a timeout or an interruption, but neither a cancellation nor a skip.
    Fail,
}

/// One thing that a job requires before it may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The other job.
    pub job: JobId,
    /// How it has to end.
    pub on: Condition,
}

/// A requirement, and what is known of the job it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Awaited {
    /// What is required.
    pub requirement: Requirement,
    /// How the other job ended; `None` while it has not.
    pub ending: Option<Ending>,
}

/// How a job that others require came to its end.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// It reached a final state.
    Final {
        /// Which one.
        state: State,
        /// How its last attempt ended, if it had one.
        outcome: Option<Outcome>,
    },
    /// It was forgotten, and nobody knows any more how it ended.
    Removed,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Any, Self::Fail];

    /// Whether a job that ended in this state is what was required; a state that is not final never is.
    pub const fn is_met_by(self, state: State) -> bool {
        match self {
            Self::Ok => matches!(state, State::Succeeded),
            Self::Any => state.is_final(),
            Self::Fail => matches!(state, State::Failed),
        }
    }

    /// The condition's name on the wire and the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Any => "any",
            Self::Fail => "fail",
        }
    }

    /// What the other job has to do, in words.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Ok => "succeed",
            Self::Any => "end",
            Self::Fail => "fail",
        }
    }
}

impl FromStr for Condition {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|condition| condition.name() == text).ok_or_else(|| {
            UnknownName { what: "condition", given: text.to_owned(), known: "ok, any, fail" }
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.on, self.job)
    }
}

impl Ending {
    /// Whether this end is what the condition asks for. What became of a removed job is not known, so
    /// all that can be said of it is that it ended.
    pub const fn meets(&self, on: Condition) -> bool {
        match self {
            Self::Final { state, .. } => on.is_met_by(*state),
            Self::Removed => matches!(on, Condition::Any),
        }
    }

    /// Why a job that required something else of `requirement` is skipped.
    pub fn reason(&self, requirement: Requirement) -> String {
        let Requirement { job, on } = requirement;
        format!("job {job} had to {}, and it {self}", on.verb())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final { state: State::Failed, outcome: Some(outcome) } => outcome.fmt(f),
            Self::Final { state: State::Cancelled, .. } => f.write_str("was cancelled"),
            Self::Final { state: State::Skipped, .. } => f.write_str("was skipped"),
            Self::Final { state, .. } => state.fmt(f),
            Self::Removed => f.write_str("was removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Failure;

    #[test]
    fn a_condition_is_met_by_the_ends_it_names_and_no_other() {
        let met = |on: Condition| {
            State::ALL.into_iter().filter(|state| on.is_met_by(*state)).collect::<Vec<_>>()
        };
        assert_eq!(met(Condition::Ok), [State::Succeeded]);
        assert_eq!(met(Condition::Fail), [State::Failed]);
        assert_eq!(
            met(Condition::Any),
            [State::Succeeded, State::Failed, State::Cancelled, State::Skipped]
        );
    }

    #[test]
    fn a_reason_names_the_job_what_it_had_to_do_and_what_it_did() {
        let job = JobId::new(12).unwrap();
        let outcome = Some(Outcome::Failed(Failure::Exit(3)));
        let failed = Ending::Final { state: State::Failed, outcome };
        assert_eq!(
            failed.reason(Requirement { job, on: Condition::Ok }),
            "job 12 had to succeed, and it failed (exit code 3)"
        );
        assert_eq!(
            Ending::Removed.reason(Requirement { job, on: Condition::Fail }),
            "job 12 had to fail, and it was removed"
        );
        for on in Condition::ALL {
            assert_eq!(on.name().parse(), Ok(on));
        }
    }
}
