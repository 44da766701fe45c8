//! Reading output files as they grow.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use crate::protocol::{MAX_CHUNK, Stream};

/// Wakes when something in a folder, or a file, changes.
#[derive(Debug)]
pub(super) struct Changes {
    /// Full until the end.
    queue: Option<AsyncFd<OwnedFd>>,
}

impl Drop for Changes {
    /// The kernel waits for some 20 ms before it lets go of a closed queue that has watches: nothing that a task should
    /// wait for.
    fn drop(&mut self) {
        let Some(queue) = self.queue.take().map(AsyncFd::into_inner) else { return };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(queue));
        }
    }
}

impl Changes {
    /// Watches for what comes and grows in `folder`.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        Self::watch(folder, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO)
    }

    /// Watches for what goes from `folder`, and not for the many changes of what stays.
    pub(super) fn goings(folder: &Path) -> io::Result<Self> {
        Self::watch(folder, WatchFlags::DELETE | WatchFlags::MOVED_FROM)
    }

    fn watch(folder: &Path, what: WatchFlags) -> io::Result<Self> {
        let queue = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let path = CString::new(folder.as_os_str().as_bytes())?;
        add_watch(&queue, path, what)?;
        #[expect(
            deprecated,
            reason = "an owned descriptor can't be closed or swapped behind its back"
        )]
        let queue = AsyncFd::with_interest(queue, Interest::READABLE)?;
        Ok(Self { queue: Some(queue) })
    }

    /// Waits for a change; many that came together count as one. Can be dropped and called again.
    pub(super) async fn next(&mut self) -> io::Result<()> {
        // Room for several events: what they say does not matter, that there were some does.
        let mut events = [0; 4096];
        let Some(queue) = &self.queue else { return Ok(()) };
        loop {
            let mut ready = queue.readable().await?;
            if let Ok(read) = ready.try_io(|queue| Ok(rustix::io::read(queue, &mut events)?)) {
                return read.map(drop);
            }
        }
    }
}

/// One output file, read from where the last read ended.
#[derive(Debug)]
pub(super) struct Growing {
    /// Which stream it is.
    pub(super) stream: Stream,
    path: PathBuf,
    file: Option<File>,
    /// Begin with the last so many lines.
    tail: Option<u64>,
}

impl Growing {
    pub(super) fn new(stream: Stream, path: PathBuf, tail: Option<u64>) -> Self {
        Self { stream, path, file: None, tail }
    }

    /// The next piece; empty when there is no more for now. A file that is not there is empty.
    pub(super) fn read(&mut self) -> io::Result<Vec<u8>> {
        if self.file.is_none() {
            // A pipe with nobody at its other end, or a terminal, must hold up nobody here.
            let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits();
            let opened =
                File::options().read(true).custom_flags(flags.cast_signed()).open(&self.path);
            let mut file = match opened {
                Ok(file) if file.metadata()?.is_file() => file,
                Ok(_) => return Ok(Vec::new()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            if let Some(lines) = self.tail {
                seek_tail(&mut file, lines)?;
            }
            self.file = Some(file);
        }
        let mut piece = Vec::new();
        if let Some(file) = &mut self.file {
            file.take(MAX_CHUNK as u64).read_to_end(&mut piece)?;
        }
        Ok(piece)
    }
}

/// Goes to where the last `lines` lines begin, looking at pieces from the end.
fn seek_tail(file: &mut File, lines: u64) -> io::Result<()> {
    let mut end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(());
    }
    let mut left = lines;
    let mut piece = vec![0; MAX_CHUNK];
    let length = end;
    while end > 0 {
        let size = usize::try_from(end).unwrap_or(MAX_CHUNK).min(MAX_CHUNK);
        let start = end - size as u64;
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut piece[..size])?;
        for at in (0..size).rev().filter(|at| piece[*at] == b'\n') {
            let position = start + at as u64 + 1;
            // The line end at the very end closes the last line, it does not begin another.
            if position == length {
                continue;
            }
            left = left.saturating_sub(1);
            if left == 0 {
                file.seek(SeekFrom::Start(position))?;
                return Ok(());
            }
        }
        end = start;
    }
    file.seek(SeekFrom::Start(0)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(text: &str, lines: u64) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        std::fs::write(&path, text).unwrap();
        let piece = Growing::new(Stream::Out, path, Some(lines)).read().unwrap();
        String::from_utf8(piece).unwrap()
    }

    #[test]
    fn a_tail_begins_at_a_line() {
        assert_eq!(tail_of("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(tail_of("a\nb\nc", 1), "c");
        assert_eq!(tail_of("a\n", 5), "a\n");
        assert_eq!(tail_of("", 5), "");
        assert_eq!(tail_of("a\nb\n", 0), "");
    }

    #[test]
    fn a_pipe_is_no_output_to_wait_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert!(Growing::new(Stream::Out, path, None).read().unwrap().is_empty());
    }

    #[test]
    fn a_tail_is_found_across_pieces() {
        let long = "x".repeat(MAX_CHUNK + 7);
        assert_eq!(tail_of(&format!("a\n{long}\nb\n"), 1), "b\n");
        let text = format!("a\n{}\n", "y".repeat(100));
        assert_eq!(tail_of(&format!("{long}\n{text}"), 2), text);
    }

    #[test]
    fn a_file_that_comes_later_is_read_from_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut growing = Growing::new(Stream::Out, path.clone(), None);
        assert!(growing.read().unwrap().is_empty());
        std::fs::write(&path, "one").unwrap();
        assert_eq!(growing.read().unwrap(), b"one");
        assert!(growing.read().unwrap().is_empty());
    }
}
