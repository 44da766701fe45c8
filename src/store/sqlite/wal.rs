//! Keeps the write-ahead log short: when it is folded into the database, and how far it may grow.
//!
//! SQLite's own automatic checkpoint is off; the writer checkpoints between batches, so that no commit
//! waits for one that it did not cause. Invariant: a checkpoint never puts an acknowledged change at
//! risk, because the log is only begun anew when the database file is synced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::Options;

/// How long a truncating checkpoint waits for readers; the batch behind it waits as long.
const WAIT_FOR_READERS: Duration = Duration::from_millis(50);

/// How long the log is, and when it was last folded.
#[derive(Debug)]
pub(super) struct Gauge {
    /// Pages in the log, told by SQLite at each commit.
    pages: Arc<AtomicU32>,
    page_bytes: u64,
    /// The length at the last checkpoint that could not finish; it is not tried again at each commit.
    tried_at_bytes: u64,
}

impl Gauge {
    /// Begins to watch the log of a connection.
    pub(super) fn watch(conn: &mut Connection) -> rusqlite::Result<Self> {
        let page_bytes: u32 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = Arc::new(AtomicU32::new(0));
        let told = Arc::clone(&pages);
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, length: std::ffi::c_int| {
            told.store(length.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages, page_bytes: u64::from(page_bytes), tried_at_bytes: 0 })
    }

    /// The length of the log in bytes, as of the last commit.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.pages.load(Ordering::Relaxed)) * self.page_bytes
    }

    /// Folds the log if it has grown enough since the last time.
    ///
    /// A full disk or a busy reader leaves the log as it is, which loses nothing; any other error means
    /// that the database file can't be trusted to take writes.
    pub(super) fn tend(&mut self, conn: &Connection, options: &Options) -> rusqlite::Result<()> {
        let bytes = self.bytes();
        if bytes < self.tried_at_bytes {
            self.tried_at_bytes = 0;
        }
        if bytes < self.tried_at_bytes.saturating_add(options.checkpoint_bytes) {
            return Ok(());
        }
        self.tried_at_bytes = bytes;
        let result = if bytes < options.wal_limit_bytes {
            checkpoint(conn, "PASSIVE")
        } else {
            conn.busy_timeout(WAIT_FOR_READERS)?;
            let result = checkpoint(conn, "TRUNCATE");
            conn.busy_timeout(Duration::from_millis(options.busy_timeout_ms))?;
            result
        };
        match result {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Ok(()),
            other => other,
        }
    }
}

/// Runs one checkpoint. Being kept from finishing by a reader is no error.
pub(super) fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<()> {
    let result = conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    match result {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        other => other,
    }
}
