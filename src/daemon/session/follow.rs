//! Reading output files as they grow.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use crate::handlers::Cut;
use crate::protocol::{MAX_CHUNK, Stream};

/// Wakes when something in a folder, or a file, changes.
#[derive(Debug)]
pub(super) struct Changes {
    /// Full until the end.
    queue: Option<AsyncFd<OwnedFd>>,
}

/// What has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// Files with these names.
    Named(BTreeSet<OsString>),
    /// Nobody knows what: there was too much of it, or a folder is gone and has to be watched anew.
    Unknown,
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
    /// Watches for what comes and grows in these folders.
    pub(super) fn of(folders: &[&Path]) -> io::Result<Self> {
        Self::watch(folders, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO)
    }

    /// Watches for what goes from `folder`, and not for the many changes of what stays.
    pub(super) fn goings(folder: &Path) -> io::Result<Self> {
        Self::watch(&[folder], WatchFlags::DELETE | WatchFlags::MOVED_FROM)
    }

    fn watch(folders: &[&Path], what: WatchFlags) -> io::Result<Self> {
        let queue = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        for folder in folders {
            let path = CString::new(folder.as_os_str().as_bytes())?;
            add_watch(&queue, path, what)?;
        }
        #[expect(
            deprecated,
            reason = "an owned descriptor can't be closed or swapped behind its back"
        )]
        let queue = AsyncFd::with_interest(queue, Interest::READABLE)?;
        Ok(Self { queue: Some(queue) })
    }

    /// Waits for a change of a file whose name is wanted; those that came together are told together. Can be dropped and
    /// called again.
    pub(super) async fn next(&mut self, wanted: impl Fn(&OsStr) -> bool) -> io::Result<Changed> {
        let Some(queue) = &self.queue else { return Ok(Changed::Unknown) };
        loop {
            let mut ready = queue.readable().await?;
            match ready.try_io(|queue| changed(queue.get_ref(), &wanted)) {
                Ok(Ok(Changed::Named(names))) if names.is_empty() => {}
                Ok(changed) => return changed,
                Err(_nothing_yet) => {}
            }
        }
    }

    /// What has changed since the last word, without waiting for more.
    pub(super) fn so_far(&self, wanted: impl Fn(&OsStr) -> bool) -> io::Result<Changed> {
        let Some(queue) = &self.queue else { return Ok(Changed::Unknown) };
        let mut names = BTreeSet::new();
        loop {
            match changed(queue.get_ref(), &wanted) {
                Ok(Changed::Named(more)) => names.extend(more),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Changed::Named(names));
                }
                other => return other,
            }
        }
    }
}

/// What one read of the queue tells of names that are wanted.
fn changed(queue: &OwnedFd, wanted: impl Fn(&OsStr) -> bool) -> io::Result<Changed> {
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(queue, &mut room);
    let mut names = BTreeSet::new();
    loop {
        let event = reader.next()?;
        if event.events().intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED) {
            return Ok(Changed::Unknown);
        }
        let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
        if let Some(name) = name.filter(|name| wanted(name)) {
            names.insert(name.to_owned());
        }
        if reader.is_buffer_empty() {
            return Ok(Changed::Named(names));
        }
    }
}

/// What comes next of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// These bytes; none when there is no more for now.
    Bytes(Vec<u8>),
    /// So many bytes that are not kept any more.
    Cut(u64),
}

/// One output file, read from where the last read ended.
#[derive(Debug)]
pub(super) struct Growing {
    /// Which stream it is.
    pub(super) stream: Stream,
    path: PathBuf,
    file: Option<File>,
    /// Where the first read begins.
    begin: Begin,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Begin {
    /// At the start.
    #[default]
    Start,
    /// With the last so many lines.
    Tail(u64),
    /// So many bytes on.
    At(u64),
}

impl Growing {
    pub(super) fn new(stream: Stream, path: PathBuf, begin: Begin) -> Self {
        Self { stream, path, file: None, begin }
    }

    /// How many bytes come before the next piece.
    pub(super) fn position(&mut self) -> u64 {
        let position = self.file.as_mut().and_then(|file| file.stream_position().ok());
        position.unwrap_or(match self.begin {
            Begin::At(offset) => offset,
            Begin::Start | Begin::Tail(_) => 0,
        })
    }

