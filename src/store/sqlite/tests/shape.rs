//! What the file looks like inside: shared rows, sums, indexes that are used, a log that stays short.

use std::fs;
use std::sync::Arc;

use rusqlite::{Connection, params_from_iter};

use super::{Dir, Options, SqliteStore};
use crate::job::{Change, Context, NewJob, Spec, State};
use crate::store::conformance::{all_pending, at, go, id, new_job, now, submit, take};
use crate::store::sqlite::query;
use crate::store::{Filter, Page};

fn number(store: &SqliteStore, sql: &str) -> i64 {
    store.conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Every sum that is kept equals what counting finds, and nothing is left that no job uses.
pub(super) fn sums_are_right(store: &SqliteStore) {
    let none = [
        "SELECT count(*) FROM specs LEFT JOIN \
         (SELECT spec, count(*) AS jobs FROM jobs GROUP BY spec) ON spec = id \
         WHERE uses <> coalesce(jobs, 0) + \
         (SELECT coalesce(sum(last - next + 1), 0) FROM folds AS f WHERE f.spec = specs.id)",
        "SELECT count(*) FROM contexts \
         WHERE uses <> (SELECT count(*) FROM jobs WHERE context = contexts.id) + \
         (SELECT coalesce(sum(last - next + 1), 0) FROM folds AS f WHERE f.context = contexts.id) \
         OR uses = 0",
        "SELECT count(*) FROM jobs WHERE spec NOT IN (SELECT id FROM specs) \
         OR context NOT IN (SELECT id FROM contexts) OR queue NOT IN (SELECT id FROM words)",
        "SELECT count(*) FROM tallies AS t WHERE jobs <> \
         (SELECT count(*) FROM jobs AS j WHERE j.queue = t.queue AND j.state = t.state) + \
         (SELECT coalesce(sum(last - next + 1), 0) FROM folds AS f \
         WHERE f.queue = t.queue AND f.state = t.state)",
        "SELECT (SELECT count(*) FROM jobs) + (SELECT coalesce(sum(last - next + 1), 0) FROM folds) \
         - (SELECT coalesce(sum(jobs), 0) FROM tallies)",
        "SELECT count(*) FROM array_tallies AS t WHERE jobs <> \
         (SELECT count(*) FROM jobs AS j WHERE j.array = t.array AND j.state = t.state) + \
         (SELECT coalesce(sum(last - next + 1), 0) FROM folds AS f \
         WHERE f.array = t.array AND f.state = t.state)",
        "SELECT (SELECT count(*) FROM jobs WHERE array IS NOT NULL) \
         + (SELECT coalesce(sum(last - next + 1), 0) FROM folds) \
         - (SELECT coalesce(sum(jobs), 0) FROM array_tallies)",
        "SELECT count(*) FROM pragma_foreign_key_check",
        "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    ];
    for sql in none {
        assert_eq!(number(store, sql), 0, "{sql}");
    }
}

#[test]
fn equal_work_and_surroundings_are_written_once() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    let spec = Arc::new(Spec::default());
    let context = || Arc::new(Context { cwd: "/srv".into(), ..Context::default() });
    let job = |n| NewJob { spec: Arc::clone(&spec), context: context(), ..new_job(n) };
    let jobs: Vec<_> = (1..=1000).map(job).collect();
    take(&mut store, &[submit(&jobs), submit(&[NewJob { context: context(), ..new_job(1001) }])]);
    assert_eq!(number(&store, "SELECT count(*) FROM specs"), 2);
    assert_eq!(number(&store, "SELECT count(*) FROM contexts"), 1);
    let cancel: Vec<_> = (1..=1001).map(|n| go(n, State::Queued, State::Cancelled)).collect();
    take(&mut store, &cancel);
    take(&mut store, &[Change::Removed { jobs: (1..=999).map(id).collect() }]);
    assert_eq!(number(&store, "SELECT uses FROM specs ORDER BY id LIMIT 1"), 1);
    sums_are_right(&store);
    take(&mut store, &[Change::Removed { jobs: vec![id(1000), id(1001)] }]);
    let left = "SELECT (SELECT count(*) FROM specs) + (SELECT count(*) FROM contexts)";
    assert_eq!(number(&store, left), 0);
}

#[test]
fn a_job_that_comes_and_goes_in_one_commit_leaves_nothing() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    let gone = Change::Removed { jobs: vec![id(1)] };
    take(&mut store, &[submit(&[new_job(1)]), go(1, State::Queued, State::Cancelled), gone]);
    assert_eq!(number(&store, "SELECT count(*) FROM contexts"), 0);
    sums_are_right(&store);
}

