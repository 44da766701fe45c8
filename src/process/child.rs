//! A started child, as its owner sees it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use rustix::process::Signal;
use tokio::sync::{Notify, oneshot};

use super::exit::Exit;
use super::launch::SpawnError;
use super::procfs;
use super::reaper::Reaper;
use super::tree::{SignalError, Tree};

/// A child that was started; clones stand for the same one.
///
/// Dropping it neither ends the child nor stops its end from being noticed.
#[derive(Clone)]
pub struct Child {
    process: Arc<Process>,
}

/// What the reaper and the owners of a child share.
pub(super) struct Process {
    pub(super) tree: Tree,
    pub(super) started: Instant,
    attempt: Option<OsString>,
    exit: OnceLock<Exit>,
    /// Woken once, when `exit` was set.
    ended: Notify,
    /// Who is waiting for nothing but the end; taken by whoever tells it.
    listener: Mutex<Option<Listener>>,
    reaper: Weak<Reaper>,
}

/// Hears how a launch ended, be it that it never began.
pub(super) type Listener = oneshot::Sender<Result<Exit, SpawnError>>;

impl Process {
    pub(super) fn new(
        tree: Tree,
        started: Instant,
        attempt: Option<OsString>,
        listener: Option<Listener>,
        reaper: Weak<Reaper>,
    ) -> Self {
        let (exit, ended) = (OnceLock::new(), Notify::new());
        Self { tree, started, attempt, exit, ended, listener: Mutex::new(listener), reaper }
    }

    pub(super) fn take_listener(&self) -> Option<Listener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Records the end. Called by the reaper, once, after the child was reaped.
    pub(super) fn end(&self, exit: Exit) {
        // Probed here, while the number can't have been given away yet: from now on an empty group
        // is known to be empty.
        self.tree.probe();
        if self.exit.set(exit).is_ok() {
            self.ended.notify_waiters();
        }
        if let Some(listener) = self.take_listener() {
            // A listener that has gone wanted to hear of nothing.
            let _ = listener.send(Ok(exit));
        }
    }
}

impl Child {
    pub(super) fn new(process: Arc<Process>) -> Self {
        Self { process }
    }

    /// The process id, which is also the id of its group.
    pub fn pid(&self) -> i32 {
        self.process.tree.leader()
    }

    /// When the kernel made it, in clock ticks since boot; together with the pid and the boot id it
    /// names the process for good. Absent once it was reaped. Reads `/proc`, so it is asked for only
    /// where it is recorded.
    pub fn start_time(&self) -> Option<u64> {
        let stat = procfs::stat(self.pid())?;
        // If it is not reaped even now, the pid was the child's when `/proc` was read.
        self.process.tree.leader_unreaped().then_some(stat.start_time)
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.process.started
    }

    /// The attempt token that its launch carried, if any.
    pub fn attempt(&self) -> Option<&OsStr> {
        self.process.attempt.as_deref()
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.process.exit.get().copied()
    }

    /// Completes when the child has ended and was reaped. Any number of callers may wait, early or
    /// late, and giving up a wait loses nothing.
    pub async fn exited(&self) -> Exit {
        loop {
            let mut ended = std::pin::pin!(self.process.ended.notified());
            // Listening before looking: an end in between wakes this listener.
            ended.as_mut().enable();
            if let Some(exit) = self.exit() {
                return exit;
            }
            ended.await;
        }
    }

    /// Signals the child's whole group, itself included while it lives; false when nobody is left.
    pub fn signal_group(&self, signal: Signal) -> Result<bool, SignalError> {
        self.process.tree.signal(signal)
    }

    /// Signals the whole tree so that it ends: a stopped process must run to hear it, so it is
    /// continued. False when nobody is left.
    pub fn end_tree(&self, signal: Signal) -> Result<bool, SignalError> {
        let reached = self.process.tree.signal(signal)?;
        if reached && signal != Signal::KILL {
            // Best effort: whoever could be sent the first signal can be sent this one.
            let _ = self.process.tree.signal(Signal::CONT);
        }
        Ok(reached)
    }

    /// Whether the child has ended and left processes of its group behind. A zombie that nobody has
    /// reaped yet counts, so a yes may turn into a no within moments; a no is final.
    pub fn stragglers(&self) -> bool {
        self.process.exit.get().is_some() && self.process.tree.probe()
    }

    /// It lives, and the listener that was to hear of its end has gone.
    pub(super) fn is_unheard(&self) -> bool {
        let listener = self.process.listener.lock().unwrap_or_else(PoisonError::into_inner);
        listener.as_ref().is_some_and(Listener::is_closed)
    }

    /// The reaper, while it runs.
    pub(super) fn reaper(&self) -> Option<Arc<Reaper>> {
        self.process.reaper.upgrade()
    }

    /// Has orphans looked for at once, so that zombies of this tree stop counting as members.
    pub(super) fn hurry_reaper(&self) {
        if let Some(reaper) = self.reaper() {
            reaper.hurry();
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("pid", &self.pid()).field("exit", &self.exit()).finish()
    }
}