    /// The next piece; empty when there is no more for now. A file that is not there is empty.
    pub(super) fn read(&mut self) -> io::Result<Piece> {
        if self.file.is_none() {
            // A pipe with nobody at its other end, or a terminal, must hold up nobody here.
            let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits();
            let opened =
                File::options().read(true).custom_flags(flags.cast_signed()).open(&self.path);
            let mut file = match opened {
                Ok(file) if file.metadata()?.is_file() => file,
                Ok(_) => return Ok(Piece::Bytes(Vec::new())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Piece::Bytes(Vec::new()));
                }
                Err(error) => return Err(error),
            };
            match self.begin {
                Begin::Start => {}
                Begin::Tail(lines) => seek_tail(&mut file, lines, Cut::of(&self.path)?)?,
                Begin::At(offset) => drop(file.seek(SeekFrom::Start(offset))?),
            }
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else { return Ok(Piece::Bytes(Vec::new())) };
        let begin = file.stream_position()?;
        let mut bytes = Vec::new();
        file.take(MAX_CHUNK as u64).read_to_end(&mut bytes)?;
        // Asked after the reading: a cut is noted before its bytes go, so what was read may be a hole only if it is
        // noted now.
        let Some(cut) = Cut::of(&self.path)? else { return Ok(Piece::Bytes(bytes)) };
        let end = begin + bytes.len() as u64;
        if (cut.begin..cut.end).contains(&begin) {
            file.seek(SeekFrom::Start(cut.end))?;
            return Ok(Piece::Cut(cut.end - begin));
        }
        if begin < cut.begin && cut.begin < end {
            bytes.truncate((cut.begin - begin) as usize);
            file.seek(SeekFrom::Start(cut.begin))?;
        }
        Ok(Piece::Bytes(bytes))
    }
}

/// Goes to where the last `lines` lines begin, looking at pieces from the end; what was cut has no lines.
fn seek_tail(file: &mut File, lines: u64, cut: Option<Cut>) -> io::Result<()> {
    let mut end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(());
    }
    let mut left = lines;
    let mut piece = vec![0; MAX_CHUNK];
    let length = end;
    while end > 0 {
        let floor = match cut {
            Some(cut) if (cut.begin + 1..=cut.end).contains(&end) => {
                end = cut.begin;
                continue;
            }
            Some(cut) if end > cut.end => cut.end,
            _ => 0,
        };
        let size = usize::try_from(end - floor).unwrap_or(MAX_CHUNK).min(MAX_CHUNK);
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

    fn text_of(piece: Piece) -> String {
        let Piece::Bytes(bytes) = piece else { panic!("it was cut: {piece:?}") };
        String::from_utf8(bytes).unwrap()
    }

    fn tail_of(text: &str, lines: u64) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        std::fs::write(&path, text).unwrap();
        text_of(Growing::new(Stream::Out, path, Begin::Tail(lines)).read().unwrap())
    }

    #[test]
    fn a_tail_begins_at_a_line() {
        assert_eq!(tail_of("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(tail_of("a\nb\nc", 1), "c");
        assert_eq!(tail_of("a\n", 5), "a\n");
        assert_eq!(tail_of("", 5), "");
        assert_eq!(tail_of("a\nb\n", 0), "");
    }

    #[tokio::test]
    async fn what_is_not_wanted_wakes_nobody_and_a_folder_that_goes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("0xxx");
        std::fs::create_dir(&folder).unwrap();
        let mut changes = Changes::of(&[&folder, dir.path()]).unwrap();
        for name in ["1.1.out", "2.1.out", "3.1.out"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let wanted = |name: &OsStr| name == "2.1.out";
        let only = Changed::Named(["2.1.out".into()].into());
        assert_eq!(changes.next(wanted).await.unwrap(), only);
        for name in ["2.1.out", "3.1.out", "2.1.out"] {
            std::fs::write(folder.join(name), "x").unwrap();
        }
        assert_eq!(changes.so_far(wanted).unwrap(), only);
        assert_eq!(changes.so_far(wanted).unwrap(), Changed::Named(BTreeSet::new()));
        std::fs::write(folder.join("1.1.out"), "x").unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(changes.next(wanted).await.unwrap(), Changed::Unknown);
    }

    #[test]
    fn a_pipe_is_no_output_to_wait_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_eq!(text_of(Growing::new(Stream::Out, path, Begin::Start).read().unwrap()), "");
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
        let mut growing = Growing::new(Stream::Out, path.clone(), Begin::Start);
        assert_eq!(text_of(growing.read().unwrap()), "");
        std::fs::write(&path, "one").unwrap();
        assert_eq!(text_of(growing.read().unwrap()), "one");
        assert_eq!(text_of(growing.read().unwrap()), "");
    }

    #[test]
    fn what_was_cut_is_told_and_not_read_as_zeroes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let lines: Vec<String> = (0..100_000).map(|line| format!("{line:07}\n")).collect();
        let text = lines.concat();
        std::fs::write(&path, &text).unwrap();
        let mut early = Growing::new(Stream::Out, path.clone(), Begin::Start);
        let first = text_of(early.read().unwrap());
        crate::handlers::keep_head_and_tail(&path, 64 << 10).unwrap();
        let cut = Cut::of(&path).unwrap().unwrap();
        let (begin, end) = (cut.begin as usize, cut.end as usize);
        let all = |mut growing: Growing| {
            let (mut read, mut missing) = (String::new(), 0);
            loop {
                match growing.read().unwrap() {
                    Piece::Bytes(bytes) if bytes.is_empty() => return (read, missing),
                    Piece::Bytes(bytes) => read += std::str::from_utf8(&bytes).unwrap(),
                    Piece::Cut(length) => missing += length as usize,
                }
            }
        };
        let whole = all(Growing::new(Stream::Out, path.clone(), Begin::Start));
        assert_eq!(whole, (format!("{}{}", &text[..begin], &text[end..]), end - begin));
        // One that was reading already hears of what it has missed.
        let (rest, missing) = all(early);
        let from = first.len();
        assert!(from < end, "the cut lies behind what was read at once");
        assert_eq!(missing, end - from.max(begin));
        assert_eq!(rest, format!("{}{}", text.get(from..begin).unwrap_or(""), &text[end..]));
        let tail = all(Growing::new(Stream::Out, path.clone(), Begin::Tail(2)));
        assert_eq!(tail, ("0099998\n0099999\n".to_owned(), 0));
        // More lines than the tail has.
        let more = all(Growing::new(Stream::Out, path, Begin::Tail(6_000)));
        assert!(more.1 == end - begin && more.0.ends_with(&text[end..]));
    }
}
