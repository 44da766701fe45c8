//! Why a command could not do what it was asked to, and the exit code that says so.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::client::{CallError, ConnectError, Refusal};
use crate::job::exit_code;

/// Why a command could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The command line does not hold together.
    #[error("{0}")]
    Usage(String),
    /// What was given to read can't be read.
    #[error("can't read {name}: {source}")]
    Input {
        /// The file, or `standard input`.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// No socket answers, and no daemon may be started.
    #[error("{0}")]
    NoDaemon(#[from] Refusal),
    /// A socket is there and can't be used.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// A daemon was started and did not come up.
    #[error("the daemon that was started for you did not come up: {problem} (its log is {log})", log = log.display())]
    Start {
        /// What it said, or what happened to it.
        problem: String,
        /// Where its log is.
        log: PathBuf,
    },
    /// A file or folder that a daemon of one's own needs can't be made.
    #[error("can't make {path}, which your daemon needs: {source}", path = path.display())]
    Prepare {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The call failed.
    #[error("{0}")]
    Call(#[from] CallError),
    /// The call failed, and what it was about has a name here.
    #[error("{about}: {error}")]
    CallAbout {
        /// A line of an input, a job.
        about: String,
        /// Why.
        error: CallError,
    },
    /// Nobody reads the output any more.
    #[error("nobody reads the output any more")]
    NobodyReads,
    /// The output can't be written.
    #[error("can't write the output: {0}")]
    Output(io::Error),
    /// The daemon was to be restarted and was not.
    #[error("{0}")]
    NotRestarted(String),
    /// The caller said no to a question.
    #[error("nothing was changed")]
    SaidNo,
    /// The surroundings can't be told to a daemon.
    #[error("{0}")]
    Surroundings(String),
    /// Something that the system does not let us do.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl From<io::Error> for Error {
    /// Errors of writing to standard output: everything else is wrapped where it happens.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Output(error),
        }
    }
}

impl Error {
    /// A command line that does not hold together.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// The exit code that stands for it.
    pub(super) const fn exit_code(&self) -> i32 {
        match self {
            Self::Usage(_) | Self::Input { .. } | Self::Surroundings(_) => exit_code::USAGE,
            Self::NoDaemon(_) | Self::Connect(_) | Self::Start { .. } | Self::Prepare { .. } => {
                exit_code::NO_DAEMON
            }
            Self::Call(error) | Self::CallAbout { error, .. } => call_code(error),
            Self::NobodyReads => exit_code::SUCCESS,
            Self::NotRestarted(_) => exit_code::REFUSED,
            Self::Output(_) | Self::SaidNo | Self::System { .. } => exit_code::FAILURE,
        }
    }

    /// Whether it is told at all: a reader that has gone has seen what it wanted.
    pub(super) const fn is_quiet(&self) -> bool {
        matches!(self, Self::NobodyReads)
    }

    /// The error as an object: its name, its fields, its message, its exit code.
    pub(super) fn to_json(&self) -> Value {
        let mut value = match self {
            Self::Call(error) | Self::CallAbout { error, .. } => call_json(error),
            _ => json!({ "error": self.name() }),
        };
        value["message"] = self.to_string().into();
        value["exit_code"] = self.exit_code().into();
        value
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Usage(_) => "Usage",
            Self::Input { .. } => "UnreadableInput",
            Self::NoDaemon(_) | Self::Connect(_) => "NoDaemon",
            Self::Start { .. } | Self::Prepare { .. } => "StartFailed",
            Self::Call(_) | Self::CallAbout { .. } => "CallFailed",
            Self::NobodyReads | Self::Output(_) => "OutputFailed",
            Self::NotRestarted(_) => "NotRestarted",
            Self::SaidNo => "SaidNo",
            Self::Surroundings(_) => "Surroundings",
            Self::System { .. } => "System",
        }
    }
}

const fn call_code(error: &CallError) -> i32 {
    match error {
        CallError::Refused(_) | CallError::Varlink { .. } | CallError::TooLong(_) => {
            exit_code::REFUSED
        }
        CallError::Closed | CallError::Io(_) | CallError::Malformed(_) => exit_code::NO_DAEMON,
    }
}

fn call_json(error: &CallError) -> Value {
    let (name, fields) = match error {
        CallError::Refused(error) => {
            let reply = error.to_reply();
            (reply.name.rsplit('.').next().unwrap_or_default().to_owned(), reply.parameters)
        }
        CallError::Varlink { name, parameters } => (name.clone(), parameters.clone()),
        _ => ("CallFailed".to_owned(), Value::Null),
    };
    let mut value = json!({ "error": name });
    if let (Some(value), Value::Object(fields)) = (value.as_object_mut(), fields) {
        value.extend(fields);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol;

    #[test]
    fn exit_codes_tell_unreachable_refused_and_misused_apart() {
        let refused = protocol::Error::Stopping { message: "no".to_owned() };
        assert_eq!(Error::Call(CallError::Refused(refused)).exit_code(), 121);
        assert_eq!(Error::Call(CallError::Closed).exit_code(), 120);
        assert_eq!(Error::NoDaemon(Refusal::Homeless).exit_code(), 120);
        assert_eq!(Error::usage("x").exit_code(), 2);
        assert_eq!(Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit_code(), 0);
        assert_eq!(Error::from(io::Error::from(io::ErrorKind::StorageFull)).exit_code(), 1);
    }

    #[test]
    fn a_refusal_in_json_keeps_its_fields() {
        let id = "12".parse().unwrap();
        let refused = protocol::Error::NoSuchJob { id, message: "there is no job 12".to_owned() };
        let value = Error::Call(CallError::Refused(refused)).to_json();
        assert_eq!(
            value,
            json!({ "error": "NoSuchJob", "id": 12, "message": "there is no job 12", "exit_code": 121 })
        );
    }
}
