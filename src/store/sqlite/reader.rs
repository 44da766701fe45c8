//! Reads beside the writer: one connection, one read transaction for each call and none between.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::job::{
    AttemptRecord, AttemptToken, Context, Fold, Job, JobId, Spec, State, StoreId, Usage, WallTime,
};
use crate::store::fold::{self, FoldedElements};
use crate::store::{ArrayTally, Edge, Filter, Page, Reader, Selected, StoreError, Work};

use super::codes;
use super::deadline::{self, Boot};
use super::fault;
use super::folds;
use super::query;
use super::requirements;
use super::schedules;
use super::suspicion;
use super::work::{self, SPEC_COLUMNS};

/// A reader of the embedded store.
pub(super) struct SqliteReader {
    path: PathBuf,
    conn: Connection,
    store: StoreId,
    boot: Boot,
    /// Words by number; a number never changes its word, so they are kept.
    words: HashMap<i64, String>,
}

impl SqliteReader {
    pub(super) fn new(path: PathBuf, conn: Connection, store: StoreId, boot: Boot) -> Self {
        Self { path, conn, store, boot, words: HashMap::new() }
    }

    /// Runs `look` on one consistent view, which is given up before this returns.
    fn read<T>(
        &mut self,
        look: impl FnOnce(&mut View) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let view = || {
            let transaction = self.conn.unchecked_transaction()?;
            look(&mut View {
                conn: &transaction,
                words: &mut self.words,
                store: self.store,
                boot: self.boot,
                specs: HashMap::new(),
                contexts: HashMap::new(),
            })
        };
        view().map_err(|error| fault::told(&self.path, &error))
    }
}

impl Reader for SqliteReader {
    fn page(&mut self, filter: &Filter, page: Page) -> Result<Vec<Job>, StoreError> {
        self.read(|view| {
            let folds = view.folds()?;
            let latest = view.latest(filter, &folds)?;
            let mut glimpse = Glimpse { view, filter, folds, latest };
            match (page.collapse, query::is_by_finish(filter)) {
                (true, false) => fold::collapsed(page, &mut glimpse),
                (true, true) => fold::collapsed_at_once(page, &mut glimpse),
                (false, _) => fold::Glimpse::read(&mut glimpse, page),
            }
        })
    }

    fn arrays(&mut self, arrays: &[JobId]) -> Result<Vec<ArrayTally>, StoreError> {
        self.read(|view| {
            let tallies = arrays.iter().map(|array| view.tally(*array));
            Ok(tallies.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
        })
    }

    fn select(&mut self, filter: &Filter) -> Result<Vec<Selected>, StoreError> {
        let found = query::all(filter);
        let sql = format!(
            "WITH found AS MATERIALIZED ({}) SELECT j.id, j.owner, j.state, e.outcome, e.detail, \
             e.message, j.reason, j.array, j.array_index FROM found CROSS JOIN jobs AS j ON j.id = found.id {LATEST_ENDED} \
             ORDER BY j.id",
            found.sql
        );
        self.read(|view| {
            let mut statement = view.conn.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(found.params), |row| {
                Ok(Selected {
                    id: codes::job_id(row, 0)?,
                    owner: row.get(1)?,
                    place: codes::place(row, 7)?,
                    state: codes::state(row.get(2)?)?,
                    outcome: codes::outcome(row, 3)?,
                    reason: row.get(6)?,
                })
            })?;
            rows.collect()
        })
    }

    fn folds(&mut self, filter: &Filter) -> Result<Vec<FoldedElements>, StoreError> {
        self.read(|view| {
            let folds = view.folds()?;
            let latest = view.latest(filter, &folds)?;
            Ok(folds.into_iter().filter(|folded| folded.are_meant(filter, latest)).collect())
        })
    }

    fn job(&mut self, id: JobId) -> Result<Option<(Job, Vec<AttemptRecord>)>, StoreError> {
        let sql = format!(
            "SELECT {JOB_COLUMNS}, {SPEC_COLUMNS} FROM jobs AS j {JOB_TABLES} WHERE j.id = ?1"
        );
        self.read(|view| {
            let mut statement = view.conn.prepare_cached(&sql)?;
            let job = statement.query_row([id.get() as i64], |row| view.job(row)).optional()?;
            if let Some(job) = job {
                return Ok(Some((job, view.attempts(id)?)));
            }
            let folded = view.folds()?.into_iter().find_map(|folded| folded.job(id));
            Ok(folded.map(|job| (job, Vec::new())))
        })
    }

