//! Whatever moment a life ends at, the next one has everything that was acknowledged.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Dir, Options, SqliteStore};
use crate::job::{Change, JobId, Outcome, State};
use crate::store::conformance::{
    all_pending, end, everything, id, named, new_job, now, start, submit, take, token,
};
use crate::store::{Recovery, Store};

/// Copies what a crash would leave: the database and its log, not the shared memory beside them.
fn copy(from: &Path, to: &Path) {
    for name in ["twolane.db", "twolane.db-wal"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

/// A few jobs that come, run and end.
fn round(recovery: &Recovery, n: u64) -> Vec<Vec<Change>> {
    let job = n * 2 - 1;
    let name = token(recovery, n);
    vec![
        vec![submit(&[named(job, "round", "q"), new_job(job + 1)])],
        vec![start(job, 1, name)],
        vec![end(job, name, Outcome::Succeeded)],
    ]
}

#[test]
fn a_copy_taken_after_any_commit_has_everything() {
    let dir = Dir::new();
    // A short log, so that copies are taken before, between and after checkpoints.
    let options = Options { checkpoint_bytes: 64 << 10, ..Options::default() };
    let (mut store, recovery) =
        SqliteStore::open_in_boot(dir.0.path(), &options, now(0, 0), "boot").unwrap();
    for n in 1..=20 {
        for batch in round(&recovery, n) {
            take(&mut store, &batch);
            let other = Dir::new();
            copy(dir.0.path(), other.0.path());
            let (mut reopened, next) = other.open();
            assert_eq!(everything(&mut reopened), everything(&mut store));
            assert_eq!((next.life, next.clean), (recovery.life + 1, false));
        }
    }
}

#[test]
fn a_torn_log_loses_only_what_was_not_synced() {
    let dir = Dir::new();
    let (mut store, recovery) = dir.open();
    let wal = dir.0.path().join("twolane.db-wal");
    let length = || fs::metadata(&wal).unwrap().len();
    let mut states = vec![(length(), everything(&mut store))];
    for batch in (1..=4).flat_map(|n| round(&recovery, n)) {
        take(&mut store, &batch);
        states.push((length(), everything(&mut store)));
    }
    let whole = fs::read(&wal).unwrap();
    let cuts = states.iter().flat_map(|(end, _)| [*end, end + 1, end + 24, end + 4000]);
    for cut in cuts.filter(|cut| *cut <= whole.len() as u64) {
        for garbled in [false, true] {
            let other = Dir::new();
            copy(dir.0.path(), other.0.path());
            let mut torn = whole[..cut as usize].to_vec();
            if garbled {
                torn.resize(whole.len(), 0xa5);
            }
            fs::write(other.0.path().join("twolane.db-wal"), torn).unwrap();
            let expected = states.iter().rev().find(|(end, _)| *end <= cut).unwrap();
            assert_eq!(everything(&mut other.open().0), expected.1, "cut at {cut}");
        }
    }
}

/// Does nothing unless it runs in a process of its own, which [`a_killed_process_keeps_what_it_acknowledged`] kills.
#[test]
fn submits_until_killed() {
    let Some(dir) = std::env::var_os("TWOLANE_TEST_KILLED_DIR") else { return };
    let options = Options { checkpoint_bytes: 256 << 10, ..Options::default() };
    let (mut store, recovery) = SqliteStore::open(Path::new(&dir), &options, now(0, 0)).unwrap();
    for n in 0.. {
        let job = recovery.next_id.after(n);
        let number = job.get();
        take(&mut store, &[submit(&[named(number, "kept", "q")])]);
        println!("acknowledged {job}");
        if n % 3 == 0 {
            let name = token(&recovery, n);
            take(&mut store, &[start(number, 1, name), end(number, name, Outcome::TimedOut)]);
            println!("ended {job}");
        }
    }
}

#[test]
fn a_killed_process_keeps_what_it_acknowledged() {
    let dir = Dir::new();
    let (mut acknowledged, mut ended) = (Vec::<JobId>::new(), Vec::<JobId>::new());
    for lines in [1, 10, 101, 333] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::sqlite::tests::crash::submits_until_killed"])
            .args(["--nocapture"])
            .env("TWOLANE_TEST_KILLED_DIR", dir.0.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut note = |line: &str| {
            if let Some((_, job)) = line.split_once("acknowledged ") {
                acknowledged.push(job.parse().unwrap());
            } else if let Some(job) = line.strip_prefix("ended ") {
                ended.push(job.parse().unwrap());
            }
        };
        told.by_ref().take(lines).for_each(|line| note(&line));
        child.kill().unwrap();
        // What it said before it died counts as well; the last line may have been cut short.
        let rest: Vec<_> = told.collect();
        rest.iter().rev().skip(1).for_each(|line| note(line));
        child.wait().unwrap();
        let (store, _) = dir.open();
        let mut reader = store.reader().unwrap();
        for job in &acknowledged {
            assert!(reader.job(*job).unwrap().is_some(), "job {job} was acknowledged and is lost");
        }
        for job in &ended {
            let (found, attempts) = reader.job(*job).unwrap().unwrap();
            assert_eq!((found.state, found.outcome), (State::Failed, Some(Outcome::TimedOut)));
            assert_eq!(attempts.len(), 1);
        }
        super::shape::sums_are_right(&store);
    }
    assert!(acknowledged.len() > 100 && !ended.is_empty());
    let (mut store, recovery) = dir.open();
    assert!(recovery.next_id > *acknowledged.last().unwrap());
    assert!(all_pending(&mut store).iter().all(|job| job.id >= id(1)));
}
