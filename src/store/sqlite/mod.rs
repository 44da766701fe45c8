//! The embedded store: one SQLite file in the state directory.
//!
//! Owns the file `twolane.db` and its write-ahead log. Never shares the writer's connection, never
//! leaves a read transaction open behind a call, never writes a file it does not know. Invariant:
//! after a failed sync nothing more goes through the same connection.

mod apply;
mod book;
mod codes;
mod deadline;
mod edits;
mod fault;
mod folds;
mod moments;
mod open;
mod pending;
mod query;
mod reader;
mod requirements;
mod schedules;
mod suspicion;
mod tally;
mod wal;
mod work;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::job::{Change, Now};

use super::{Pending, Reader, Recovery, Refusal, Store, StoreError, StoredSchedule};
use apply::Batch;
use book::Book;
use deadline::Boot;
use reader::SqliteReader;
use tally::Tally;
use wal::Gauge;

/// How the store uses memory, disk and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How long a call waits for a lock that another program holds on the file, in milliseconds.
    pub busy_timeout_ms: u64,
    /// After so many bytes the write-ahead log is folded into the database, as far as readers allow.
    pub checkpoint_bytes: u64,
    /// Above so many bytes the log is folded and cut, and readers are waited for.
    pub wal_limit_bytes: u64,
    /// Page cache of the writer, in bytes.
    pub cache_bytes: u64,
    /// Page cache of each reader, in bytes.
    pub reader_cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // A backup by the `sqlite3` tool holds its lock for moments only.
            busy_timeout_ms: 5_000,
            // Long enough that a page written again and again is folded once.
            checkpoint_bytes: 16 << 20,
            // Reached only when readers kept the log from being folded.
            wal_limit_bytes: 64 << 20,
            // Holds the pages that the next thousands of starts and ends touch.
            cache_bytes: 16 << 20,
            reader_cache_bytes: 4 << 20,
        }
    }
}

/// A store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    options: Options,
    conn: Connection,
    boot: Boot,
    book: Book,
    tally: Tally,
    gauge: Gauge,
    /// Why this connection must not be used for writing any more.
    broken: Option<StoreError>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Where the kernel tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl SqliteStore {
    /// Opens the store in `dir`, made if there is none, and begins a new life of it.
    ///
    /// A file that is newer, foreign or damaged is refused and left as it is. When this returns, the
    /// raised life number is synced.
    pub fn open(dir: &Path, options: &Options, now: Now) -> Result<(Self, Recovery), StoreError> {
        // Without the kernel's word every start counts as another boot: then the wall clock decides.
        let boot_id = std::fs::read_to_string(BOOT_ID)
            .unwrap_or_else(|_| format!("unknown, opened at {}", now.wall.0));
        Self::open_in_boot(dir, options, now, boot_id.trim())
    }

    /// As [`SqliteStore::open`], under the boot of this name.
    pub(crate) fn open_in_boot(
        dir: &Path,
        options: &Options,
        now: Now,
        boot_id: &str,
    ) -> Result<(Self, Recovery), StoreError> {
        let open::Opened { mut conn, boot, recovery } = open::open(dir, options, now, boot_id)?;
        let path = dir.join(open::FILE_NAME);
        let told = |error: rusqlite::Error| fault::told_at_open(&path, &error);
        let gauge = Gauge::watch(&mut conn).map_err(told)?;
        let book =
            Book::open(&conn, recovery.store, boot.number, recovery.next_id.get()).map_err(told)?;
        let tally = Tally::default();
        let options = options.clone();
        Ok((Self { path, options, conn, boot, book, tally, gauge, broken: None }, recovery))
    }

    /// How long the write-ahead log is, in bytes, as of the last commit.
    pub fn wal_bytes(&self) -> u64 {
        self.gauge.bytes()
    }

    fn usable(&self) -> Result<(), StoreError> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Writes a batch as one transaction; its commit syncs the log.
    fn write(&mut self, batch: &[Change]) -> rusqlite::Result<Vec<Result<(), Refusal>>> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let Self { conn, book, tally, .. } = self;
        let mut latest = None;
        let mut taking = Batch { conn, book, tally, latest: &mut latest };
        let answers = batch.iter().map(|change| taking.take(change)).collect::<Result<_, _>>()?;
        self.tally.write(&self.conn)?;
        self.book.write(&self.conn)?;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        self.book.keep();
        Ok(answers)
    }

    /// Undoes a batch that failed, and tells whether the connection may be used again.
    ///
    /// After a full disk or a lock the batch is rolled back and may be given again. After any other
    /// error it is unknown what reached the disk, so this connection never writes again.
    fn failed(&mut self, error: &rusqlite::Error) -> StoreError {
        let told = fault::told(&self.path, error);
        self.tally.clear();
        self.book.clear();
        let rolled_back = self.conn.is_autocommit() || self.conn.execute_batch("ROLLBACK").is_ok();
        let again = matches!(told, StoreError::Full(_) | StoreError::Locked(_));
        if again && rolled_back {
            return told;
        }
        self.broken(error)
    }

    fn broken(&mut self, error: &rusqlite::Error) -> StoreError {
        let told = StoreError::Broken { path: self.path.clone(), reason: error.to_string() };
        self.broken.get_or_insert(told).clone()
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, batch: &[Change]) -> Result<Vec<Result<(), Refusal>>, StoreError> {
        self.usable()?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.write(batch).map_err(|error| self.failed(&error))?;
        // The batch is synced whatever happens here; a failure is told at the next commit.
        if let Err(error) = self.gauge.tend(&self.conn, &self.options) {
            self.broken(&error);
        }
        Ok(answers)
    }

    fn pending(&mut self, visit: &mut dyn FnMut(Pending)) -> Result<(), StoreError> {
        self.usable()?;
        pending::scan(&self.conn, self.book.store, self.boot, visit)
            .map_err(|error| fault::told(&self.path, &error))
    }

    fn schedules(&mut self) -> Result<Vec<StoredSchedule>, StoreError> {
        self.usable()?;
        schedules::all(&self.conn, self.boot).map_err(|error| fault::told(&self.path, &error))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        let conn = open::connect_reader(&self.path, &self.options)
            .map_err(|error| fault::told(&self.path, &error))?;
        Ok(Box::new(SqliteReader::new(self.path.clone(), conn, self.book.store, self.boot)))
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.usable()?;
        let close = || {
            self.conn.execute("UPDATE store SET clean = 1", [])?;
            wal::checkpoint(&self.conn, "TRUNCATE")
        };
        let result = close();
        result.map_err(|error| self.failed(&error))?;
        let reason = "it was closed".to_owned();
        self.broken = Some(StoreError::Broken { path: self.path.clone(), reason });
        Ok(())
    }
}
