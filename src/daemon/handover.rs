//! What one program of the daemon tells the next that takes its place in the same process.
//!
//! It is one JSON text in a file without a name, whose descriptor crosses over with the state directory's lock and the
//! socket. Everything else the next program finds in the store. Invariant: an attempt that is told of here was started,
//! written down and not waited for, and nothing else of the last program still runs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
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

/// What every form begins with.
#[derive(Deserialize)]
struct Form {
    format: u32,
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
pub(super) struct Handover {
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
        let tree = Taken::new(child, Duration::from_nanos(self.grace_ns), ends_by);
        let resumed = Resumed {
            job: self.job,
            attempt: self.attempt,
            token,
            class: self.class,
            cpus: self.cpus,
            timeout: self.timeout_ns.map(Duration::from_nanos),
            begun: moment_of(self.begun_ns),
            cause: self.cause.map(Why::cause),
            going: tree,
        };
        let shared =
            |units: Vec<String>| units.iter().map(|unit| Arc::from(unit.as_str())).collect();
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

    /// Whether it is of a daemon in these places.
    fn is_for(&self, places: &Places) -> bool {
        (&self.note.state_dir, &self.note.socket) == (&places.state_dir, &places.socket)
    }
}

/// A daemon's place: its lock and its socket, and what an earlier program of it left, if one did.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) lock: StateLock,
    pub(super) listener: UnixListener,
    pub(super) estate: Estate,
}

/// What an earlier program left; nothing where there was none.
#[derive(Debug, Default)]
pub(super) struct Estate {
    /// Where the program is installed.
    pub(super) program: Option<PathBuf>,
    /// The soft limit on descriptors that children get.
    pub(super) nofile: Option<u64>,
    /// The attempts that go on.
    attempts: Vec<Told>,
}

/// The attempts that were taken over and not gone on with yet; of those that are left, the processes end.
pub(super) type Heirs = HashMap<JobId, Inherited>;

impl Place {
    /// Takes the place over, or takes it for the first time.
    pub(super) fn take(handover: Option<Handover>, places: &Places) -> Result<Self, InstanceError> {
        let Some(handover) = handover.filter(|handover| handover.is_for(places)) else {
            let lock = instance::lock_state(&places.state_dir)?;
            let listener = instance::listen(&places.socket, places.mode == Mode::System)?;
            return Ok(Self { lock, listener, estate: Estate::default() });
        };
        let Handover { note, lock, listener } = handover;
        let lock = instance::inherit_lock(&places.state_dir, lock)?;
        let listener = instance::inherit_socket(&places.socket, listener)?;
        let Note { version, program, nofile, attempts, .. } = note;
        tracing::info!(attempts = attempts.len(), "going on where version {version} stopped");
        let estate = Estate { program: Some(program), nofile: Some(nofile), attempts };
        Ok(Self { lock, listener, estate })
    }
}

impl Estate {
    /// The processes that go on.
    pub(super) fn bequests(&self) -> Vec<Bequest> {
        self.attempts.iter().map(Told::bequest).collect()
    }

    /// Whether a program was here before in this process.
    pub(super) const fn is_inherited(&self) -> bool {
        self.program.is_some()
    }

    /// The attempts with their processes, as far as those are still there.
    pub(super) fn heirs(self, children: Vec<Option<Child>>) -> Heirs {
        let all = self.attempts.into_iter().zip(children);
        let taken = all.filter_map(|(told, child)| {
            let (job, pid) = (told.job, told.pid);
            let inherited = child.and_then(|child| told.taken_with(child));
            if inherited.is_none() {
                tracing::error!(%job, pid, "a process that was handed over is not there");
            }
            Some((job, inherited?))
        });
        taken.collect()
    }
}

/// The tokens of attempts that go on, whose processes are no left-overs.
pub(super) fn tokens_of(heirs: &Heirs) -> HashSet<OsString> {
    heirs.values().map(|one| one.resumed.token.to_string().into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::StoreId;

    #[test]
    fn what_is_told_of_an_attempt_reads_back() {
        let begun = Instant::now();
        let token = AttemptToken { store: StoreId::new(7), life: 3, counter: 9 };
        let process = Bequest {
            pid: 4_711,
            start_time: 17,
            started: begun,
            attempt: Some(token.to_string().into()),
        };
        let grace = Duration::from_secs(10);
        let one = GoingOn {
            job: JobId::new(12).unwrap(),
            attempt: 2,
            token,
            class: Class::Cpu,
            cpus: 2,
            timeout: Some(Duration::from_secs(60)),
            begun,
            cause: Some(Cause::TimedOut),
            going: Going { process, grace, ends_by: Some(begun + grace) },
        };
        let units = Units::from([("gpu".to_owned(), vec!["1".to_owned()])]);
        let told = Told::of(&one, units);
        let text = serde_json::to_string(&told).unwrap();
        let read: Told = serde_json::from_str(&text).unwrap();
        assert_eq!(read, told);
        let bequest = read.bequest();
        assert_eq!((bequest.pid, bequest.attempt), (4_711, Some(token.to_string().into())));
        let apart = bequest.started.max(begun) - bequest.started.min(begun);
        assert!(apart < Duration::from_millis(1), "{apart:?}");
    }

    #[test]
    fn a_note_in_another_form_is_refused_by_its_number() {
        let mut file = File::from(memfd_create("note", MemfdFlags::CLOEXEC).unwrap());
        file.write_all(br#"{"format": 4000000000, "what": "ever"}"#).unwrap();
        file.rewind().unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(file);
        let refused = Handover::receive(number).unwrap_err();
        assert!(matches!(refused, HandoverError::OtherForm(4_000_000_000)), "{refused}");
    }
}
