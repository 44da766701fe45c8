//! Reads what scheduling needs of every unfinished job: one pass, no JSON, no row twice.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use crate::job::{
    AttemptToken, Awaited, Deadline, Fold, JobId, Limits, State, StoreId, Turn, WallTime,
};
use crate::store::Pending;

use super::codes;
use super::deadline::{self, Boot};
use super::edits;
use super::folds;
use super::moments;
use super::requirements;
use super::suspicion;
use super::work;

/// Hands every unfinished job to `visit`, in the order of the ids.
pub(super) fn scan(
    conn: &Connection,
    store: StoreId,
    boot: Boot,
    visit: &mut dyn FnMut(Pending),
) -> rusqlite::Result<()> {
    let requires = requirements::open(conn)?;
    let moments = moments::all(conn, boot)?;
    let mut pass = Pass {
        words: words(conn)?,
        tokens: tokens(conn, store)?,
        requires,
        moments,
        turns: edits::turns(conn)?,
        boot,
        last_limits: RefCell::default(),
    };
    let mut statement = conn.prepare(&told(path(conn)?, "0, 0"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(pass.read(row)?);
    }
    let open = format!("(SELECT * FROM {} WHERE state < 5)", folds::AS_JOBS);
    let mut statement = conn.prepare(&told(&open, "j.last - j.id + 1, j.step"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (count, step): (i64, i64) = (row.get(FOLD)?, row.get(FOLD + 1)?);
        let fold = Some(Fold { count: count as u64, step: step as u64 });
        visit(Pending { fold, ..pass.read(row)? });
    }
    Ok(())
}

/// Where the columns of a fold stand.
const FOLD: usize = 29;

/// The unfinished jobs, by the path that reads less.
///
/// Where most jobs are unfinished, going through the table is quicker than the index and a seek for
/// each; in an old store, the index finds the few among the many.
fn path(conn: &Connection) -> rusqlite::Result<&'static str> {
    let (unfinished, all): (i64, i64) = conn.query_row(
        "SELECT coalesce(sum(jobs) FILTER (WHERE state < 5), 0), coalesce(sum(jobs), 0) FROM tallies",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(if unfinished > all / 4 {
        "(SELECT * FROM jobs NOT INDEXED WHERE state < 5)"
    } else {
        "(SELECT * FROM jobs INDEXED BY jobs_by_state WHERE state < 5 AND state <> 5)"
    })
}

/// What is read of these jobs, and of their folds.
fn told(jobs: &str, fold: &str) -> String {
    format!(
        "SELECT j.id, j.state, j.attempts, j.cancel_asked, j.submitted_at, j.queue, j.owner, \
         j.array, j.array_index, j.due_boot, j.due_boot_ns, j.due_wall_us, j.due_delay_ns, \
         s.kind, s.class, s.priority, s.cpus, s.retries, s.backoff_first_ns, s.backoff_most_ns, s.retry_on, \
         s.at_most_once, j.unique_key, \
         j.pardoned, iif(j.state = 2 OR j.hold_asked, j.reason, NULL), j.hold_asked, s.limits, \
         j.crashes, j.crashes_alone, {fold} FROM {jobs} AS j CROSS JOIN specs AS s ON s.id = j.spec ORDER BY j.id"
    )
}

struct Pass {
    words: HashMap<i64, Arc<str>>,
    tokens: HashMap<JobId, AttemptToken>,
    requires: HashMap<JobId, Vec<Awaited>>,
    moments: HashMap<JobId, Deadline>,
    turns: HashMap<JobId, Turn>,
    boot: Boot,
    /// The limits that were read last, and their text.
    last_limits: RefCell<Option<(String, Arc<Limits>)>>,
}

impl Pass {
    fn read(&mut self, row: &Row) -> rusqlite::Result<Pending> {
        let id = codes::job_id(row, 0)?;
        let state = codes::state(row.get(1)?)?;
        Ok(Pending {
            id,
            owner: row.get(6)?,
            place: codes::place(row, 7)?,
            state,
            not_before: deadline::read(row, 9, self.boot)?.or_else(|| self.moments.remove(&id)),
            submitted_at: WallTime(row.get(4)?),
            turn: self.turns.remove(&id),
            queue: self.word(row.get(5)?)?,
            kind: self.word(row.get(13)?)?,
            priority: row.get(15)?,
            class: codes::class(row.get(14)?)?,
            cpus: row.get(16)?,
            retry: work::read_retry(row, 17)?,
            at_most_once: row.get(21)?,
            attempts: row.get(2)?,
            pardoned: row.get(23)?,
            suspicion: suspicion::read(row, 27)?,
            reason: row.get(24)?,
            hold_asked: row.get(25)?,
            limits: self.limits(row, 26)?,
            cancel_asked: row.get(3)?,
            token: match state {
                State::Running => self.tokens.get(&id).copied(),
                _ => None,
            },
            unique: row.get::<_, Option<Box<str>>>(22)?.map(Arc::from),
            requires: self.requires.remove(&id).unwrap_or_default(),
            fold: None,
        })
    }

    /// Equal limits in a row are read once and shared.
    fn limits(&self, row: &Row, column: usize) -> rusqlite::Result<Option<Arc<Limits>>> {
        let Some(text) = row.get_ref(column)?.as_str_or_null()? else { return Ok(None) };
        let mut last = self.last_limits.borrow_mut();
        if let Some((_, limits)) = last.as_ref().filter(|(known, _)| known == text) {
            return Ok(Some(Arc::clone(limits)));
        }
        let limits = work::read_limits(row, column)?.map(Arc::new);
        *last = limits.as_ref().map(|limits| (text.to_owned(), Arc::clone(limits)));
        Ok(limits)
    }

    fn word(&self, id: i64) -> rusqlite::Result<Arc<str>> {
        self.words.get(&id).cloned().ok_or_else(|| codes::Unreadable::column("word", id))
    }
}

fn words(conn: &Connection) -> rusqlite::Result<HashMap<i64, Arc<str>>> {
    conn.prepare("SELECT id, word FROM words")?
        .query_map([], |row| Ok((row.get(0)?, Arc::from(row.get_ref(1)?.as_str()?))))?
        .collect()
}

/// The tokens of the attempts that were running.
fn tokens(conn: &Connection, store: StoreId) -> rusqlite::Result<HashMap<JobId, AttemptToken>> {
    conn.prepare(
        "SELECT j.id, a.life, a.counter FROM jobs AS j CROSS JOIN attempts AS a \
         ON a.job = j.id AND a.number = j.attempts WHERE j.state = 4",
    )?
    .query_map([], |row| {
        let (life, counter): (i64, i64) = (row.get(1)?, row.get(2)?);
        let token = AttemptToken { store, life: life as u64, counter: counter as u64 };
        Ok((codes::job_id(row, 0)?, token))
    })?
    .collect()
}
