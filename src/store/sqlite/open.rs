//! Opening a store file: looking before touching, migrating, and raising the life number.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::job::{Drain, JobId, Now, QueueRecord, Rate, ScheduleId, StoreId};
use crate::store::{Recovery, StoreError};

use super::Options;
use super::deadline::Boot;
use super::fault;
use super::wal;

/// The file's name inside the state directory.
pub(super) const FILE_NAME: &str = "twolane.db";

/// Marks a SQLite file as ours: "2LNE".
const APPLICATION_ID: i64 = 0x324c_4e45;

/// Every schema change, in order; the number of a file is how many of them it has seen.
const MIGRATIONS: [&str; 12] = [
    include_str!("schema/0001_jobs.sql"),
    include_str!("schema/0002_requirements.sql"),
    include_str!("schema/0003_moments.sql"),
    include_str!("schema/0004_job_facts.sql"),
    include_str!("schema/0005_limits.sql"),
    include_str!("schema/0006_rates.sql"),
    include_str!("schema/0007_arrays.sql"),
    include_str!("schema/0008_edits.sql"),
    include_str!("schema/0009_retries_and_drains.sql"),
    include_str!("schema/0010_schedules.sql"),
    include_str!("schema/0011_suspicion.sql"),
    include_str!("schema/0012_ended_folds.sql"),
];

/// The number of this program's schema.
pub(super) const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// Prepared statements kept: more than the writer and the readers have, so none is prepared twice.
const STATEMENTS: usize = 64;

/// A writer's connection to a store that is ready to be written.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) boot: Boot,
    pub(super) recovery: Recovery,
}

/// Opens the store in `dir`, made if there is none, and begins a new life of it.
pub(super) fn open(
    dir: &Path,
    options: &Options,
    now: Now,
    boot_id: &str,
) -> Result<Opened, StoreError> {
    let path = dir.join(FILE_NAME);
    create(&path).map_err(|error| denied(&path, &error))?;
    look(&path, options)?;
    let told = |error: rusqlite::Error| fault::told_at_open(&path, &error);
    let mut conn = connect(&path, options)?;
    let is_new = is_empty(&conn).map_err(told)?;
    settle(&conn, options).map_err(told)?;
    // What a life that ended badly left in the log goes to the database file and is synced there, so
    // that nothing of it rests on pages whose sync may have failed.
    wal::checkpoint(&conn, "TRUNCATE").map_err(told)?;
    let (boot, recovery) = begin_life(&mut conn, &path, now, boot_id)?;
    if is_new {
        // The file alone now tells what it is, also to a program that does not read the log.
        wal::checkpoint(&conn, "TRUNCATE").map_err(told)?;
        sync_dir(dir).map_err(|error| denied(&path, &error))?;
    }
    Ok(Opened { conn, boot, recovery })
}

/// Opens a connection for a reader.
pub(super) fn connect_reader(path: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_millis(options.busy_timeout_ms))?;
    conn.pragma_update(None, "cache_size", kibibytes(options.reader_cache_bytes))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Makes an empty file that only its owner can read, unless there is a file already.
fn create(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map(drop),
    }
}

/// Refuses a file that is not ours or too new, through a connection that can't write.
fn look(path: &Path, options: &Options) -> Result<(), StoreError> {
    let about = fs::metadata(path).map_err(|error| denied(path, &error))?;
    if !about.is_file() {
        return Err(foreign(path, "it is not a file"));
    }
    if about.len() == 0 {
        return Ok(());
    }
    let conn = connect_reader(path, options).map_err(|error| fault::told_at_open(path, &error))?;
    check_identity(&conn, path).map(drop)
}

/// The schema number of a file that is ours; 0 for one without any content.
fn check_identity(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let read = || -> rusqlite::Result<(i64, i64, bool)> {
        Ok((pragma(conn, "application_id")?, pragma(conn, "user_version")?, is_empty(conn)?))
    };
    let (id, version, is_empty) = read().map_err(|error| fault::told_at_open(path, &error))?;
    match (id, version) {
        (0, 0) if is_empty => Ok(0),
        (APPLICATION_ID, 1..=SCHEMA) => Ok(version),
        (APPLICATION_ID, found) if found > SCHEMA => {
            Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA })
        }
        (APPLICATION_ID, _) => Err(foreign(path, "its schema number makes no sense")),
        (other, _) => Err(foreign(path, &format!("it belongs to application {other:#x}"))),
    }
}

fn is_empty(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

fn connect(path: &Path, options: &Options) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let told = |error: rusqlite::Error| fault::told_at_open(path, &error);
    let conn = Connection::open_with_flags(path, flags).map_err(told)?;
    conn.busy_timeout(Duration::from_millis(options.busy_timeout_ms)).map_err(told)?;
    // SQLite falls back to reading where it may not write.
    if conn.is_readonly("main").map_err(told)? {
        let reason = "it can only be read".to_owned();
        return Err(StoreError::Denied { path: path.to_owned(), reason });
    }
    Ok(conn)
}