    fn specs(&mut self, ids: &[JobId]) -> Result<Vec<Work>, StoreError> {
        let ids: Vec<u64> = ids.iter().map(|id| id.get()).collect();
        let list = query::json(&ids);
        let sql = format!(
            "SELECT j.id, j.spec, j.context, s.kind, j.queue, j.array, j.array_index, \
             coalesce(d.edits, 0), {SPEC_COLUMNS} FROM json_each(?1) AS asked \
             CROSS JOIN jobs AS j ON j.id = asked.value CROSS JOIN specs AS s ON s.id = j.spec \
             LEFT JOIN edits AS d ON d.job = j.id ORDER BY asked.key"
        );
        self.read(|view| {
            let mut statement = view.conn.prepare_cached(&sql)?;
            let mut rows = statement.query([list])?;
            let mut works = Vec::new();
            while let Some(row) = rows.next()? {
                works.push(Work {
                    id: codes::job_id(row, 0)?,
                    place: codes::place(row, 5)?,
                    edits: row.get(7)?,
                    spec: view.spec(row, 1, [3, 4], 8)?,
                    context: view.context(row.get(2)?)?,
                });
            }
            Ok(works)
        })
    }

    fn requirements(&mut self, ids: &[JobId]) -> Result<Vec<Edge>, StoreError> {
        let ids = query::json(ids);
        self.read(|view| requirements::read(view.conn, false, &ids))
    }

    fn dependents(&mut self, ids: &[JobId]) -> Result<Vec<Edge>, StoreError> {
        let ids = query::json(ids);
        self.read(|view| requirements::read(view.conn, true, &ids))
    }

    fn counts(&mut self) -> Result<Vec<(String, State, u64)>, StoreError> {
        self.read(|view| {
            view.conn
                .prepare_cached(
                    "SELECT w.word, t.state, t.jobs FROM tallies AS t \
                     JOIN words AS w ON w.id = t.queue WHERE t.jobs > 0 ORDER BY w.word, t.state",
                )?
                .query_map([], |row| {
                    let jobs: i64 = row.get(2)?;
                    Ok((row.get(0)?, codes::state(row.get(1)?)?, jobs as u64))
                })?
                .collect()
        })
    }
}

/// What [`View::job`] reads, before the columns of the spec.
const JOB_COLUMNS: &str = "j.id, j.owner, j.submission, j.array, j.array_index, j.state, \
     coalesce(j.due_boot, m.boot), coalesce(j.due_boot_ns, m.boot_ns), \
     coalesce(j.due_wall_us, m.wall_us), coalesce(j.due_delay_ns, m.delay_ns), j.submitted_at, \
     j.moved_at, \
     j.attempts, j.cancel_asked, j.reason, a.started_at, a.lane, e.outcome, e.detail, e.message, \
     j.context, j.spec, s.kind, j.queue, j.unique_key, j.pardoned, coalesce(d.edits, 0), \
     r.schedule, r.name, r.slot_us, j.crashes, j.crashes_alone";

/// Where [`SPEC_COLUMNS`] start behind [`JOB_COLUMNS`].
const SPEC_STARTS: usize = 32;

/// What a job joins: its spec, its latest attempt `a`, its latest ended attempt `e`.
const JOB_TABLES: &str = "CROSS JOIN specs AS s ON s.id = j.spec \
     LEFT JOIN moments AS m ON m.job = j.id LEFT JOIN edits AS d ON d.job = j.id \
     LEFT JOIN runs AS r ON r.job = j.id \
     LEFT JOIN attempts AS a ON a.job = j.id AND a.number = j.attempts \
     LEFT JOIN attempts AS e ON e.job = j.id AND e.number = j.attempts - (j.state = 4)";

/// The latest ended attempt alone.
const LATEST_ENDED: &str =
    "LEFT JOIN attempts AS e ON e.job = j.id AND e.number = j.attempts - (j.state = 4)";

/// One consistent view of the store. Specs and contexts are read once however many jobs share them.
struct View<'a> {
    conn: &'a Connection,
    words: &'a mut HashMap<i64, String>,
    store: StoreId,
    boot: Boot,
    specs: HashMap<i64, Arc<Spec>>,
    contexts: HashMap<i64, Arc<Context>>,
}

