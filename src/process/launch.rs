//! What to start, and how starting it can fail.
//!
//! Plain data: nothing here touches the kernel.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use thiserror::Error;

/// The environment variable that carries the attempt's token into its processes.
///
/// Left-overs of an attempt are recognised by it, so [`super::leftovers()`] finds only processes whose
/// launch set it.
pub const ATTEMPT_VARIABLE: &str = "TWOLANE_ATTEMPT";

/// A command, ready to be started: nothing in it is looked up or inherited any more.
#[derive(Debug)]
pub struct Launch {
    /// The file to execute, as [`super::resolve()`] found it.
    pub program: PathBuf,
    /// The argument vector; the first is the name the program sees itself called by. An empty
    /// vector stands for the program's path alone.
    pub argv: Vec<OsString>,
    /// The whole environment; nothing is added to it.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory; the daemon's own when absent.
    pub cwd: Option<PathBuf>,
    /// The file mode creation mask; the daemon's own when absent.
    pub umask: Option<u32>,
    /// Descriptor 0 of the child.
    pub stdin: Stdin,
    /// Descriptor 1 of the child.
    pub stdout: OwnedFd,
    /// Descriptor 2 of the child.
    pub stderr: OwnedFd,
}

/// Where a child reads from.
#[derive(Debug)]
pub enum Stdin {
    /// Nothing to read: `/dev/null`.
    Null,
    /// This descriptor.
    Fd(OwnedFd),
}

/// Why a launch did not become a running program. No process is left behind in any of these cases.
#[derive(Debug, Error)]
pub enum SpawnError {
    /// An argument, variable or path contains a NUL byte, which the kernel cannot carry.
    #[error("{place} contains a NUL byte; no command line can carry one, remove it")]
    Nul {
        /// Which string it was.
        place: Place,
    },
    /// The program is not there (any more).
    #[error("{}: no such program; check the path, or PATH at submit", program.display())]
    NotFound {
        /// The file that was to be executed.
        program: PathBuf,
    },
    /// The program is there and cannot be executed.
    #[error("{}: cannot be executed: {source}", program.display())]
    NotExecutable {
        /// The file that was to be executed.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The script is there, but the interpreter named in its first line, or the loader a binary
    /// asks for, is not.
    #[error("{}: its interpreter is missing; check the first line of the file", program.display())]
    NoInterpreter {
        /// The file that was to be executed.
        program: PathBuf,
    },
    /// The working directory cannot be entered.
    #[error("cannot enter the working directory {}: {source}", cwd.display())]
    WorkingDirectory {
        /// The directory.
        cwd: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The system has no process, memory or descriptor left for a child just now. Trying again later
    /// is right.
    #[error("no room for another process ({step}): {source}; it may be tried again later")]
    Exhausted {
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else that the kernel refused.
    #[error("cannot prepare the process ({step}): {source}")]
    System {
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The spawner threads have ended: the daemon is going down.
    #[error("no process can be started any more, the daemon is stopping")]
    Stopped,
}

impl SpawnError {
    /// The exit code a shell would report: 127 when the program is missing, 126 when it cannot be
    /// executed, none when the fault is not the program's.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::NotFound { .. } => Some(127),
            Self::NotExecutable { .. } | Self::NoInterpreter { .. } | Self::Nul { .. } => Some(126),
            _ => None,
        }
    }

    /// The kernel's error number, where the kernel was asked.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::NotFound { .. } | Self::NoInterpreter { .. } => Some(libc::ENOENT),
            Self::NotExecutable { source, .. }
            | Self::WorkingDirectory { source, .. }
            | Self::Exhausted { source, .. }
            | Self::System { source, .. } => source.raw_os_error(),
            Self::Nul { .. } | Self::Stopped => None,
        }
    }

    /// Whether the same launch may well succeed later, with nothing changed about the job.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Exhausted { .. })
    }
}

/// Which string of a launch was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Place {
    /// The path of the program.
    #[error("the program's path")]
    Program,
    /// An argument, counted from 0 (the program's name).
    #[error("argument {0}")]
    Argument(usize),
    /// An environment variable, by its position; its name may be the offending part.
    #[error("environment variable {0}")]
    Environment(usize),
    /// The working directory.
    #[error("the working directory")]
    WorkingDirectory,
}
