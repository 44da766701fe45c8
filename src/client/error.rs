//! Why a connection or a call failed.

use std::io;
use std::path::PathBuf;

use crate::protocol::{self, MAX_MESSAGE};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens: there is no socket, or only the file of one that has gone.
    #[error("no daemon answers at {path}", path = path.display())]
    Nobody {
        /// Where it was tried.
        path: PathBuf,
        /// Whether the socket's file is there all the same.
        stale: bool,
    },
    /// The socket is there, but not for this user.
    #[error("permission to use {path} is denied", path = path.display())]
    Denied {
        /// Where it was tried.
        path: PathBuf,
    },
    /// Anything else.
    #[error("can't connect to {path}: {source}", path = path.display())]
    Io {
        /// Where it was tried.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a call brought no reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The daemon refused, for one of the reasons of the interface.
    #[error("{}", .0.message())]
    Refused(protocol::Error),
    /// The service answered with an error of another interface.
    #[error("the daemon answered {name}: {parameters}")]
    Varlink {
        /// The error's name with its interface.
        name: String,
        /// Its fields.
        parameters: serde_json::Value,
    },
    /// The daemon closed the connection before it answered.
    #[error("the daemon closed the connection before it answered")]
    Closed,
    /// The connection broke.
    #[error("the connection to the daemon broke: {0}")]
    Io(#[from] io::Error),
    /// What came back can't be understood.
    #[error("the daemon's answer can't be understood: {0}; `twolane status` tells its version")]
    Malformed(#[from] serde_json::Error),
    /// The call is longer than the daemon takes.
    #[error("the call has {0} bytes, more than the {MAX_MESSAGE} that fit into one message")]
    TooLong(usize),
}
