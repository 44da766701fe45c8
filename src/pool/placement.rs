//! Which core a woken thread begins on.
//!
//! Owns the choice, for threads that are woken while other workers burn. Never holds a thread to a core: the woken one
//! gets its old mask back before it looks for work. Invariant: only the one who took a sleeper off the stack touches
//! its mask before the token, and only the woken thread after it.
//!
//! Bare metal needs none of this: the kernel wakes a thread on an idle core. In a virtual machine it can't tell a halted
//! virtual core from one that its host has taken away, and prefers the waker's own core: the woken thread then shares that
//! core with a burner, and the other one idles until the next balancing, some milliseconds later.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use super::shared::Shared;
use super::slot::Mode;
use super::sync::lock;

const UNKNOWN: u32 = u32::MAX;

/// Where a worker was last seen, and the mask it gets back.
#[derive(Debug)]
pub(super) struct Place {
    core: AtomicU32,
    mask: Mutex<Option<CpuSet>>,
}

impl Default for Place {
    fn default() -> Self {
        Self { core: AtomicU32::new(UNKNOWN), mask: Mutex::default() }
    }
}

impl Place {
    /// The worker was seen on this core.
    pub(super) fn seen_on(&self, core: usize) {
        self.core.store(core as u32, Ordering::Relaxed);
    }

    /// The calling worker begins to run closures here.
    pub(super) fn begin(&self) {
        self.seen_on(rustix::thread::sched_getcpu());
    }

    fn core(&self) -> Option<usize> {
        let core = self.core.load(Ordering::Relaxed);
        (core != UNKNOWN).then_some(core as usize)
    }

    /// The woken worker may run everywhere again. A refusal leaves it where it is, which the kernel reports as a mask
    /// that changed meanwhile: then that one counts.
    pub(super) fn set_free(&self) {
        let mask = lock(&self.mask).take();
        if let Some(mask) = mask {
            let _ = sched_setaffinity(None, &mask);
        }
    }
}

/// Whether the kernel needs help: the processor says that it is a virtual one.
pub(super) fn is_wanted() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        const HYPERVISOR: u32 = 1 << 31;
        std::arch::x86_64::__cpuid(1).ecx & HYPERVISOR != 0
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Sends a sleeper, before its token, to a core that no worker burns on, if some other worker does burn.
pub(super) fn send_to_a_free_core(shared: &Shared, index: usize) {
    let slot = shared.slot(index);
    let Some(thread) = Pid::from_raw(slot.tid.load(Ordering::SeqCst)) else { return };
    let mut taken = CpuSet::new();
    shared.awake.any(|other| {
        let duty = shared.slot(other).duty();
        if duty.mode == Mode::Cpu
            && duty.charge > 0
            && let Some(core) = shared.slot(other).place.core()
        {
            taken.set(core);
        }
        false
    });
    if taken.count() == 0 {
        return;
    }
    let Ok(mask) = sched_getaffinity(Some(thread)) else { return };
    let is_free = |&core: &usize| mask.is_set(core) && !taken.is_set(core);
    // Its last core has its cache, if it is free.
    let last = slot.place.core().filter(is_free);
    let Some(core) = last.or_else(|| (0..CpuSet::MAX_CPU).find(is_free)) else { return };
    let mut only = CpuSet::new();
    only.set(core);
    let mut kept = lock(&slot.place.mask);
    if sched_setaffinity(Some(thread), &only).is_ok() {
        kept.get_or_insert(mask);
    }
}
