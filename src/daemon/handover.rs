//! What one program of the daemon tells the next that takes its place in the same process.
//!
//! It is one JSON text in a file without a name, whose descriptor crosses over with the state directory's lock and the
//! socket. Everything else the next program finds in the store. Invariant: an attempt that is told of here was started,
//! written down and not waited for, and nothing else of the last program still runs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use super::clock::{moment_of, nanoseconds_of};
use super::instance::{self, InstanceError, StateLock};
use super::places::Places;
use crate::config::Mode;
use crate::handlers::{Going, Taken};
use crate::job::{AttemptToken, Class, JobId};
use crate::lanes::{Cause, GoingOn, Resumed};
use crate::process::{Bequest, Child, take_inherited};

/// The number of the form below. A program that knows another form only is not started.
pub(super) const FORMAT: u32 = 1;

/// Named units that an attempt holds, by resource.
pub(super) type Units = BTreeMap<String, Vec<String>>;

/// What is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) format: u32,
    /// The version of the program that tells it.
    pub(super) version: String,
    /// Where the program is installed.
    pub(super) program: PathBuf,
    pub(super) state_dir: PathBuf,
    pub(super) socket: PathBuf,
    /// The soft limit on descriptors that children get.
    pub(super) nofile: u64,
    /// The descriptors of the lock and of the socket.
    pub(super) lock: RawFd,
    pub(super) listener: RawFd,
    pub(super) attempts: Vec<Told>,
}

/// An attempt that goes on. Moments are those of the clock that neither steps nor counts suspend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    job: JobId,
    attempt: u32,
    token: String,
    class: Class,
    cpus: u32,
    timeout_ns: Option<u64>,
    begun_ns: u64,
    cause: Option<Why>,
    grace_ns: u64,
    ends_by_ns: Option<u64>,
    pid: i32,
    start_time: u64,
    started_ns: u64,
    units: Units,
}

/// Why an attempt was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    Cancelled,
    Interrupted,
    OutputLimit,
    TimedOut,
}

/// Why there is nothing to go on with.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandoverError {
    #[error("what the last program of this daemon left can't be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("what the last program of this daemon left can't be understood: {0}")]
    Strange(#[from] serde_json::Error),
    #[error("the last program of this daemon left things in form {0}, and this one knows {FORMAT}")]
    OtherForm(u32),
}

/// What the last program left.
#[derive(Debug)]
pub struct Handover {
    note: Note,
    lock: OwnedFd,
    listener: OwnedFd,
}

/// An attempt that was taken over, with its process.
#[derive(Debug)]
pub(super) struct Inherited {
    pub(super) resumed: Resumed,
    pub(super) units: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

impl Told {
    pub(super) fn of(one: &GoingOn, units: Units) -> Self {
        let Going { process, grace, ends_by } = &one.going;
        Self {
            job: one.job,
            attempt: one.attempt,
            token: one.token.to_string(),
            class: one.class,
            cpus: one.cpus,
            timeout_ns: one.timeout.map(nanoseconds),
            begun_ns: nanoseconds_of(one.begun),
            cause: one.cause.map(Why::of),
            grace_ns: nanoseconds(*grace),
            ends_by_ns: ends_by.map(nanoseconds_of),
            pid: process.pid,
            start_time: process.start_time,
            started_ns: nanoseconds_of(process.started),
            units,
        }
    }

    fn bequest(&self) -> Bequest {
        let (pid, start_time) = (self.pid, self.start_time);
        let attempt = Some(OsString::from(&self.token));
        Bequest { pid, start_time, started: moment_of(self.started_ns), attempt }
    }

    fn taken_with(self, child: Child) -> Option<Inherited> {
        let token: AttemptToken = self.token.parse().ok()?;
        let ends_by: Option<Instant> = self.ends_by_ns.map(moment_of);
        let taken = Taken::new(child, Duration::from_nanos(self.grace_ns), ends_by);
        let resumed = Resumed {
            job: self.job,
            attempt: self.attempt,
            token,
            class: self.class,
            cpus: self.cpus,
            timeout: self.timeout_ns.map(Duration::from_nanos),
            begun: moment_of(self.begun_ns),
            cause: self.cause.map(Why::cause),
            taken,
        };
        let shared = |units: Vec<String>| units.iter().map(|unit| Arc::from(unit.as_str())).collect();
        let units = self.units.into_iter();
        let units = units.map(|(name, units)| (Arc::from(name.as_str()), shared(units))).collect();
        Some(Inherited { resumed, units })
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Why {
    const fn of(cause: Cause) -> Self {
        match cause {
            Cause::Cancelled => Self::Cancelled,
            Cause::Interrupted => Self::Interrupted,
            Cause::OutputLimit => Self::OutputLimit,
            Cause::TimedOut => Self::TimedOut,
        }
    }

    const fn cause(self) -> Cause {
        match self {
            Self::Cancelled => Cause::Cancelled,
            Self::Interrupted => Cause::Interrupted,
            Self::OutputLimit => Cause::OutputLimit,
            Self::TimedOut => Cause::TimedOut,
        }
    }
}

impl Note {
    /// The note in a file without a name, which is closed on exec like all others.
    pub(super) fn written(&self) -> io::Result<File> {
        let mut file = File::from(memfd_create("handover", MemfdFlags::CLOEXEC)?);
        file.write_all(&serde_json::to_vec(self)?)?;
        file.rewind()?;
        Ok(file)
    }
}

impl Handover {
    /// Reads what the last program left behind this descriptor. To be called before this one has opened anything.
    pub(super) fn receive(number: RawFd) -> Result<Self, HandoverError> {
        let mut text = Vec::new();
        File::from(take_inherited(number)?).read_to_end(&mut text)?;
        /// What every form begins with.
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let Form { format } = serde_json::from_slice(&text)?;
        if format != FORMAT {
            return Err(HandoverError::OtherForm(format));
        }
        let note: Note = serde_json::from_slice(&text)?;
        let (lock, listener) = (take_inherited(note.lock)?, take_inherited(note.listener)?);
        Ok(Self { note, lock, listener })
    }

    /// The descriptors that crossed over.
    pub(super) fn descriptors(&self) -> Vec<RawFd> {
        vec![self.lock.as_raw_fd(), self.listener.as_raw_fd()]
    }

    /// The places of the last program, which are this one's too.
    pub(super) fn settle(self, places: &Places) -> Result<(Places3, Estate), InstanceError> {
        let Self { note, lock, listener } = self;
        let lock = StateLock::inherited(&places.state_dir, lock)?;
        let same = note.socket == places.socket;
        let listener = if same { Some(listener) } else { None };
        let listener = match listener {
            Some(listener) => instance::listen_on(&places.socket, listener)?,
            None => instance::listen(&places.socket, places.mode == Mode::System)?,
        };
        let Note { version, program, nofile, attempts, .. } = note;
        Ok(((lock, listener), Estate { version, program, nofile, attempts }))
    }

    /// Whether it is of a daemon with this state.
    pub(super) fn is_for(&self, places: &Places) -> bool {
        self.note.state_dir == places.state_dir
    }
}
