//! Makes one child: `clone` with a shared address space, and what the child does until `execve`.
//!
//! The child borrows the daemon's memory while the spawning thread is suspended, so it may only do
//! what is safe in a signal handler: plain system calls on values prepared beforehand. It never
//! allocates, locks or panics, and it leaves by `execve` or `_exit` alone. What failed comes back
//! through the [`Plan`] it was given.
//!
//! Invariant: every signal is blocked in the calling thread, so that no handler of the daemon runs on
//! the child's side of the shared memory.

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::mem;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::AtomicI32;

use super::image::Image;

/// Room for the child's few frames. Debug builds need more than release builds; both need little.
const STACK_BYTES: usize = 64 * 1024;

/// One past the highest signal number of the kernel.
const SIGNAL_END: c_int = 65;

/// The size of the kernel's signal set, which `rt_sig*` calls want to hear.
const KERNEL_SIGSET_BYTES: usize = 8;

/// Descriptors that are closed one by one where `close_range` is forbidden by a sandbox.
const CLOSE_BY_HAND: c_int = 65_536;

/// A stack for the child, below it an unmapped page so that an overrun faults. It is free again
/// when `clone` returns, so one for each spawner thread is enough.
pub(super) struct Stack {
    base: *mut c_void,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value alone and to no thread in particular.
unsafe impl Send for Stack {}

impl Stack {
    /// Maps a new one.
    pub(super) fn new() -> io::Result<Self> {
        let guard = rustix::param::page_size();
        let bytes = STACK_BYTES + guard;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(ptr::null_mut(), bytes, rights, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self { base, bytes };
        // SAFETY: the lowest page of the mapping just made, which nothing uses yet.
        if unsafe { libc::mprotect(base, guard, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping, as stacks grow down; page-aligned.
        unsafe { self.base.byte_add(self.bytes) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: our own mapping; `clone` has returned, so no child runs on it.
        unsafe { libc::munmap(self.base, self.bytes) };
    }
}

/// What the child was doing when the kernel refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    /// Making the process; the child never existed.
    Clone,
    /// Becoming the leader of its own group.
    Group,
    /// Entering the working directory.
    WorkingDirectory,
    /// Putting the standard descriptors in place.
    Stdio,
    /// Restoring the descriptor limit.
    Limit,
    /// Becoming the program.
    Execute,
}

/// How a child is to be set up beside its strings.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    /// Become descriptors 0, 1 and 2. All are above 2, so that none is overwritten before its turn.
    pub(super) stdio: [RawFd; 3],
    pub(super) umask: Option<u32>,
    pub(super) nofile: Option<libc::rlimit>,
}

/// A child that runs its program (or has already ended).
pub(super) struct Born {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
}

/// A step that failed, and the kernel's reason.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) source: io::Error,
}

/// Everything the child reads, and the one thing it writes.
struct Plan {
    program: *const c_char,
    shell: *const c_char,
    argv: *const *const c_char,
    shell_argv: *const *const c_char,
    envp: *const *const c_char,
    cwd: *const c_char,
    setup: Setup,
    failed: UnsafeCell<Option<(Step, c_int)>>,
}

/// Starts the image. Returns when the child has become its program, or could not.
///
/// The kernel stores the child's pid in `birth` before the child's first instruction; the caller
/// clears it once the child is registered, so nobody can mistake a newborn for a stranger.
pub(super) fn spawn(
    image: &Image,
    setup: Setup,
    stack: &Stack,
    birth: &AtomicI32,
) -> Result<Born, Failure> {
    let plan = Plan {
        program: image.program,
        shell: image.shell,
        argv: image.argv.as_ptr(),
        shell_argv: image.shell_argv.as_ptr(),
        envp: image.envp.as_ptr(),
        cwd: image.cwd,
        setup,
        failed: UnsafeCell::new(None),
    };
    let born = clone(&plan, stack, birth)?;
    match plan.failed.into_inner() {
        None => Ok(born),
        Some((step, errno)) => {
            bury(born.pid);
            Err(Failure { step, source: io::Error::from_raw_os_error(errno) })
        }
    }
}

fn clone(plan: &Plan, stack: &Stack, birth: &AtomicI32) -> Result<Born, Failure> {
    let flags = libc::CLONE_VM
        | libc::CLONE_VFORK
        | libc::CLONE_PIDFD
        | libc::CLONE_CHILD_SETTID
        | libc::SIGCHLD;
    let mut pidfd: c_int = -1;
    // SAFETY: the child runs `child` on its own stack with a plan that outlives it, because VFORK
    // suspends this thread until it has executed or ended. The two out-pointers are valid, and
    // `birth` is written by the kernel with an aligned store that an atomic permits.
    let pid = unsafe {
        libc::clone(
            child,
            stack.top(),
            flags,
            ptr::from_ref(plan).cast_mut().cast(),
            &raw mut pidfd,
            ptr::null_mut::<c_void>(),
            birth.as_ptr(),
        )
    };
    if pid < 0 {
        return Err(Failure { step: Step::Clone, source: io::Error::last_os_error() });
    }
    // SAFETY: with CLONE_PIDFD a successful clone stores a descriptor that is ours alone.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Born { pid, pidfd })
}

/// Waits for a child that ended without becoming a program.
pub(super) fn bury(pid: i32) {
    loop {
        // SAFETY: waits for a child of ours that has left through `_exit`; nothing is written.
        let waited = unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WALL) };
        if waited >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// The child's side, from its first instruction to the program's.
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: the parent passed a `Plan` and is suspended; this is the only thread that uses it.
    unsafe {
        let plan = plan.cast::<Plan>().cast_const();
        let step = become_program(plan);
        *(*plan).failed.get() = Some((step, errno()));
        libc::_exit(127)
    }
}

/// Runs through the steps; returns the one that failed, with its reason in `errno`.
///
/// # Safety
/// Only for the child: all pointers of the plan are valid, and nothing else runs on this memory.
unsafe fn become_program(plan: *const Plan) -> Step {
    // SAFETY: by the contract above; each call is a bare system call on prepared values.
    unsafe {
        let plan = &*plan;
        default_signals();
        if libc::setpgid(0, 0) != 0 {
            return Step::Group;
        }
        if let Some(mask) = plan.setup.umask {
            libc::umask(mask);
        }
        if !plan.cwd.is_null() && libc::chdir(plan.cwd) != 0 {
            return Step::WorkingDirectory;
        }
        if !place_stdio(&plan.setup.stdio) {
            return Step::Stdio;
        }
        close_above_stdio();
        if let Some(limit) = &plan.setup.nofile
            && libc::setrlimit(libc::RLIMIT_NOFILE, limit) != 0
        {
            return Step::Limit;
        }
        unblock_signals();
        libc::execve(plan.program, plan.argv, plan.envp);
        if errno() == libc::ENOEXEC {
            libc::execve(plan.shell, plan.shell_argv, plan.envp);
        }
        Step::Execute
    }
}

/// Sets every signal to its default, those included that the daemon ignores (Rust ignores SIGPIPE).
///
/// # Safety
/// Only for the child, whose table of handlers is its own.
unsafe fn default_signals() {
    // As wide as any architecture's kernel `sigaction`; all zero means SIG_DFL and no flags.
    let default = [0_u64; 8];
    for signal in 1..SIGNAL_END {
        // The C library's wrapper refuses its two internal signals, so this is the bare call. The
        // kernel refuses KILL and STOP, which have no other disposition anyway.
        // SAFETY: the kernel reads a `sigaction` from a buffer at least that large.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null_mut::<c_void>(),
                KERNEL_SIGSET_BYTES,
            );
        }
    }
}

