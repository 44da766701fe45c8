//! The reins: starts child processes, notices their end, and signals whole process trees.
//!
//! # What it owns
//! A few spawner threads behind a bounded queue, and **one reaper thread that does all waiting**.
//! It never decides what runs or when, never reads a job's spec, and never forks: a child is made
//! with `CLONE_VM | CLONE_VFORK`, so starting one costs the same however large the daemon is.
//!
//! # A child's life
//! ```text
//! spawn(Launch) ─► spawner thread ─► clone ─► group, umask, cwd, stdio, limits, execve
//!                       │                              │ a failed step comes back as (step, errno)
//!                       ▼                              ▼
//!              pidfd into the reaper's epoll       SpawnError
//!                       │ readable
//!                       ▼
//!               wait4(that pid) ─► Exit (status, resource use, wall time) ─► Child::exited()
//! ```
//!
//! # How the reaper waits
//! The reaper watches one pidfd a child through epoll and waits for exactly that pid. So an exit
//! costs the same with ten thousand children as with one, and children that other code of this
//! process started and waits for itself are never taken from it. Orphans that a subreaper inherits
//! have no pidfd here; with [`Options::adopt_orphans`] a sweep looks for their zombies once a second
//! while there are children at all, and on demand while a tree is being ended.
//!
//! # Invariants
//! - Every child is the leader of its own process group before its program runs, and it inherits
//!   nothing but what its [`Launch`] says: three descriptors, an empty signal mask, default signal
//!   dispositions, the descriptor limit the daemon was started with.
//! - Every started child is reaped exactly once, and [`Child::exited`] always completes.
//! - No signal is sent to a bare number that could have been given to another process since.
//!
//! The kernel must be Linux 5.9 or newer (pidfds, `close_range`). From 6.9 on, process groups are
//! signalled through the leader's pidfd as well. `PR_SET_PDEATHSIG` is never used: it fires when the
//! *thread* that spawned ends, and it would kill what should outlive a restart.
#![allow(unsafe_code)]

mod child;
mod exit;
mod image;
mod launch;
mod leftovers;
mod limits;
mod memory;
mod procfs;
mod queue;
mod reaper;
mod resolve;
mod spawner;
mod terminate;
#[cfg(test)]
mod tests;
mod tree;
mod vfork;

pub use child::Child;
pub use exit::{Exit, ResourceUse, Status};
pub use launch::{ATTEMPT_VARIABLE, Launch, Place, SpawnError, Stdin};
pub use leftovers::{Leftover, Owner, Swept, end_leftovers, leftovers};
pub use limits::{become_subreaper, close_inherited, raise_nofile};
pub use memory::{give_memory_back, keep_no_large_memory};
pub use resolve::{ResolveError, resolve};
pub use rustix::process::Signal;
pub use spawner::{Options, Processes, Short, StartError};
pub use terminate::terminate;
pub use tree::SignalError;