/// Settings of the writer's connection.
fn settle(conn: &Connection, options: &Options) -> rusqlite::Result<()> {
    // Statement journals and sorts stay in memory: a full /tmp must not stop a commit.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // Each commit syncs the log before it returns.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cache_size", kibibytes(options.cache_bytes))?;
    conn.pragma_update_and_check(
        None,
        "journal_size_limit",
        size(options.wal_limit_bytes),
        |_| Ok(()),
    )?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Migrates if need be, raises the life number and syncs it, in one transaction.
fn begin_life(
    conn: &mut Connection,
    path: &Path,
    now: Now,
    boot_id: &str,
) -> Result<(Boot, Recovery), StoreError> {
    let told = |error: rusqlite::Error| fault::told_at_open(path, &error);
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
    // Between the look and the lock another program may have been here.
    let version = check_identity(&tx, path)?;
    if version == 0 {
        let id = random().map_err(|error| denied(path, &error))?;
        found(&tx, id, boot_id).map_err(told)?;
    } else {
        migrate(&tx, version).map_err(told)?;
    }
    let result = raise(&tx, now, boot_id).map_err(told)?;
    tx.commit().map_err(told)?;
    Ok(result)
}

/// Makes the tables of a new store.
fn found(conn: &Connection, store: u64, boot_id: &str) -> rusqlite::Result<()> {
    migrate(conn, 0)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.execute(
        "INSERT INTO store (one, store_id, life, clean, next_job, boot_id, boot) \
         VALUES (1, ?1, 0, 1, 1, ?2, 1)",
        params![store as i64, boot_id],
    )
    .map(drop)
}

fn migrate(conn: &Connection, from: i64) -> rusqlite::Result<()> {
    for step in &MIGRATIONS[from as usize..] {
        conn.execute_batch(step)?;
    }
    conn.pragma_update(None, "user_version", SCHEMA)
}

fn raise(conn: &Connection, now: Now, boot_id: &str) -> rusqlite::Result<(Boot, Recovery)> {
    let (clean, same_boot) =
        conn.query_row("SELECT clean, boot_id = ?1 FROM store", [boot_id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let raised = conn.query_row(
        "UPDATE store SET life = life + 1, clean = 0, boot = boot + (boot_id <> ?1), boot_id = ?1 \
         RETURNING store_id, life, next_job, boot, drained, drain_reason",
        [boot_id],
        |row| {
            let drain = row.get::<_, bool>(4)?.then_some(Drain { reason: row.get(5)? });
            let store = StoreId::new(row.get::<_, i64>(0)? as u64);
            Ok((
                store,
                row.get::<_, i64>(1)? as u64,
                super::codes::job_id(row, 2)?,
                row.get(3)?,
                drain,
            ))
        },
    )?;
    let (store, life, next_id, number, drain): (StoreId, u64, JobId, i64, _) = raised;
    let queues = read_queues(conn)?;
    let next_schedule = conn.query_row("SELECT next_schedule FROM store", [], |row| {
        row.get::<_, i64>(0).map(|number| ScheduleId(number as u64))
    })?;
    let recovery =
        Recovery { store, life, next_id, next_schedule, clean, same_boot, queues, drain };
    Ok((Boot { number, opened: now }, recovery))
}

fn read_queues(conn: &Connection) -> rusqlite::Result<Vec<QueueRecord>> {
    conn.prepare("SELECT name, max, weight, paused, reason, rate_starts, rate_per_ns FROM queues ORDER BY name")?
        .query_map([], |row| {
            Ok(QueueRecord {
                name: row.get(0)?,
                max: row.get(1)?,
                weight: row.get(2)?,
                paused: row.get(3)?,
                reason: row.get(4)?,
                rate: rate(row.get(5)?, row.get(6)?),
            })
        })?
        .collect()
}

fn rate(starts: Option<u32>, per: Option<i64>) -> Option<Rate> {
    Rate::new(starts?, super::codes::span(per?))
}

fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, name, |row| row.get(0))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

/// A number that no other store has.
fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// SQLite counts its cache in pages, or in KiB where the number is negative.
fn kibibytes(bytes: u64) -> i64 {
    -size(bytes / 1024)
}

fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn denied(path: &Path, error: &io::Error) -> StoreError {
    let path: PathBuf = path.to_owned();
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return StoreError::Full(path);
    }
    StoreError::Denied { path, reason: error.to_string() }
}

fn foreign(path: &Path, reason: &str) -> StoreError {
    StoreError::Foreign { path: path.to_owned(), reason: reason.to_owned() }
}
