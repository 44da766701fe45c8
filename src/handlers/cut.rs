//! What is given up of a captured output file that has grown too long: the middle, so that head and tail stay.
//!
//! Owns how a file is cut and how that is written down: the bytes become a hole, and a small file beside it says which
//! they were. Never shortens a file that somebody writes to. Invariant: a cut is noted before the first of its bytes
//! goes, so who reads a piece and then looks for the cut never takes a hole for output.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// Holes begin and end at whole blocks of any usual file system.
const BLOCK: u64 = 4096;
/// A file is cut when it is longer than its limit by this part of it, so that each cut frees something.
const SLACK_PART: u64 = 8;

/// The bytes of a file that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first of them.
    pub begin: u64,
    /// The first behind them.
    pub end: u64,
}

impl Cut {
    /// The cut of a file, if it has one.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(beside(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(begin)), Some(Ok(end))) => Ok(Some(Self { begin, end })),
            _ => Ok(None),
        }
    }

    /// Written whole or not at all, whenever the daemon ends.
    fn note(self, path: &Path) -> io::Result<()> {
        let (place, coming) = (beside(path), with_ending(path, ".cut.new"));
        fs::write(&coming, format!("{} {}\n", self.begin, self.end))?;
        fs::rename(coming, &place)?;
        // Who removed the file meanwhile did not see the note, and nobody would look for it again.
        path.symlink_metadata().map(drop).inspect_err(|_| drop(fs::remove_file(&place)))
    }
}

/// Cuts the middle out of a file of more than `limit` bytes, so that its first and its last half of that stay. Where
/// the file system knows no holes it is an error, and nothing was cut.
pub fn keep_head_and_tail(path: &Path, limit: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    let old = Cut::of(path)?;
    let gone = old.map_or(0, |cut| cut.end - cut.begin);
    if length - gone <= limit + limit / SLACK_PART {
        return Ok(());
    }
    let half = (limit / 2).next_multiple_of(BLOCK);
    let begin = old.map_or(half, |cut| cut.begin);
    let end = length.saturating_sub(half) / BLOCK * BLOCK;
    let from = old.map_or(begin, |cut| cut.end);
    if end <= from {
        return Ok(());
    }
    Cut { begin, end }.note(path)?;
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    if let Err(error) = fallocate(&file, hole, from, end - from) {
        match old {
            Some(cut) => cut.note(path)?,
            None => fs::remove_file(beside(path))?,
        }
        return Err(error.into());
    }
    Ok(())
}

/// Gives up a whole file that nobody writes to any more.
pub fn give_up(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    let end = Cut::of(path)?.map_or(length, |cut| cut.end.max(length));
    Cut { begin: 0, end }.note(path)?;
    file.set_len(0)
}

/// How many bytes a file takes of the disk.
pub fn taken(about: &fs::Metadata) -> u64 {
    about.blocks() * 512
}

fn beside(path: &Path) -> PathBuf {
    with_ending(path, ".cut")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LIMIT: u64 = 64 << 10;

    fn grow(path: &Path, bytes: usize) -> Vec<u8> {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        let text: Vec<u8> = (0..bytes).map(|at| b'a' + (at % 26) as u8).collect();
        file.write_all(&text).unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn head_and_tail_stay_and_the_middle_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.out");
        let before = grow(&path, 1 << 20);
        keep_head_and_tail(&path, LIMIT).unwrap();
        let cut = Cut::of(&path).unwrap().unwrap();
        let after = fs::read(&path).unwrap();
        assert_eq!(after.len(), before.len(), "who appends is not disturbed");
        let (begin, end) = (cut.begin as usize, cut.end as usize);
        assert_eq!((&after[..begin], &after[end..]), (&before[..begin], &before[end..]));
        assert!(cut.begin >= LIMIT / 2 && before.len() as u64 - cut.end >= LIMIT / 2);
        assert!(taken(&fs::metadata(&path).unwrap()) <= LIMIT + 4 * BLOCK);
        // It grows on, and what was the tail becomes the middle.
        let grown = grow(&path, 1 << 20);
        keep_head_and_tail(&path, LIMIT).unwrap();
        let again = Cut::of(&path).unwrap().unwrap();
        assert!(again.begin == cut.begin && again.end > cut.end);
        assert_eq!(fs::read(&path).unwrap()[again.end as usize..], grown[again.end as usize..]);
        assert!(taken(&fs::metadata(&path).unwrap()) <= LIMIT + 4 * BLOCK);
    }

    #[test]
    fn what_is_not_too_long_is_not_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.out");
        let before = grow(&path, LIMIT as usize);
        keep_head_and_tail(&path, LIMIT).unwrap();
        assert_eq!((Cut::of(&path).unwrap(), fs::read(&path).unwrap()), (None, before));
    }

    #[test]
    fn a_file_that_is_given_up_says_how_much_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.out");
        grow(&path, 1 << 20);
        keep_head_and_tail(&path, LIMIT).unwrap();
        for _ in 0..2 {
            give_up(&path).unwrap();
            assert_eq!(Cut::of(&path).unwrap(), Some(Cut { begin: 0, end: 1 << 20 }));
            assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        }
    }

    #[test]
    fn a_note_that_makes_no_sense_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.out");
        fs::write(dir.path().join("1.out.cut"), "12").unwrap();
        assert_eq!(Cut::of(&path).unwrap(), None);
    }
}
