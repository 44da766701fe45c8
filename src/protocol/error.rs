//! The errors that calls end with: a closed list, each with fields and a message for people.

use serde::{Deserialize, Serialize};

use super::envelope::ReplyError;
use super::select::IdRange;
use crate::job::{JobId, State};

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "error", content = "parameters")]
pub enum Error {
    /// The kind is not known.
    UnknownKind {
        /// What was asked for.
        kind: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// The queue is not known.
    UnknownQueue {
        /// What was asked for.
        queue: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A job of a submission does not hold together.
    InvalidJob {
        /// Which job of the call, from 0.
        index: u64,
        /// Which field.
        field: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A value of another call does not hold together.
    InvalidValue {
        /// Which field.
        field: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// There is no such job, or the caller may not see it.
    NoSuchJob {
        /// Which id.
        id: JobId,
        /// What is wrong and what to do.
        message: String,
    },
    /// There is no such schedule, or the caller may not see it.
    NoSuchSchedule {
        /// What was asked for.
        schedule: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// The job's state does not allow it.
    WrongState {
        /// Which job.
        id: JobId,
        /// Where it stands.
        state: State,
        /// What is wrong and what to do.
        message: String,
    },
    /// Another unfinished job has the unique key.
    NotUnique {
        /// Which job of the call, from 0.
        index: u64,
        /// The job that has it.
        id: JobId,
        /// What is wrong and what to do.
        message: String,
    },
    /// The queue still has unfinished jobs.
    QueueInUse {
        /// Which queue.
        queue: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A limit is reached.
    LimitReached {
        /// Which limit.
        limit: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// The caller may not do this.
    NotPermitted {
        /// What is wrong and what to do.
        message: String,
    },
    /// There is no space left where jobs are stored.
    StorageFull {
        /// What is wrong and what to do.
        message: String,
    },
    /// Jobs can't be stored.
    StorageFailed {
        /// What is wrong and what to do.
        message: String,
    },
    /// The daemon takes no new jobs because it is about to end.
    Stopping {
        /// What is wrong and what to do.
        message: String,
    },
    /// The daemon is not restarted and goes on as it was.
    RestartRefused {
        /// What is wrong and what to do.
        message: String,
    },
    /// The daemon's program is being replaced while jobs go on: the call is to be made again on a new connection.
    Restarting {
        /// For Wait: the jobs whose end was not told yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jobs: Option<Vec<IdRange>>,
        /// What is wrong and what to do.
        message: String,
    },
    /// The config is not valid; the old one stays in force.
    InvalidConfig {
        /// What is wrong and what to do.
        message: String,
    },
    /// A message was no JSON object of the right form; the connection closes.
    InvalidMessage {
        /// What is wrong and what to do.
        message: String,
    },
    /// A message was longer than [`super::MAX_MESSAGE`]; the connection closes.
    MessageTooLong {
        /// The longest message, in bytes.
        limit: u64,
        /// What is wrong and what to do.
        message: String,
    },
    /// Something went wrong inside the daemon.
    Internal {
        /// What went wrong.
        message: String,
    },
}

impl Error {
    /// The error as it is told to a client.
    pub fn to_reply(&self) -> ReplyError {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        let name = value["error"].as_str().unwrap_or("Internal");
        let name = format!("{}.{name}", crate::INTERFACE);
        ReplyError { name, parameters: value["parameters"].take() }
    }

    /// Reads an error that a daemon told; `None` if it is not one of these.
    pub fn from_reply(reply: &ReplyError) -> Option<Self> {
        let name = reply.name.strip_prefix(crate::INTERFACE)?.strip_prefix('.')?;
        let value = serde_json::json!({ "error": name, "parameters": reply.parameters });
        serde_json::from_value(value).ok()
    }

    /// What is wrong and what to do, for people.
    pub fn message(&self) -> &str {
        match self {
            Self::UnknownKind { message, .. }
            | Self::UnknownQueue { message, .. }
            | Self::InvalidJob { message, .. }
            | Self::InvalidValue { message, .. }
            | Self::NoSuchJob { message, .. }
            | Self::NoSuchSchedule { message, .. }
            | Self::WrongState { message, .. }
            | Self::NotUnique { message, .. }
            | Self::QueueInUse { message, .. }
            | Self::LimitReached { message, .. }
            | Self::NotPermitted { message }
            | Self::StorageFull { message }
            | Self::StorageFailed { message }
            | Self::Stopping { message }
            | Self::RestartRefused { message }
            | Self::Restarting { message, .. }
            | Self::InvalidConfig { message }
            | Self::InvalidMessage { message }
            | Self::MessageTooLong { message, .. }
            | Self::Internal { message } => message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_back_as_it_was_told() {
        let error = Error::UnknownKind { kind: "x".to_owned(), message: "no".to_owned() };
        let reply = error.to_reply();
        assert_eq!(reply.name, "io.twolane.Scheduler.UnknownKind");
        assert_eq!(reply.parameters, serde_json::json!({ "kind": "x", "message": "no" }));
        assert_eq!(Error::from_reply(&reply), Some(error));
    }
}
