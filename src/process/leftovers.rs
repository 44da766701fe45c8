//! Finds and ends processes that an earlier life of the daemon left running.
//!
//! They are recognised by the attempt token in their environment, wherever they moved: another
//! session, another group, another parent. What can't be found so is a process whose program was
//! started with a cleared environment, or which overwrote its environment in place.
//!
//! Invariant: a signal goes only through a pidfd that was opened **before** start time and token were
//! read again. If the pid changed hands before the pidfd was opened, the second reading sees the
//! stranger; if it did afterwards, the pidfd belongs to the dead one and the signal goes nowhere.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::procfs;

/// After this many passes whoever still appears is reported instead: something forks faster than it
/// is killed, or can't be killed at all.
const MAX_PASSES: usize = 64;

/// How long killed processes are waited for before the next pass looks again.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// Whose processes are looked for.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    /// Every attempt of a store: its tokens start with the store's id.
    Store(&'a str),
    /// The same, but for attempts that go on, by their whole tokens.
    StoreBut(&'a str, &'a HashSet<OsString>),
    /// One attempt, by its whole token.
    Attempt(&'a OsStr),
}

impl Owner<'_> {
    fn owns(&self, token: &OsStr) -> bool {
        match self {
            Self::Store(id) => !id.is_empty() && token.as_bytes().starts_with(id.as_bytes()),
            Self::StoreBut(id, going_on) => {
                Self::Store(id).owns(token) && !going_on.contains(token)
            }
            Self::Attempt(whole) => token == *whole,
        }
    }
}

/// A verified left-over.
#[derive(Debug)]
pub struct Leftover {
    /// Its process id.
    pub pid: i32,
    /// When the kernel made it, in clock ticks since boot.
    pub start_time: u64,
    /// The token it carries.
    pub attempt: OsString,
    pidfd: OwnedFd,
}

impl Leftover {
    /// Signals exactly this process; false when it has ended and was reaped.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What [`end_leftovers`] did.
#[derive(Debug, Default)]
pub struct Swept {
    /// How many processes were signalled.
    pub signalled: usize,
    /// Who is still there; empty unless something can't be killed.
    pub remaining: Vec<Leftover>,
}

/// Kills the owner's processes among those that `list` names, again and again until it names none:
/// a killed process hands its children over, and they are named next.
pub(super) fn kill_named(owner: Owner<'_>, list: impl Fn() -> Vec<i32>) {
    for _ in 0..MAX_PASSES {
        let found = leftovers_among(list(), owner);
        if found.is_empty() {
            return;
        }
        signal_all(&found, Signal::KILL);
        wait_for_ends(found, Instant::now() + KILL_WAIT);
    }
}

/// Looks through all processes once. Never finds the calling process itself; a job of this store that
/// started it is a left-over like any other.
///
/// Blocks for about ten microseconds a process on the host. Fails only if `/proc` cannot be listed;
/// processes whose environment may not be read are passed over.
pub fn leftovers(owner: Owner<'_>) -> io::Result<Vec<Leftover>> {
    Ok(leftovers_among(procfs::pids()?, owner))
}

/// Those of these processes that are the owner's.
pub(super) fn leftovers_among(pids: Vec<i32>, owner: Owner<'_>) -> Vec<Leftover> {
    let own = std::process::id().cast_signed();
    pids.into_iter().filter(|pid| *pid != own).filter_map(|pid| verify(pid, owner)).collect()
}

/// Ends every left-over: TERM, `grace`, then KILL, repeated until a pass finds none. Blocks the
/// calling thread meanwhile.
pub fn end_leftovers(owner: Owner<'_>, grace: Duration) -> io::Result<Swept> {
    let deadline = Instant::now() + grace;
    let mut swept = Swept::default();
    let polite = leftovers(owner)?;
    swept.signalled = signal_all(&polite, Signal::TERM);
    // A stopped process must run to hear it.
    signal_all(&polite, Signal::CONT);
    wait_for_ends(polite, deadline);
    for _ in 0..MAX_PASSES {
        let found = leftovers(owner)?;
        if found.is_empty() {
            return Ok(swept);
        }
        swept.signalled += signal_all(&found, Signal::KILL);
        wait_for_ends(found, Instant::now() + KILL_WAIT);
    }
    swept.remaining = leftovers(owner)?;
    Ok(swept)
}

fn verify(pid: i32, owner: Owner<'_>) -> Option<Leftover> {
    let is_ours = || procfs::attempt(pid).filter(|token| owner.owns(token));
    is_ours()?;
    let before = procfs::stat(pid)?.start_time;
    let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    let start_time = procfs::stat(pid)?.start_time;
    let attempt = is_ours()?;
    (before == start_time).then_some(Leftover { pid, start_time, attempt, pidfd })
}

fn signal_all(processes: &[Leftover], signal: Signal) -> usize {
    // Who can't be signalled shows up in the next pass, and in the report at last.
    processes.iter().filter(|process| process.signal(signal).unwrap_or(false)).count()
}

/// Waits for the ends of all, or the deadline.
fn wait_for_ends(mut processes: Vec<Leftover>, deadline: Instant) {
    while !processes.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else { return };
        let mut watched: Vec<_> =
            processes.iter().map(|process| PollFd::new(&process.pidfd, PollFlags::IN)).collect();
        match poll(&mut watched, Some(&timeout)) {
            Ok(0) => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        let mut ended =
            watched.iter().map(|watch| !watch.revents().is_empty()).collect::<Vec<_>>().into_iter();
        processes.retain(|_| !ended.next().unwrap_or(false));
    }
}
