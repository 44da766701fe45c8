//! What the daemon sets for its whole process, once, before it starts threads.

use std::io;
use std::os::fd::RawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More descriptors than this are never asked for: a hard limit may be "infinite", and programs that
/// walk over every possible descriptor would then walk for minutes.
const NOFILE_CEILING: u64 = 1 << 20;

/// Raises the soft limit on descriptors to the hard one and gives back what it was, for
/// [`super::Options::nofile`]: programs that use `select` break above 1024, so children get the old one.
pub fn raise_nofile() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let original = limit.current.unwrap_or(u64::MAX);
    let raised = limit.maximum.unwrap_or(NOFILE_CEILING).min(NOFILE_CEILING);
    if original < raised {
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum })?;
    }
    Ok(original)
}

/// Closes every descriptor that whoever started this program left open, but for standard input, output and
/// error and those in `keep`. A lock or the writing end of a pipe that is held by a daemon is never let go.
///
/// To be called first thing in a program, before it has opened anything.
pub fn close_inherited(keep: &[RawFd]) -> io::Result<()> {
    let names = std::fs::read_dir("/proc/self/fd")?;
    let open: Vec<RawFd> =
        names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > libc::STDERR_FILENO && !keep.contains(fd)) {
        // SAFETY: the program has opened nothing yet, so nothing in it owns this descriptor; that of the
        // directory that was just read is closed already, and closing it again only fails.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Makes this process inherit the orphans among its descendants, in place of init. They must be
/// reaped then: [`super::Options::adopt_orphans`].
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: a plain system call that sets an attribute of this process.
    match unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes sure that ended children wait to be reaped: whoever started us may have left SIGCHLD
/// ignored, and the kernel then discards their status.
pub(super) fn keep_exit_statuses() {
    // SAFETY: queries and, only where it is "ignore", resets one signal's disposition.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        if libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut action) == 0
            && (action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0)
        {
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        }
    }
}
