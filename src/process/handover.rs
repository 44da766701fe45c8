//! Replacing this program's image while its children go on.
//!
//! `execve` keeps the process: its pid, its children, their zombies, and every descriptor that is not closed on
//! exec. So the next image can wait for the same children, once it is told which they are.
//!
//! Invariant: only the descriptors that are named cross over, and they are closed on exec on both sides of it.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Weak};
use std::time::Instant;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use super::child::{Child, Process};
use super::procfs;
use super::reaper::Reaper;
use super::tree::Tree;

/// A living child as the next image gets to know it. Until somebody waits for it, its pid is nobody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bequest {
    /// Its process id.
    pub pid: i32,
    /// When the kernel made it, in clock ticks since boot.
    pub start_time: u64,
    /// When it was started, by this process's clock.
    pub started: Instant,
    /// The attempt token that its launch carried.
    pub attempt: Option<OsString>,
}

impl Child {
    /// What the next image has to know of it; `None` once it was reaped.
    pub fn bequeath(&self) -> Option<Bequest> {
        let start_time = self.start_time()?;
        let attempt = self.attempt().map(OsStr::to_owned);
        Some(Bequest { pid: self.pid(), start_time, started: self.started(), attempt })
    }

    /// The child of this process that an earlier image started, watched by `reaper` from now on; `None` if it is no
    /// child of ours.
    pub(super) fn inherit(bequest: Bequest, reaper: &Arc<Reaper>) -> Option<Self> {
        let Bequest { pid, start_time, started, attempt } = bequest;
        let number = Pid::from_raw(pid)?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(number), options).ok()?;
        let pidfd = pidfd_open(number, PidfdFlags::empty()).ok()?;
        if procfs::stat(pid)?.start_time != start_time {
            return None;
        }
        let tree = Tree::new(pid, pidfd);
        let weak: Weak<Reaper> = Arc::downgrade(reaper);
        let process = Arc::new(Process::new(tree, started, attempt, None, weak));
        reaper.register(&process).ok()?;
        Some(Self::new(process))
    }
}

/// Becomes `program`, in this very process, with these words, variables and descriptors. Comes back only with the
/// reason why it could not, and then nothing has changed.
///
/// All other threads end at whatever they are doing, and nothing is dropped.
pub fn replace_image(
    program: &Path,
    argv: &[OsString],
    env: &[(OsString, OsString)],
    keep: &[BorrowedFd<'_>],
) -> io::Error {
    match replace(program, argv, env, keep) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn replace(
    program: &Path,
    argv: &[OsString],
    env: &[(OsString, OsString)],
    keep: &[BorrowedFd<'_>],
) -> io::Result<Infallible> {
    let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
    let program = text(program.as_os_str().as_bytes())?;
    let argv: Vec<_> = argv.iter().map(|word| text(word.as_bytes())).collect::<Result<_, _>>()?;
    let pair = |(name, value): &(OsString, OsString)| {
        text(&[name.as_bytes(), b"=", value.as_bytes()].concat())
    };
    let env: Vec<_> = env.iter().map(pair).collect::<Result<_, _>>()?;
    let table = |strings: &[CString]| -> Vec<_> {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
    };
    let (words, variables) = (table(&argv), table(&env));
    let mark = |flags| keep.iter().try_for_each(|fd| fcntl_setfd(fd, flags));
    mark(FdFlags::empty())?;
    // SAFETY: NUL-terminated strings and null-terminated tables of them, all of which outlive the call. It returns
    // only if it failed, and then changed nothing.
    unsafe { libc::execve(program.as_ptr(), words.as_ptr(), variables.as_ptr()) };
    let refused = io::Error::last_os_error();
    mark(FdFlags::CLOEXEC)?;
    Err(refused)
}

/// Takes over a descriptor that the image before this one left open, and closes it on exec from now on.
///
/// To be called for each number once, before this program has opened anything.
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: only asks; fails where there is no such descriptor.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and by the contract above nothing else in this program owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    Ok(descriptor)
}
