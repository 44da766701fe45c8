//! One daemon for one state directory and one socket.
//!
//! The state directory is held by a lock that the kernel lets go when the process dies, so a stale one can't
//! be. The socket is taken over only if nobody answers on it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Pid, test_kill_process};
use tokio::net::UnixListener;

/// Why the daemon can't take its place.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another daemon holds the state directory.
    #[error("{path} is in use by the daemon with pid {pid}: stop it (`twolane stop`), or give another --state-dir", path = .path.display())]
    StateInUse {
        /// The state directory.
        path: PathBuf,
        /// The other daemon, as it wrote itself down.
        pid: String,
    },
    /// Another daemon answers on the socket.
    #[error("{path} is served by the process with pid {pid}: stop it (`twolane stop`), or give another --socket", path = .path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
        /// Who answers.
        pid: i32,
    },
    /// The path of the socket is taken by something that is none.
    #[error("{path} exists and is not a socket: move it away, or give another --socket", path = .0.display())]
    NotASocket(PathBuf),
    /// A path can't be used.
    #[error("{path}: {source}: check its owner and permissions, or name another place with --state-dir or --socket", path = .path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// How long the lock of a daemon that has gone is waited for, and how often it is looked at. When a daemon is killed
/// while it starts a command, the half-made process has the lock for another moment, until its program runs.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_AGAIN: Duration = Duration::from_millis(5);

/// The lock on a state directory, held as long as this lives.
#[derive(Debug)]
pub(super) struct StateLock {
    file: File,
}

impl Drop for StateLock {
    /// Closing the file is not enough: a half-made process has a copy of it until its program runs.
    fn drop(&mut self) {
        // It fails on no lock of ours, and the file is closed anyway.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Makes the state directory if it is not there (0700: it holds environments and output) and locks it.
pub(super) fn lock_state(dir: &Path) -> Result<StateLock, InstanceError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| InstanceError::Path { path, source }
    };
    make_dir(dir, 0o700).map_err(at(dir))?;
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(at(&path))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let pid = holder(&mut file);
        if pid.as_deref().is_none_or(lives) || Instant::now() >= deadline {
            let pid = pid.unwrap_or_else(|| "unknown".to_owned());
            return Err(InstanceError::StateInUse { path: dir.to_owned(), pid });
        }
        std::thread::sleep(LOCK_AGAIN);
    }
    file.rewind().map_err(at(&path))?;
    file.set_len(0).and_then(|()| file.rewind()).map_err(at(&path))?;
    writeln!(file, "{}", std::process::id()).map_err(at(&path))?;
    Ok(StateLock { file })
}

/// Goes on with the lock that an earlier program of this process took.
pub(super) fn inherit_lock(dir: &Path, lock: OwnedFd) -> Result<StateLock, InstanceError> {
    let file = File::from(lock);
    // It is the same lock as long as it is the same open file; of any other this is the first asking.
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(StateLock { file }),
        Err(errno) => {
            Err(InstanceError::Path { path: dir.join("lock"), source: io::Error::from(errno) })
        }
    }
}

/// Goes on with the socket that an earlier program of this process opened; who connected meanwhile is served.
pub(super) fn inherit_socket(path: &Path, socket: OwnedFd) -> Result<UnixListener, InstanceError> {
    let listener = std::os::unix::net::UnixListener::from(socket);
    let opened = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
    opened.map_err(|source| InstanceError::Path { path: path.to_owned(), source })
}

impl AsFd for StateLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The pid in the lock file. It is for people; without it the message still says what matters.
fn holder(file: &mut File) -> Option<String> {
    let mut pid = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut pid)).ok()?;
    Some(pid.trim().to_owned()).filter(|pid| !pid.is_empty())
}

/// Whether there is a process of this pid.
fn lives(pid: &str) -> bool {
    let pid = pid.parse().ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// Makes a folder and those above it.
pub(super) fn make_dir(dir: &Path, mode: u32) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(dir)
}

/// Opens the socket, for the daemon's group in system mode and for the owner otherwise; taking over the path
/// if nobody answers there any more.
pub(super) fn listen(path: &Path, shared: bool) -> Result<UnixListener, InstanceError> {
    let at = |source: io::Error| InstanceError::Path { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        make_dir(folder, if shared { 0o750 } else { 0o700 }).map_err(at)?;
    }
    clear(path)?;
    let listener = UnixListener::bind(path).map_err(at)?;
    let mode = if shared { 0o660 } else { 0o600 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(at)?;
    Ok(listener)
}

/// Removes a socket that nobody serves.
fn clear(path: &Path) -> Result<(), InstanceError> {
    use std::os::unix::fs::FileTypeExt;
    let at = |source: io::Error| InstanceError::Path { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(InstanceError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(stream) => {
            let pid = socket_peercred(&stream).map_or(0, |peer| peer.pid.as_raw_nonzero().get());
            Err(InstanceError::SocketInUse { path: path.to_owned(), pid })
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!("taking over the socket {}, which nobody serves", path.display());
            std::fs::remove_file(path).map_err(at)
        }
        Err(error) => Err(at(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_has_one_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock_state(dir.path()).unwrap();
        let refused = lock_state(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(lock);
        lock_state(dir.path()).unwrap();
    }

    /// What a killed daemon's half-made child does to the next daemon, which was refused because of it.
    #[test]
    fn a_lock_that_outlives_its_daemon_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock_state(dir.path()).unwrap();
        let gone = std::process::Command::new("true").spawn().and_then(|mut child| {
            child.wait()?;
            Ok(child.id())
        });
        std::fs::write(dir.path().join("lock"), format!("{}\n", gone.unwrap())).unwrap();
        let (dir, waits) = (dir.path().to_owned(), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            let next = scope.spawn(|| {
                waits.wait();
                lock_state(&dir)
            });
            waits.wait();
            drop(lock);
            next.join().unwrap().unwrap();
        });
    }

    #[tokio::test]
    async fn a_stale_socket_is_taken_over_and_a_served_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let first = listen(&path, false).unwrap();
        let refused = listen(&path, false).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(first);
        listen(&path, false).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        std::fs::write(&path, "text").unwrap();
        assert!(matches!(listen(&path, false), Err(InstanceError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn a_lock_given_up_is_free_though_a_half_made_process_has_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock_state(dir.path()).unwrap();
        let _copy = lock.file.try_clone().unwrap();
        drop(lock);
        lock_state(dir.path()).unwrap();
    }
}
