//! What a file must be like to be opened, and that others are left as they are.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::{Dir, Options, SqliteStore};
use crate::store::conformance::{new_job, now, submit, take};
use crate::store::{Store, StoreError};

fn open(dir: &Path) -> Result<(), StoreError> {
    let options = Options { busy_timeout_ms: 10, ..Options::default() };
    SqliteStore::open(dir, &options, now(0, 0)).map(drop)
}

/// Opens what must be refused and checks that the file has the same bytes afterwards.
fn refused(dir: &Dir) -> StoreError {
    let before = fs::read(dir.file()).unwrap();
    let error = open(dir.0.path()).unwrap_err();
    assert_eq!(fs::read(dir.file()).unwrap(), before, "the file was touched");
    error
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let dir = Dir::new();
    drop(dir.open());
    Connection::open(dir.file()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = refused(&dir);
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
}

#[test]
fn a_foreign_database_is_refused_and_left_alone() {
    let dir = Dir::new();
    let other = Connection::open(dir.file()).unwrap();
    other.execute_batch("CREATE TABLE photos (id INTEGER); INSERT INTO photos VALUES (1)").unwrap();
    drop(other);
    assert!(matches!(refused(&dir), StoreError::Foreign { .. }));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = Dir::new();
    fs::write(dir.file(), vec![b'x'; 10_000]).unwrap();
    assert!(matches!(refused(&dir), StoreError::Foreign { .. }));
}

#[test]
fn a_damaged_store_is_refused_and_left_alone() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    take(&mut store, &[submit(&[new_job(1)])]);
    store.close().unwrap();
    drop(store);
    let mut bytes = fs::read(dir.file()).unwrap();
    // Behind the header of the first page, where the table of tables begins.
    bytes[100..4000].fill(0xff);
    fs::write(dir.file(), bytes).unwrap();
    assert!(matches!(refused(&dir), StoreError::Foreign { .. }));
}

#[test]
fn a_locked_file_is_told_as_such() {
    let dir = Dir::new();
    drop(dir.open());
    let other = Connection::open(dir.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(open(dir.0.path()), Err(StoreError::Locked(_))));
    other.execute_batch("ROLLBACK").unwrap();
    open(dir.0.path()).unwrap();
}

#[test]
fn a_directory_that_takes_no_file_is_told_as_such() {
    let error = open(Path::new("/proc/self")).unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    let error = open(Path::new("/nonexistent/twolane")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/twolane/twolane.db"), "{error}");
}

#[test]
fn only_its_owner_reads_the_file() {
    let dir = Dir::new();
    let (_store, _) = dir.open();
    for name in ["twolane.db", "twolane.db-wal", "twolane.db-shm"] {
        let mode = fs::metadata(dir.0.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_creation_that_was_cut_short_is_taken_up_again() {
    let dir = Dir::new();
    fs::write(dir.file(), b"").unwrap();
    drop(dir.open());
    let dir = Dir::new();
    let begun = Connection::open(dir.file()).unwrap();
    begun.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
    drop(begun);
    assert_eq!(dir.open().1.life, 1);
}
