//! A full disk, and a connection that must not be trusted any more.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Dir, Options, SqliteStore};
use crate::job::{Change, NewJob};
use crate::store::conformance::{all_pending, everything, named, new_job, now, submit, take};
use crate::store::{Store, StoreError};

/// A batch that needs new pages, and a queue name that must not be remembered if it fails.
fn large(first: u64) -> Vec<Change> {
    let jobs: Vec<NewJob> = (first..first + 1000).map(|n| named(n, "large", "q")).collect();
    vec![submit(&jobs)]
}

#[test]
fn a_batch_that_found_no_room_is_rolled_back_and_may_be_given_again() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    take(&mut store, &[submit(&[new_job(1)])]);
    let before = everything(&mut store);
    let pages: i64 = store.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |store: &SqliteStore, pages: i64| {
        let set = format!("PRAGMA max_page_count = {pages}");
        store.conn.query_row(&set, [], |_| Ok(())).unwrap();
    };
    limit(&store, pages + 3);
    for _ in 0..3 {
        assert!(matches!(store.commit(&large(2)), Err(StoreError::Full(_))));
        assert_eq!(everything(&mut store), before);
    }
    limit(&store, i64::from(u32::MAX) - 1);
    take(&mut store, &large(2));
    drop(store);
    assert_eq!(all_pending(&mut dir.open().0).len(), 1001);
}

/// A small file system in memory, gone with the test.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // A mount that stays only costs its memory; there is nobody to tell.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_heals() {
    let Some(disk) = Tmpfs::mount("4m") else {
        println!("skipped: mounting a tmpfs is not permitted here");
        return;
    };
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let (mut store, _) = SqliteStore::open(disk.path(), &Options::default(), now(0, 0)).unwrap();
    let mut next = 1;
    let error = loop {
        match store.commit(&large(next)) {
            Ok(answers) => assert_eq!(answers, [Ok(())]),
            Err(error) => break error,
        }
        next += 1000;
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert!(next > 1, "the disk was full from the start");
    assert!(matches!(store.commit(&large(next)), Err(StoreError::Full(_))));
    assert_eq!(all_pending(&mut store).len() as u64, next - 1);
    fs::remove_file(ballast).unwrap();
    take(&mut store, &large(next));
    drop(store);
    let (mut store, _) = SqliteStore::open(disk.path(), &Options::default(), now(0, 0)).unwrap();
    assert_eq!(all_pending(&mut store).len() as u64, next + 999);
    super::shape::sums_are_right(&store);
}

#[test]
fn after_an_error_of_the_file_the_connection_is_never_used_again() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    take(&mut store, &large(1));
    store.close().unwrap();
    drop(store);
    let whole = fs::read(dir.file()).unwrap();
    let (mut store, _) = dir.open();
    let mut damaged = fs::read(dir.file()).unwrap();
    damaged[4096 * 2..].fill(0xff);
    fs::write(dir.file(), damaged).unwrap();
    let broken = store.commit(&large(1001)).unwrap_err();
    assert!(matches!(broken, StoreError::Broken { .. }), "{broken}");
    fs::write(dir.file(), whole).unwrap();
    assert_eq!(store.commit(&[submit(&[new_job(2001)])]), Err(broken.clone()));
    assert_eq!(store.close(), Err(broken));
}
