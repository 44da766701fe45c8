//! A child's process group as the thing that signals reach.
//!
//! A group id is only safe to signal while it can't have been given to somebody else. The leader's
//! pidfd names the group itself rather than its number, also after the leader was reaped; kernels
//! before 6.9 know only the number, which stays taken while the leader or any member exists.
//!
//! This is the place where a tree may come to mean a control group: everything above speaks of
//! [`Tree`] and signals it as one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use thiserror::Error;

/// `PIDFD_SIGNAL_PROCESS_GROUP`, which the C library's headers don't all have yet.
const WHOLE_GROUP: libc::c_uint = 1 << 2;

/// The signal number that is only asked for, never sent.
const PROBE: i32 = 0;

/// A signal that the kernel would not deliver.
#[derive(Debug, Error)]
#[error("cannot send signal {signal} to the processes of {pid}: {source}")]
pub struct SignalError {
    /// The leader's pid.
    pub pid: i32,
    /// The signal's number.
    pub signal: i32,
    /// What the kernel said; EPERM when a process changed its user.
    pub source: io::Error,
}

/// The group of which a child of ours is, or was, the leader.
pub(super) struct Tree {
    leader: i32,
    pidfd: OwnedFd,
    /// Nobody is left, and a group once empty stays empty.
    empty: AtomicBool,
}

impl Tree {
    pub(super) fn new(leader: i32, pidfd: OwnedFd) -> Self {
        Self { leader, pidfd, empty: AtomicBool::new(false) }
    }

    pub(super) fn leader(&self) -> i32 {
        self.leader
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether the leader still has its pid, be it as a zombie.
    pub(super) fn leader_unreaped(&self) -> bool {
        self.send_by_pidfd(PROBE, 0).is_ok()
    }

    /// Whether any member is left, the unreaped included. A no is final.
    pub(super) fn probe(&self) -> bool {
        self.send(PROBE).unwrap_or(true)
    }

    /// Signals every member; false when nobody is left.
    pub(super) fn signal(&self, signal: Signal) -> Result<bool, SignalError> {
        let number = signal.as_raw();
        let failed = |source| SignalError { pid: self.leader, signal: number, source };
        self.send(number).map_err(failed)
    }

    fn send(&self, signal: i32) -> io::Result<bool> {
        if self.empty.load(Ordering::Acquire) {
            return Ok(false);
        }
        let sent = self.send_by_pidfd(signal, WHOLE_GROUP);
        match sent.or_else(|answer| self.send_by_number(signal, answer)) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                self.empty.store(true, Ordering::Release);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn send_by_pidfd(&self, signal: i32, flags: libc::c_uint) -> io::Result<()> {
        // SAFETY: a plain system call on a descriptor we own, without a siginfo.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                ptr::null_mut::<libc::siginfo_t>(),
                flags,
            )
        };
        if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// For kernels that don't know the flag; any other answer of theirs stands.
    fn send_by_number(&self, signal: i32, answer: io::Error) -> io::Result<()> {
        if !matches!(answer.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) {
            return Err(answer);
        }
        // SAFETY: a plain system call; the number is this group's while `empty` is unset.
        if unsafe { libc::killpg(self.leader, signal) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn a_kernel_without_the_group_flag_is_served_by_number() {
        let mut leader = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let pid = Pid::from_child(&leader);
        let tree =
            Tree::new(pid.as_raw_nonzero().get(), pidfd_open(pid, PidfdFlags::empty()).unwrap());
        let answer = io::Error::from_raw_os_error;
        assert!(tree.send_by_number(libc::SIGKILL, answer(libc::EPERM)).is_err(), "it stands");
        tree.send_by_number(libc::SIGKILL, answer(libc::EINVAL)).unwrap();
        assert_eq!(leader.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert!(!tree.probe());
        assert!(!tree.signal(Signal::KILL).unwrap());
    }
}
