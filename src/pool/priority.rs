//! Niceness and kernel id of the calling thread.

#![allow(unsafe_code)] // Three system calls without a safe wrapper that takes a thread.

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
