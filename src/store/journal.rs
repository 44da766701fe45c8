//! The side journal: where the ends of running attempts are kept that the store has no room for.
//!
//! Owns one file of zeroes, made while there is room and overwritten in place, so that a full disk does not keep it from
//! being written. Never decides what becomes of its records: the next life gives them to the store, which refuses
//! what it has already. Invariant: what [`Journal::note`] has taken is synced, and is found by whoever opens it next,
//! until [`Journal::settled`] has heard that the store has it.

mod record;

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::job::{AttemptToken, Change, StoreId};

use record::{Found, SLOT_BYTES};

/// The file's name inside the state directory.
const FILE_NAME: &str = "outcomes.side";

/// An attempt takes a slot for its start, if that was not written yet, and one for its end.
const SLOTS_PER_ATTEMPT: u64 = 2;

/// The journal takes at most this part of the space that is free when it is made.
const PART_OF_FREE: u64 = 16;

/// How much of the file is written at once while it is made.
const CHUNK_BYTES: usize = 256 << 10;

/// Why the journal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file can't be opened, read or written.
    #[error("the side journal {path} can't be used ({source}): check its owner, permissions and disk", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Every slot is taken.
    #[error("the side journal {path} is full: the ends of further attempts are kept in memory alone", path = .path.display())]
    NoSlot {
        /// Which file.
        path: PathBuf,
    },
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    slots: u64,
    used: u64,
    /// What stands in it: the attempt, and whether it is its end.
    noted: HashSet<(AttemptToken, bool)>,
    /// A sync has failed: what the file holds is unknown, and nothing more is written to it.
    failed: bool,
}

impl Journal {
    /// Opens the journal in `dir`, made for so many running attempts if there is none, and tells what an earlier life
    /// of this store left in it. Where there is little room it is made smaller, or not at all.
    pub fn open(
        dir: &Path,
        attempts: u64,
        store: StoreId,
    ) -> Result<(Self, Vec<Change>), JournalError> {
        let path = dir.join(FILE_NAME);
        let at = |source: io::Error| JournalError::File { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(at)?;
        let bytes = read_all(&file).map_err(at)?;
        let found = record::read(&bytes, store);
        let wanted = attempts.saturating_mul(SLOTS_PER_ATTEMPT);
        let slots = extend(&file, dir, bytes.len() as u64, wanted).map_err(at)?;
        let Found { changes, used } = found;
        let noted = changes.iter().filter_map(key).collect();
        Ok((Self { path, file, slots, used, noted, failed: false }, changes))
    }

    /// For how many records there is room in all.
    pub const fn slots(&self) -> u64 {
        self.slots
    }

    /// How many attempts have their end in it.
    pub fn ends(&self) -> usize {
        self.noted.iter().filter(|(_, end)| *end).count()
    }

    /// Writes down the starts and ends among these changes, and syncs them. What it has already is passed over. With an
    /// error those that fitted before are kept all the same, unless the file itself has failed.
    pub fn note(&mut self, changes: &[Change]) -> Result<(), JournalError> {
        if self.failed {
            return Err(self.error(io::Error::other("an earlier sync failed")));
        }
        let begun = self.used;
        let mut full = false;
        for change in changes {
            let Some(key) = key(change) else { continue };
            if self.noted.contains(&key) {
                continue;
            }
            let Some(bytes) = record::write(change) else { continue };
            let slots = bytes.len() as u64 / SLOT_BYTES as u64;
            if self.used + slots > self.slots {
                full = true;
                continue;
            }
            if let Err(error) = self.file.write_all_at(&bytes, self.used * SLOT_BYTES as u64) {
                return Err(self.fail(error));
            }
            self.used += slots;
            self.noted.insert(key);
        }
        if self.used > begun
            && let Err(error) = self.file.sync_data()
        {
            return Err(self.fail(error));
        }
        if full { Err(JournalError::NoSlot { path: self.path.clone() }) } else { Ok(()) }
    }

    /// The store has these changes: when it has all that stand here, the journal is emptied.
    pub fn settled(&mut self, changes: &[Change]) -> Result<(), JournalError> {
        if self.noted.is_empty() {
            return Ok(());
        }
        for key in changes.iter().filter_map(key) {
            self.noted.remove(&key);
        }
        if self.noted.is_empty() { self.clear() } else { Ok(()) }
    }

    /// Forgets everything. Synced, or a record that the store has refused could be given to it again much later, when
    /// it fits.
    pub fn clear(&mut self) -> Result<(), JournalError> {
        self.noted.clear();
        let zeroes = vec![0; (self.used * SLOT_BYTES as u64) as usize];
        self.used = 0;
        let cleared = self.file.write_all_at(&zeroes, 0).and_then(|()| self.file.sync_data());
        cleared.map_err(|error| self.fail(error))
    }

    fn fail(&mut self, source: io::Error) -> JournalError {
        self.failed = true;
        self.error(source)
    }

    fn error(&self, source: io::Error) -> JournalError {
        JournalError::File { path: self.path.clone(), source }
    }
}

/// Names a record, if the change is one that is kept here.
const fn key(change: &Change) -> Option<(AttemptToken, bool)> {
    match change {
        Change::Started { token, .. } => Some((*token, false)),
        Change::Ended { token, .. } => Some((*token, true)),
        _ => None,
    }
}

fn read_all(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Fills the file with zeroes up to the wanted number of slots; tells how many there are. Zeroes and not a hole: a
/// hole is filled when it is written, which is when there is no room.
fn extend(file: &File, dir: &Path, length: u64, wanted: u64) -> io::Result<u64> {
    let slot = SLOT_BYTES as u64;
    let whole = length / slot * slot;
    let free = rustix::fs::statvfs(dir)?;
    let most = (whole + free.f_bavail.saturating_mul(free.f_frsize) / PART_OF_FREE) / slot * slot;
    let end = (wanted * slot).min(most).max(whole);
    let zeroes = vec![0; CHUNK_BYTES];
    let mut at = whole;
    while at < end {
        let part = &zeroes[..CHUNK_BYTES.min((end - at) as usize)];
        match file.write_all_at(part, at) {
            Ok(()) => at += part.len() as u64,
            Err(error) if is_full(&error) => {
                file.set_len(whole)?;
                at = whole;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    if at > length {
        file.sync_all()?;
    }
    Ok(at / slot)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests;
