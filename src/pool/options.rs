//! The pool's wishes, with all defaults in one place.

use std::thread;

use serde::{Deserialize, Serialize};

/// No pool has more threads than this: a slot table of fixed size is what lets thieves walk it without a lock.
pub const MAX_THREADS: usize = 1024;

/// How a pool is built. Sizes can be changed while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Core permits. Default: the cores this process may use (container-aware).
    pub cores: usize,
    /// Threads beyond one a core, for closures that block. Default: 64, enough to keep slow disks and mounts busy while
    /// their stacks (touched pages only) stay in the low megabytes.
    pub blocking: usize,
    /// How much nicer than its creator each pool thread is, 0 to 19. Default 10: the event loop and its timers then win
    /// a core at once, and no work is lost, because a nice thread still takes every cycle that is left over.
    pub nice: i32,
    /// Whether closures that wait without having said so are noticed and their permits lent. Default: yes.
    pub watch: bool,
    /// What the threads are called, with a number behind it. At most 15 bytes are shown by the kernel.
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cores: num_cpus::get().max(1),
            blocking: 64,
            nice: 10,
            watch: true,
            name: "pool".to_owned(),
        }
    }
}

impl Options {
    /// Whether spinning can ever pay: on a single core the one who is waited for can't run meanwhile.
    pub(super) fn may_spin() -> bool {
        thread::available_parallelism().is_ok_and(|n| n.get() > 1)
    }
}
