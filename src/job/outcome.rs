//! How an attempt ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::state::State;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it was to do.
    Succeeded,
    /// It did not.
    Failed(Failure),
    /// It ran longer than it was allowed to and was ended.
    TimedOut,
    /// A user cancelled it.
    Cancelled,
    /// The daemon ended before the attempt did, and nobody saw how it ended.
    Interrupted,
}

/// In which way an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Its process left with this code, which is not zero.
    Exit(i32),
    /// Its process was killed by this signal.
    Signal(i32),
    /// Its program could not be found; the text is the system's.
    NotFound(String),
    /// Its program was found but could not be started; the text is the system's.
    NotExecutable(String),
    /// A handler's own error, in words.
    Error(String),
    /// It wrote more than it was allowed to.
    OutputLimit,
}

/// Exit codes that the CLI and records use, as `timeout`, `env` and the shell do.
pub mod exit_code {
    /// Everything went well.
    pub const SUCCESS: i32 = 0;
    /// A handler failed with an error of its own, or not all of several jobs succeeded.
    pub const FAILURE: i32 = 1;
    /// The command line was wrong.
    pub const USAGE: i32 = 2;
    /// The daemon can't be reached.
    pub const NO_DAEMON: i32 = 120;
    /// The daemon refused.
    pub const REFUSED: i32 = 121;
    /// The job was skipped.
    pub const SKIPPED: i32 = 122;
    /// The job was cancelled.
    pub const CANCELLED: i32 = 123;
    /// The job ran into its timeout.
    pub const TIMED_OUT: i32 = 124;
    /// The job was interrupted.
    pub const INTERRUPTED: i32 = 125;
    /// The program is not executable.
    pub const NOT_EXECUTABLE: i32 = 126;
    /// The program was not found.
    pub const NOT_FOUND: i32 = 127;
    /// Added to the number of the signal that killed a process.
    pub const SIGNAL_BASE: i32 = 128;
}

impl Outcome {
    /// The exit code that stands for this outcome.
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Succeeded => exit_code::SUCCESS,
            Self::Failed(Failure::Exit(code)) => *code,
            Self::Failed(Failure::Signal(signal)) => exit_code::SIGNAL_BASE + *signal,
            Self::Failed(Failure::NotFound(_)) => exit_code::NOT_FOUND,
            Self::Failed(Failure::NotExecutable(_)) => exit_code::NOT_EXECUTABLE,
            Self::Failed(Failure::Error(_) | Failure::OutputLimit) => exit_code::FAILURE,
            Self::TimedOut => exit_code::TIMED_OUT,
            Self::Cancelled => exit_code::CANCELLED,
            Self::Interrupted => exit_code::INTERRUPTED,
        }
    }

    /// The final state of a job whose last attempt ended so.
    pub const fn final_state(&self) -> State {
        match self {
            Self::Succeeded => State::Succeeded,
            Self::Cancelled => State::Cancelled,
            Self::Failed(_) | Self::TimedOut | Self::Interrupted => State::Failed,
        }
    }

    /// One word for lists: `succeeded`, `exit`, `signal`, `error`, `timed_out`, …
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(Failure::Exit(_)) => "exit",
            Self::Failed(Failure::Signal(_)) => "signal",
            Self::Failed(Failure::NotFound(_) | Failure::NotExecutable(_) | Failure::Error(_)) => {
                "error"
            }
            Self::Failed(Failure::OutputLimit) => "output_limit",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// The text that came with the outcome, if it has one.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Failed(
                Failure::NotFound(text) | Failure::NotExecutable(text) | Failure::Error(text),
            ) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => f.write_str("succeeded"),
            Self::Failed(Failure::Exit(code)) => write!(f, "failed (exit code {code})"),
            Self::Failed(Failure::Signal(signal)) => write!(f, "failed (signal {signal})"),
            Self::Failed(Failure::OutputLimit) => f.write_str("failed (output limit)"),
            Self::Failed(
                Failure::NotFound(text) | Failure::NotExecutable(text) | Failure::Error(text),
            ) => write!(f, "failed ({text})"),
            Self::TimedOut => f.write_str("failed (timed out)"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Interrupted => f.write_str("failed (interrupted)"),
        }
    }
}