#[test]
fn a_page_is_read_in_order_and_never_sorted() {
    let dir = Dir::new();
    let (store, _) = dir.open();
    let states = |states: &[State]| Filter { states: states.to_vec(), ..Filter::default() };
    let page = Page { newest_first: true, after: Some(id(9)), limit: 50, collapse: false };
    for filter in [
        Filter::default(),
        states(&[State::Queued]),
        states(&State::ALL[..5]),
        Filter { outcomes: vec!["exit".to_owned()], ..states(&State::ALL) },
        Filter { owner: Some(1), last: true, queues: vec!["a".to_owned()], ..Filter::default() },
    ] {
        let plan = plan(&store.conn, &query::page(&filter, page));
        assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "{filter:?}: {plan}");
    }
    let running = plan(&store.conn, &query::page(&states(&[State::Running]), page));
    assert!(running.contains("jobs_by_state"), "{running}");
    let finished = Filter { finished_before: Some(at(0)), ..states(&State::ALL[5..]) };
    let finished = plan(&store.conn, &query::all(&finished));
    assert!(finished.contains("jobs_by_finish"), "{finished}");
}

fn plan(conn: &Connection, query: &query::Query) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", query.sql)).unwrap();
    let lines = statement.query_map(params_from_iter(&query.params), |row| row.get::<_, String>(3));
    lines.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

#[test]
fn pending_reads_the_same_by_table_and_by_index() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    let jobs: Vec<_> = (1..=20).map(new_job).collect();
    take(&mut store, &[submit(&jobs)]);
    for n in 1..=18 {
        let before = all_pending(&mut store);
        take(&mut store, &[go(n, State::Queued, State::Held)]);
        take(&mut store, &[go(n, State::Held, State::Cancelled)]);
        assert_eq!(all_pending(&mut store), before[1..]);
    }
}

#[test]
fn the_log_is_cut_once_no_reader_is_in_the_way() {
    let dir = Dir::new();
    let options =
        Options { checkpoint_bytes: 64 << 10, wal_limit_bytes: 256 << 10, ..Options::default() };
    let (mut store, _) = SqliteStore::open(dir.0.path(), &options, now(0, 0)).unwrap();
    let stalled = Connection::open(dir.file()).unwrap();
    stalled.execute_batch("BEGIN; SELECT count(*) FROM jobs").unwrap();
    let mut next = 1;
    let mut fill = |store: &mut SqliteStore, until: &dyn Fn(u64) -> bool| {
        // The bound only ends a test that would fail anyway.
        while !until(store.wal_bytes()) && next < 50_000 {
            let jobs: Vec<_> = (next..next + 100).map(new_job).collect();
            next += 100;
            take(store, &[submit(&jobs)]);
        }
    };
    fill(&mut store, &|bytes| bytes > 1 << 20);
    assert!(store.wal_bytes() > 1 << 20, "a reader keeps the log from being cut");
    stalled.execute_batch("COMMIT").unwrap();
    fill(&mut store, &|bytes| bytes < 256 << 10);
    let length = fs::metadata(dir.0.path().join("twolane.db-wal")).unwrap().len();
    assert!(length <= 512 << 10, "the log is still {length} bytes");
    assert_eq!(all_pending(&mut store).len() as u64, next - 1);
}
