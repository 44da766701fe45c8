//! Niceness, time slice and kernel id of the calling thread.

#![allow(unsafe_code)] // System calls without a safe wrapper that takes a thread.

/// The time slice of a thread that must answer on time: the shortest the kernel grants.
const SHORT_SLICE_NS: u64 = 100_000;

/// The kernel's id of this thread.
pub(super) fn thread_id() -> i32 {
    // SAFETY: the call takes nothing and can't fail.
    unsafe { libc::gettid() }
}

/// Makes this thread `by` steps nicer than it is. A refusal (a sandbox) leaves it as it is: everything works, only the
/// event loop's timers are less punctual.
pub(super) fn make_nicer(by: i32) {
    if by <= 0 {
        return;
    }
    let who = thread_id() as libc::id_t;
    // SAFETY: both calls take plain numbers.
    unsafe {
        let now = libc::getpriority(libc::PRIO_PROCESS, who);
        libc::setpriority(libc::PRIO_PROCESS, who, (now + by).min(19));
    }
}

/// Lets timed sleeps of the calling thread end when they should, and not up to 50 µs later together with others.
pub(super) fn ask_for_exact_sleeps() {
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

/// Asks the kernel to run the calling thread in short slices: when it wakes, it then gets a core at once from a thread
/// that burns, instead of at the end of that one's slice (some milliseconds). For the threads of an event loop beside a
/// busy pool. It is a wish: Linux before 6.12 ignores it, and a refusal changes nothing.
///
/// The field is described in `sched(7)` and the kernel's `sched-eevdf` document.
pub fn ask_for_short_slices() {
    ask_for_slices(SHORT_SLICE_NS);
}

/// Takes back what the calling thread may have inherited from a creator that asked for short slices.
pub(super) fn ask_for_usual_slices() {
    ask_for_slices(0);
}

/// Sets the wish; 0 is the kernel's own choice.
fn ask_for_slices(nanos: u64) {
    /// `struct sched_attr` in its first version.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    let size = size_of::<Attributes>() as u32;
    let mut attributes = Attributes { size, ..Attributes::default() };
    // SAFETY: the attributes outlive both calls and have the size they say; 0 means this very thread. The second call
    // writes back what the first one read, so that policy and niceness stay.
    unsafe {
        let read = libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0);
        if read == 0 && attributes.policy == libc::SCHED_OTHER as u32 {
            attributes.runtime_ns = nanos;
            libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
        }
    }
}
