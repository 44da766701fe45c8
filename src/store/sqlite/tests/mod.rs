//! Tests of the embedded store that no other store needs.

mod crash;
mod full;
mod model;
mod open;
mod shape;

use std::path::PathBuf;

use tempfile::TempDir;

use super::{Options, SqliteStore};
use crate::job::Now;
use crate::store::conformance::{self, Home};
use crate::store::{Recovery, Store};

/// A state directory that goes away with the test.
struct Dir(TempDir);

impl Dir {
    /// In memory where that is possible: what a sync costs is no part of these tests.
    fn new() -> Self {
        Self(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("twolane.db")
    }

    fn open(&self) -> (SqliteStore, Recovery) {
        let now = conformance::now(0, 0);
        SqliteStore::open_in_boot(self.0.path(), &Options::default(), now, "boot").unwrap()
    }
}

impl Home for Dir {
    fn open(&mut self, now: Now, boot: &str) -> (Box<dyn Store>, Recovery) {
        let opened = SqliteStore::open_in_boot(self.0.path(), &Options::default(), now, boot);
        let (store, recovery) = opened.unwrap();
        (Box::new(store), recovery)
    }
}

#[test]
fn the_embedded_store_conforms() {
    conformance::run_all(Dir::new);
}