/// # Safety
/// Only for the child, after its handlers are gone.
unsafe fn unblock_signals() {
    let none = 0_u64;
    // SAFETY: the kernel reads a signal set of the size given.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            ptr::null_mut::<c_void>(),
            KERNEL_SIGSET_BYTES,
        );
    }
}

/// # Safety
/// Only for the child, whose descriptor table is its own.
unsafe fn place_stdio(sources: &[RawFd; 3]) -> bool {
    let [input, output, errors] = *sources;
    // SAFETY: plain system calls; the copies lose close-on-exec, as is wanted.
    unsafe { libc::dup2(input, 0) >= 0 && libc::dup2(output, 1) >= 0 && libc::dup2(errors, 2) >= 0 }
}

/// Closes what close-on-exec would not: descriptors the daemon itself was started with.
///
/// # Safety
/// Only for the child, whose descriptor table is its own.
unsafe fn close_above_stdio() {
    // SAFETY: plain system calls on the child's own descriptors.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) != 0 {
            for descriptor in 3..CLOSE_BY_HAND {
                libc::close(descriptor);
            }
        }
    }
}

fn errno() -> c_int {
    // SAFETY: the C library's own location of the calling thread's error number.
    unsafe { *libc::__errno_location() }
}

/// Blocks every signal in the calling thread, for good. The C library keeps its two internal ones
/// open, as it must: a blocked one would hang `setuid` in another thread.
pub(super) fn block_signals() {
    // SAFETY: a local set, filled before it is read; the call concerns this thread alone.
    unsafe {
        let mut all = mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut());
    }
}
