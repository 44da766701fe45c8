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
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use super::shared::Shared;
use super::slot::Mode;
use super::sync::lock;

const UNKNOWN: u32 = u32::MAX;
/// A thread is sent at most so often: it costs its waker some microseconds, which a thread that is woken again so soon
/// has not repaid.
const PAUSE: Duration = Duration::from_micros(300);

/// Where a worker was last seen, and the mask it gets back.
#[derive(Debug)]
pub(super) struct Place {
    core: AtomicU32,
    sent: Mutex<Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    /// The mask to give back.
    mask: Option<CpuSet>,
    last: Option<Instant>,
}

impl Default for Place {
    fn default() -> Self {
        Self { core: AtomicU32::new(UNKNOWN), sent: Mutex::default() }
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
        let mask = lock(&self.sent).mask.take();
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

/// A core of the mask that nobody burns on: the last one, whose cache may be warm, before others.
fn choose(mask: &CpuSet, taken: &CpuSet, last: Option<usize>) -> Option<usize> {
    let is_free = |&core: &usize| mask.is_set(core) && !taken.is_set(core);
    last.filter(is_free).or_else(|| (0..CpuSet::MAX_CPU).find(is_free))
}

/// Sends a sleeper, before its token, to a core that no worker burns on, if some other worker does burn.
pub(super) fn send_to_a_free_core(shared: &Shared, index: usize) {
    let slot = shared.slot(index);
    let mut sent = lock(&slot.place.sent);
    if sent.last.is_some_and(|last| last.elapsed() < PAUSE) {
        return;
    }
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
    let Some(core) = choose(&mask, &taken, slot.place.core()) else { return };
    let mut only = CpuSet::new();
    only.set(core);
    if sched_setaffinity(Some(thread), &only).is_ok() {
        sent.mask.get_or_insert(mask);
        sent.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::super::options::Options;
    use super::super::priority::thread_id;
    use super::*;

    fn set(cores: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        for &core in cores {
            set.set(core);
        }
        set
    }

    #[test]
    fn the_last_core_is_taken_again_unless_somebody_burns_there() {
        assert_eq!(choose(&set(&[0, 1, 2]), &set(&[0]), Some(2)), Some(2));
        assert_eq!(choose(&set(&[0, 1, 2]), &set(&[0, 2]), Some(2)), Some(1));
        assert_eq!(choose(&set(&[0, 1, 2]), &set(&[0]), None), Some(1));
    }

    #[test]
    fn no_core_outside_the_mask_is_chosen_and_none_if_all_are_busy() {
        assert_eq!(choose(&set(&[1, 3]), &set(&[1]), Some(2)), Some(3));
        assert_eq!(choose(&set(&[1, 3]), &set(&[1, 3]), Some(1)), None);
    }

    #[test]
    fn a_sleeper_is_sent_beside_the_burner_and_gets_its_mask_back() {
        let mask = sched_getaffinity(None).expect("the mask of this thread");
        if mask.count() < 2 {
            return;
        }
        let first = (0..CpuSet::MAX_CPU).find(|&core| mask.is_set(core)).expect("a core");
        let shared = Shared::new(Options { cores: 2, ..Options::default() });
        let burner = shared.slot(0);
        shared.awake.set(0);
        burner.set(Mode::Cpu, 1);
        burner.place.seen_on(first);
        let (asleep, is_asleep) = mpsc::channel();
        let (wake, is_woken) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let sleeper = Arc::clone(shared.slot(1));
            let thread = scope.spawn(move || {
                sleeper.tid.store(thread_id(), Ordering::SeqCst);
                asleep.send(()).expect("the test waits");
                is_woken.recv().expect("the test wakes");
                let sent = sched_getaffinity(None).expect("the mask of this thread");
                sleeper.place.set_free();
                (sent, sched_getaffinity(None).expect("the mask of this thread"))
            });
            is_asleep.recv().expect("the thread runs");
            send_to_a_free_core(&shared, 1);
            // So soon after the first time it is left where it is.
            send_to_a_free_core(&shared, 1);
            wake.send(()).expect("the thread waits");
            let (sent, freed) = thread.join().expect("the thread ends");
            assert_eq!(sent.count(), 1);
            assert!(mask.is_set((0..CpuSet::MAX_CPU).find(|&c| sent.is_set(c)).expect("a core")));
            assert!(!sent.is_set(first), "it was sent to the burner's core");
            assert_eq!(freed, mask);
        });
    }
}