/// A view, and what is not to be looked up for each page of it.
struct Glimpse<'a, 'v> {
    view: &'a mut View<'v>,
    filter: &'a Filter,
    folds: Vec<FoldedElements>,
    latest: Option<JobId>,
}

impl fold::Glimpse<rusqlite::Error> for Glimpse<'_, '_> {
    fn read(&mut self, page: Page) -> rusqlite::Result<Vec<Job>> {
        let rows = self.view.page(self.filter, page)?;
        Ok(fold::merged(rows, &self.folds, self.filter, page, self.latest))
    }

    fn array_of(&mut self, job: JobId) -> rusqlite::Result<Option<JobId>> {
        if let Some(folded) = self.folds.iter().find_map(|folded| folded.job(job)) {
            return Ok(folded.place.map(|place| place.array));
        }
        let mut array = self
            .view
            .conn
            .prepare_cached("SELECT array FROM jobs WHERE id = ?1 AND array IS NOT NULL")?;
        array.query_row([job.get() as i64], |row| codes::job_id(row, 0)).optional()
    }

    fn end_of(&mut self, array: JobId) -> rusqlite::Result<JobId> {
        self.view.end_of(array)
    }
}

impl View<'_> {
    /// A page of the jobs that have a row of their own.
    fn page(&mut self, filter: &Filter, page: Page) -> rusqlite::Result<Vec<Job>> {
        let found = query::page(filter, page);
        let order = if page.newest_first { "DESC" } else { "ASC" };
        let sql = format!(
            "WITH found AS MATERIALIZED ({}) SELECT {JOB_COLUMNS}, {SPEC_COLUMNS} \
             FROM found CROSS JOIN jobs AS j ON j.id = found.id {JOB_TABLES} ORDER BY j.id {order}",
            found.sql
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(found.params))?;
        let mut jobs = Vec::new();
        while let Some(row) = rows.next()? {
            jobs.push(self.job(row)?);
        }
        Ok(jobs)
    }

    /// What is written down as one.
    fn folds(&mut self) -> rusqlite::Result<Vec<FoldedElements>> {
        let some = self.conn.prepare_cached("SELECT 1 FROM folds LIMIT 1")?.exists([])?;
        if !some {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {JOB_COLUMNS}, {SPEC_COLUMNS}, j.last - j.id + 1 AS folded, j.step \
             FROM {} AS j {JOB_TABLES} ORDER BY j.id",
            folds::AS_JOBS
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut folds = Vec::new();
        while let Some(row) = rows.next()? {
            let (count, step): (i64, i64) = (row.get("folded")?, row.get("step")?);
            let fold = Fold { count: count as u64, step: step as u64 };
            folds.push(FoldedElements { first: self.job(row)?, fold });
        }
        Ok(folds)
    }

    /// The submission that the last one means, where that matters to what is folded.
    fn latest(&self, filter: &Filter, folds: &[FoldedElements]) -> rusqlite::Result<Option<JobId>> {
        if !filter.last || folds.is_empty() {
            return Ok(None);
        }
        self.conn
            .prepare_cached(
                "SELECT submission FROM jobs WHERE owner = ?1 OR ?1 IS NULL ORDER BY id DESC LIMIT 1",
            )?
            .query_row([filter.owner], |row| codes::job_id(row, 0))
            .optional()
    }

    /// The last id of an array.
    fn end_of(&self, array: JobId) -> rusqlite::Result<JobId> {
        self.conn
            .prepare_cached(
                "SELECT coalesce((SELECT last FROM folds WHERE array = ?1), (SELECT id FROM jobs \
                 WHERE array = ?1 ORDER BY array_index DESC LIMIT 1), ?1)",
            )?
            .query_row([array.get() as i64], |row| codes::job_id(row, 0))
    }

    fn tally(&self, array: JobId) -> rusqlite::Result<Option<ArrayTally>> {
        let number = array.get() as i64;
        let ends = self
            .conn
            .prepare_cached(
                "SELECT coalesce((SELECT min(array_index) FROM jobs WHERE array = ?1), \
                 (SELECT next_index FROM folds WHERE array = ?1)), \
                 coalesce((SELECT next_index + (last - next) * step FROM folds WHERE array = ?1), \
                 (SELECT max(array_index) FROM jobs WHERE array = ?1))",
            )?
            .query_row([number], |row| {
                Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
            })?;
        let Some((first, last)) = ends else { return Ok(None) };
        let counts = self
            .conn
            .prepare_cached("SELECT state, jobs FROM array_tallies WHERE array = ?1 AND jobs > 0")?
            .query_map([number], |row| {
                Ok((codes::state(row.get(0)?)?, row.get::<_, i64>(1)? as u64))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Some(ArrayTally { array, first: first as u64, last: last as u64, counts }))
    }

    fn job(&mut self, row: &Row) -> rusqlite::Result<Job> {
        let state = codes::state(row.get(5)?)?;
        let moved_at = WallTime(row.get(11)?);
        Ok(Job {
            id: codes::job_id(row, 0)?,
            owner: row.get(1)?,
            submission: codes::job_id(row, 2)?,
            place: codes::place(row, 3)?,
            state,
            not_before: deadline::read(row, 6, self.boot)?,
            submitted_at: WallTime(row.get(10)?),
            started_at: row.get::<_, Option<i64>>(15)?.map(WallTime),
            finished_at: state.is_final().then_some(moved_at),
            attempts: row.get(12)?,
            pardoned: row.get(25)?,
            suspicion: suspicion::read(row, 30)?,
            outcome: codes::outcome(row, 17)?,
            cancel_asked: row.get(13)?,
            reason: row.get(14)?,
            lane: row.get::<_, Option<i64>>(16)?.map(codes::lane).transpose()?,
            unique: row.get::<_, Option<Box<str>>>(24)?.map(Arc::from),
            edits: row.get(26)?,
            run: schedules::read_run(row, 27)?,
            context: self.context(row.get(20)?)?,
            spec: self.spec(row, 21, [22, 23], SPEC_STARTS)?,
        })
    }

    fn attempts(&self, job: JobId) -> rusqlite::Result<Vec<AttemptRecord>> {
        self.conn
            .prepare_cached(
                "SELECT number, life, counter, lane, class, started_at, finished_at, outcome, \
                 detail, message, cpu_ns, wall_ns, max_rss FROM attempts WHERE job = ?1 \
                 ORDER BY number",
            )?
            .query_map([job.get() as i64], |row| read_attempt(row, self.store))?
            .collect()
    }

    /// The spec numbered in column `id`; `words` are the columns of its kind and queue.
    fn spec(
        &mut self,
        row: &Row,
        id: usize,
        words: [usize; 2],
        first: usize,
    ) -> rusqlite::Result<Arc<Spec>> {
        let id: i64 = row.get(id)?;
        if let Some(spec) = self.specs.get(&id) {
            return Ok(Arc::clone(spec));
        }
        let (kind, queue) = (self.word(row.get(words[0])?)?, self.word(row.get(words[1])?)?);
        let spec = Arc::new(work::read_spec(row, first, kind, queue)?);
        self.specs.insert(id, Arc::clone(&spec));
        Ok(spec)
    }

    fn context(&mut self, id: i64) -> rusqlite::Result<Arc<Context>> {
        if let Some(context) = self.contexts.get(&id) {
            return Ok(Arc::clone(context));
        }
        let context = Arc::new(work::read_context(self.conn, id)?);
        self.contexts.insert(id, Arc::clone(&context));
        Ok(context)
    }

    fn word(&mut self, id: i64) -> rusqlite::Result<String> {
        if let Some(word) = self.words.get(&id) {
            return Ok(word.clone());
        }
        let word: String = self
            .conn
            .prepare_cached("SELECT word FROM words WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        self.words.insert(id, word.clone());
        Ok(word)
    }
}

fn read_attempt(row: &Row, store: StoreId) -> rusqlite::Result<AttemptRecord> {
    let (life, counter): (i64, i64) = (row.get(1)?, row.get(2)?);
    let usage = match (row.get::<_, Option<i64>>(10)?, row.get::<_, Option<i64>>(11)?) {
        (Some(cpu), Some(wall)) => Some(Usage {
            cpu: codes::span(cpu),
            wall: codes::span(wall),
            max_rss_bytes: row.get::<_, Option<i64>>(12)?.map(|bytes| bytes as u64),
        }),
        _ => None,
    };
    Ok(AttemptRecord {
        number: row.get(0)?,
        token: AttemptToken { store, life: life as u64, counter: counter as u64 },
        lane: codes::lane(row.get(3)?)?,
        class: codes::class(row.get(4)?)?,
        started_at: WallTime(row.get(5)?),
        finished_at: row.get::<_, Option<i64>>(6)?.map(WallTime),
        outcome: codes::outcome(row, 7)?,
        usage,
    })
}
