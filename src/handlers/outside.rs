//! What of an attempt goes on outside of this process, so that it outlives the daemon's program.
//!
//! Owns the knowledge which child an attempt is, from its first instruction to its last. Never signals it and never
//! waits for it. Invariant: what is told to go on has not been waited for, so the next program can.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::process::{Bequest, Child, Signal};

/// Where an attempt's handler tells its lane what goes on outside.
#[derive(Debug, Default)]
pub struct Outside {
    state: Mutex<Option<Tree>>,
    /// Told when something goes on outside that did not before.
    told: Arc<Notify>,
}

/// A process tree, as far as an attempt is one.
#[derive(Clone, Debug)]
struct Tree {
    child: Child,
    grace: Duration,
    ends_by: Option<Instant>,
}

/// An attempt that goes on outside, as the next program gets to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Going {
    /// Its process.
    pub process: Bequest,
    /// How long it has between TERM and KILL.
    pub grace: Duration,
    /// It was asked to end, and is killed then.
    pub ends_by: Option<Instant>,
}

impl Outside {
    /// Of an attempt whose lane listens to `told`.
    pub fn new(told: Arc<Notify>) -> Self {
        Self { state: Mutex::default(), told }
    }

    /// The attempt is this child from now on.
    pub(super) fn goes_on(&self, child: Child, grace: Duration, ends_by: Option<Instant>) {
        *self.state() = Some(Tree { child, grace, ends_by });
        self.told.notify_one();
    }

    /// The child was asked to end, and is killed then.
    pub(super) fn ends_by(&self, moment: Instant) {
        if let Some(tree) = self.state().as_mut() {
            tree.ends_by = Some(moment);
        }
    }

    /// Whether all that the attempt does is done outside, by a process that nobody has waited for.
    pub fn is_all(&self) -> bool {
        self.state().as_ref().is_some_and(|tree| tree.child.exit().is_none())
    }

    /// What the next program has to know to go on with the attempt, if it can.
    pub fn going(&self) -> Option<Going> {
        let Tree { child, grace, ends_by } = self.state().clone()?;
        if child.exit().is_some() {
            return None;
        }
        Some(Going { process: child.bequeath()?, grace, ends_by })
    }

    fn state(&self) -> MutexGuard<'_, Option<Tree>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that an earlier program of this daemon started and that goes on. Dropping it ends its processes.
#[derive(Debug)]
pub struct Taken {
    pub(super) child: Reins,
    pub(super) grace: Duration,
    pub(super) ends_by: Option<Instant>,
}

impl Taken {
    /// The attempt that is this child.
    pub fn new(child: Child, grace: Duration, ends_by: Option<Instant>) -> Self {
        Self { child: Reins(child), grace, ends_by }
    }
}

/// A child that is killed with its tree if this is dropped before its end.
#[derive(Debug)]
pub(super) struct Reins(pub(super) Child);

impl Drop for Reins {
    fn drop(&mut self) {
        if self.0.exit().is_none() || self.0.stragglers() {
            // It fails only if everybody has ended meanwhile.
            let _ = self.0.end_tree(Signal::KILL);
        }
    }
}
