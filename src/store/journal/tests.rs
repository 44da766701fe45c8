use std::time::Duration;

use super::*;
use crate::job::{Class, Failure, JobId, Lane, Outcome, State, Usage, WallTime};

const STORE: StoreId = StoreId::new(7);

fn token(counter: u64) -> AttemptToken {
    AttemptToken { store: STORE, life: 1, counter }
}

fn started(number: u64) -> Change {
    Change::Started {
        job: JobId::new(number).unwrap(),
        attempt: 2,
        token: token(number),
        lane: Lane::Async,
        class: Class::Io,
        at: WallTime(1_700_000_000_000_000),
    }
}

fn ended(number: u64, outcome: Outcome) -> Change {
    Change::Ended {
        job: JobId::new(number).unwrap(),
        token: token(number),
        outcome,
        usage: Usage { cpu: Duration::from_millis(3), wall: Duration::ZERO, max_rss_bytes: None },
        at: WallTime(1_700_000_000_000_000),
        next: State::Failed,
        not_before: None,
    }
}

fn open(dir: &Path) -> (Journal, Vec<Change>) {
    Journal::open(dir, 8, STORE).unwrap()
}

#[test]
fn what_was_noted_is_found_by_the_next_life_in_order_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, found) = open(dir.path());
    assert!(found.is_empty());
    let changes = vec![started(1), ended(1, Outcome::Succeeded), ended(2, Outcome::TimedOut)];
    journal.note(&changes[..1]).unwrap();
    journal.note(&changes).unwrap();
    assert_eq!(journal.ends(), 2);
    assert_eq!(open(dir.path()).1, changes);
}

#[test]
fn the_file_is_as_long_as_ever_whatever_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let length = || std::fs::metadata(dir.path().join(FILE_NAME)).unwrap().len();
    let before = length();
    assert_eq!(before, 16 * SLOT_BYTES as u64);
    let changes: Vec<_> = (1..=16).map(|number| ended(number, Outcome::Succeeded)).collect();
    journal.note(&changes).unwrap();
    assert!(matches!(
        journal.note(&[ended(17, Outcome::Succeeded)]),
        Err(JournalError::NoSlot { .. })
    ));
    assert_eq!(length(), before);
    assert_eq!(open(dir.path()).1, changes);
}

#[test]
fn what_the_store_has_is_forgotten_when_it_has_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let changes = [ended(1, Outcome::Succeeded), ended(2, Outcome::Succeeded)];
    journal.note(&changes).unwrap();
    journal.settled(&changes[..1]).unwrap();
    assert_eq!(open(dir.path()).1, changes);
    journal.settled(&changes[1..]).unwrap();
    assert_eq!((open(dir.path()).1, journal.ends()), (Vec::new(), 0));
    journal.note(&changes).unwrap();
    assert_eq!(open(dir.path()).1, changes, "it can be used again");
}

#[test]
fn a_torn_record_is_passed_over_and_those_behind_it_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let long = Outcome::Failed(Failure::Error("ä".repeat(1_000)));
    let changes = [ended(1, long), ended(2, Outcome::Cancelled), ended(3, Outcome::Interrupted)];
    journal.note(&changes).unwrap();
    let found = open(dir.path()).1;
    assert_eq!(found[1..], changes[1..]);
    assert!(
        matches!(&found[0], Change::Ended { outcome: Outcome::Failed(Failure::Error(words)), .. }
        if words.ends_with("ä…") && words.chars().count() == 201)
    );
    let path = dir.path().join(FILE_NAME);
    let whole = std::fs::read(&path).unwrap();
    for broken in [0, 5, 9, 100, SLOT_BYTES + 1] {
        let mut bytes = whole.clone();
        bytes[broken] ^= 0xff;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(open(dir.path()).1, changes[1..], "byte {broken}");
    }
}

#[test]
fn records_of_another_store_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).0.note(&[ended(1, Outcome::Succeeded)]).unwrap();
    let (_, found) = Journal::open(dir.path(), 8, StoreId::new(8)).unwrap();
    assert!(found.is_empty());
}

#[test]
fn a_journal_of_more_attempts_grows_and_one_of_fewer_does_not_shrink() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [(2, 4), (50, 100), (1, 100)];
    for (attempts, slots) in sizes {
        assert_eq!(Journal::open(dir.path(), attempts, STORE).unwrap().0.slots(), slots);
    }
}
