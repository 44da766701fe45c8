//! Applies the changes of a batch inside the writer's transaction.
//!
//! A change of several rows that can be refused half-way runs in a savepoint. The others are ordered
//! so that their first statement is the only one that can be refused, and each statement is atomic.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::job::{
    AttemptToken, Change, Class, Context, Deadline, Drain, Fold, JobId, Lane, NewJob, Outcome,
    QueueRecord, Rate, State, Usage, WallTime,
};
use crate::store::{Refusal, gate};

use super::book::{self, Book};
use super::fault::{Fault, certain};
use super::tally::{Counted, Tally};
use super::{codes, deadline, edits, folds, moments, requirements, schedules, work};

pub(super) const RUNNING: i64 = codes::of_state(State::Running);
const QUEUED: i64 = codes::of_state(State::Queued);

/// One batch on its way into the file.
pub(super) struct Batch<'a> {
    pub(super) conn: &'a Connection,
    pub(super) book: &'a mut Book,
    pub(super) tally: &'a mut Tally,
    pub(super) latest: &'a mut edits::Latest,
}

impl Batch<'_> {
    /// Takes one change or refuses it; an error means that the transaction is lost.
    pub(super) fn take(&mut self, change: &Change) -> rusqlite::Result<Result<(), Refusal>> {
        let several = matches!(
            change,
            Change::Submitted { .. }
                | Change::Unfolded { .. }
                | Change::EndedUnfolded { .. }
                | Change::Removed { .. }
                | Change::Edited(_)
                | Change::ScheduleTurned(_)
                | Change::ScheduleSet(_)
        );
        let next_job = self.book.next_job;
        if several {
            self.run("SAVEPOINT change")?;
        }
        let refusal = match self.apply(change) {
            Ok(()) => None,
            Err(Fault::Refused(refusal)) => Some(refusal),
            Err(Fault::Failed(error)) => return Err(error),
        };
        if refusal.is_some() {
            self.tally.take_back();
            self.book.take_back(next_job);
            *self.latest = None;
        } else {
            self.tally.keep();
        }
        if several && refusal.is_some() {
            self.run("ROLLBACK TO change")?;
        }
        if several {
            self.run("RELEASE change")?;
        }
        Ok(refusal.map_or(Ok(()), Err))
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn apply(&mut self, change: &Change) -> Result<(), Fault> {
        match change {
            Change::Submitted { jobs, fold } => self.submitted(jobs, *fold),
            Change::Unfolded { array, count } => folds::unfold(self.conn, *array, *count),
            Change::FoldMoved { folded, from, to, reason, at } => {
                let why = (reason.as_deref(), *at);
                folds::moved(self.conn, self.tally, *folded, (*from, *to), why)
            }
            Change::EndedUnfolded { folded, count } => {
                folds::unfold_ended(self.conn, *folded, *count)
            }
            Change::FoldRemoved { folded } => folds::removed(self.conn, self.tally, *folded),
            Change::Started { job, attempt, token, lane, class, at } => {
                gate::started(*job, *class)?;
                self.ours(*job, *token)?;
                self.attempt_started(*job, *attempt, *token, (*lane, *class), *at)?;
                self.job_started(*job, *attempt, *at)
            }
            Change::Ended { job, token, outcome, usage, at, next, not_before } => {
                gate::ended(*job, *next, *not_before)?;
                self.attempt_ended(*job, *token, outcome, *usage, *at)?;
                self.job_ended(*job, outcome, (*next, *not_before), *at)
            }
            Change::Moved { job, from, to, not_before, reason, at } => {
                gate::moved(*job, *from, *to, *not_before)?;
                self.moved(*job, (*from, *to), *not_before, reason.as_deref(), *at)
            }
            Change::Suspected { job, suspicion, verdict } => {
                self.suspected(*job, *suspicion, verdict.as_deref())
            }
            Change::CancelAsked { job, reason } => self.cancel_asked(*job, reason.as_deref()),
            Change::HoldAsked { job, hold, reason } => {
                self.hold_asked(*job, *hold, reason.as_deref())
            }
            Change::Edited(edited) => self.edited(edited),
            Change::Removed { jobs } => jobs.iter().try_for_each(|job| self.removed(*job)),
            Change::QueueSet(queue) => self.queue_set(queue),
            Change::DrainSet(drain) => self.drain_set(drain.as_ref()),
            Change::QueueRemoved { name } => self.queue_removed(name),
            Change::ScheduleSet(record) => schedules::set(self.conn, self.book.boot, record),
            Change::ScheduleTurned(turn) => {
                gate::turned(turn)?;
                self.submitted(turn.job.as_slice(), None)?;
                schedules::turned(self.conn, self.book.boot, turn.schedule, &turn.progress)
            }
            Change::ScheduleRemoved { schedule } => schedules::removed(self.conn, *schedule),
        }
    }

    fn submitted(&mut self, jobs: &[NewJob], fold: Option<Fold>) -> Result<(), Fault> {
        let next_job = gate::submitted(jobs, fold, self.book.next_job)?;
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO jobs (id, state, attempts, cancel_asked, moved_at, submitted_at, queue, \
             spec, context, owner, submission, array, array_index, due_boot, due_boot_ns, \
             due_wall_us, due_delay_ns, unique_key) \
             VALUES (?1, ?2, 0, 0, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?;
        let mut latest_context: Option<(&Arc<Context>, i64)> = None;
        for run in jobs.chunk_by(|one, next| Arc::ptr_eq(&one.spec, &next.spec)) {
            let is_last = run.as_ptr_range().end == jobs.as_ptr_range().end;
            let fold = fold.filter(|_| is_last);
            let folded = fold.map_or(0, |fold| fold.count as i64);
            let uses = run.len() as i64 + folded;
            let spec = work::write_spec(self.conn, self.book, &run[0].spec, uses)?;
            let queue = self.book.word(self.conn, &run[0].spec.queue)?;
            for job in run {
                let context = match latest_context {
                    Some((context, id)) if Arc::ptr_eq(context, &job.context) => id,
                    _ => work::write_context(self.conn, self.book, &job.context)?,
                };
                latest_context = Some((&job.context, context));
                let array = job.place.map(|place| place.array.get() as i64);
                let counted = Counted { queue, array };
                let due = moments::in_row(job.state, job.not_before);
                let due = deadline::columns(self.book.boot, due);
                insert.execute(params![
                    job.id.get() as i64,
                    codes::of_state(job.state),
                    job.submitted_at.0,
                    queue,
                    spec,
                    context,
                    job.owner,
                    job.submission.get() as i64,
                    array,
                    job.place.map(|place| place.index as i64),
                    due.0,
                    due.1,
                    due.2,
                    due.3,
                    job.unique.as_deref(),
                ])?;
                if job.not_before.is_some() {
                    moments::write(self.conn, self.book.boot, job.id, job.state, job.not_before)?;
                }
                schedules::write_run(self.conn, job)?;
                self.tally.jobs(counted, job.state, 1);
                self.tally.context(context, 1);
            }
            if let (Some(fold), Some(last), Some((_, context))) = (fold, run.last(), latest_context)
            {
                let written = folds::Written { queue, spec, context };
                let counted = folds::write(self.conn, last, fold, written)?;
                self.tally.jobs(counted, last.state, folded);
                self.tally.context(context, folded);
            }
        }
        self.book.next_job = next_job;
        let write = |job: &NewJob| requirements::write(self.conn, job.id, &job.requirements);
        jobs.iter().try_for_each(write)
    }

    fn attempt_started(
        &mut self,
        job: JobId,
        attempt: u32,
        token: AttemptToken,
        (lane, class): (Lane, Class),
        at: WallTime,
    ) -> Result<(), Fault> {
        let written = self
            .conn
            .prepare_cached(
                "INSERT INTO attempts (job, number, life, counter, lane, class, started_at) \
                 SELECT id, ?2, ?3, ?4, ?5, ?6, ?7 FROM jobs \
                 WHERE id = ?1 AND state = ?8 AND attempts = ?2 - 1",
            )?
            .execute(params![
                job.get() as i64,
                attempt,
                token.life as i64,
                token.counter as i64,
                codes::of_lane(lane),
                codes::of_class(class),
                at.0,
                QUEUED,
            ])?;
        if written == 0 {
            let (state, had) = self.stands(job)?;
            return Err(if state == State::Queued {
                gate::out_of_turn(job, attempt, had).into()
            } else {
                elsewhere(job, state, State::Queued)
            });
        }
        Ok(())
    }

    fn job_started(&mut self, job: JobId, attempt: u32, at: WallTime) -> Result<(), Fault> {
        let counted = certain(
            self.conn
                .prepare_cached(
                    "UPDATE jobs SET state = ?2, attempts = ?3, moved_at = ?4 WHERE id = ?1 \
                     RETURNING queue, array",
                )?
                .query_row(params![job.get() as i64, RUNNING, attempt, at.0], |row| {
                    Counted::read(row, 0)
                }),
        )?;
        self.tally.moved(counted, State::Queued, State::Running);
        Ok(())
    }

    fn attempt_ended(
        &mut self,
        job: JobId,
        token: AttemptToken,
        outcome: &Outcome,
        usage: Usage,
        at: WallTime,
    ) -> Result<(), Fault> {
        if token.store != self.book.store {
            self.stands(job)?;
            return Err(Refusal::Stale(job).into());
        }
        let (code, detail, message) = codes::of_outcome(outcome);
        let written = self
            .conn
            .prepare_cached(
                "UPDATE attempts SET finished_at = ?4, outcome = ?5, detail = ?6, message = ?7, \
                 cpu_ns = ?8, wall_ns = ?9, max_rss = ?10 \
                 WHERE job = ?1 AND life = ?2 AND counter = ?3 AND number = \
                 (SELECT attempts FROM jobs WHERE id = ?1 AND state = ?11)",
            )?
            .execute(params![
                job.get() as i64,
                token.life as i64,
                token.counter as i64,
                at.0,
                code,
                detail,
                message,
                codes::of_span(usage.cpu),
                codes::of_span(usage.wall),
                usage.max_rss_bytes.map(|bytes| bytes as i64),
                RUNNING,
            ])?;
        if written == 0 {
            self.stands(job)?;
            return Err(Refusal::Stale(job).into());
        }
        Ok(())
    }

    fn job_ended(
        &mut self,
        job: JobId,
        outcome: &Outcome,
        (next, due): (State, Option<Deadline>),
        at: WallTime,
    ) -> Result<(), Fault> {
        let aside = due.filter(|_| next == State::Held);
        let due = deadline::columns(self.book.boot, moments::in_row(next, due));
        let counted = certain(
            self.conn
                .prepare_cached(
                    "UPDATE jobs SET state = ?2, moved_at = ?3, cancel_asked = 0, due_boot = ?4, \
                     due_boot_ns = ?5, due_wall_us = ?6, due_delay_ns = ?7, \
                     pardoned = pardoned + ?8, hold_asked = 0, \
                     crashes = iif(?9, crashes, 0), crashes_alone = iif(?9, crashes_alone, 0), \
                     reason = iif(hold_asked AND ?2 <> 2, NULL, reason) \
                     WHERE id = ?1 RETURNING queue, array",
                )?
                .query_row(
                    params![
                        job.get() as i64,
                        codes::of_state(next),
                        at.0,
                        due.0,
                        due.1,
                        due.2,
                        due.3,
                        pardons(outcome, next),
                        *outcome == Outcome::Interrupted,
                    ],
                    |row| Counted::read(row, 0),
                ),
        )?;
        self.tally.moved(counted, State::Running, next);
        if aside.is_some() {
            certain(moments::write(self.conn, self.book.boot, job, next, aside))?;
        }
        Ok(())
    }

    fn moved(
        &mut self,
        job: JobId,
        (from, to): (State, State),
        due: Option<Deadline>,
        reason: Option<&str>,
        at: WallTime,
    ) -> Result<(), Fault> {
        let all_due = due;
        let due = deadline::columns(self.book.boot, moments::in_row(to, due));
        let counted = self
            .conn
            .prepare_cached(
                "UPDATE jobs SET state = ?3, moved_at = ?4, due_boot = ?5, due_boot_ns = ?6, \
                 due_wall_us = ?7, due_delay_ns = ?8, reason = ?9, \
                 pardoned = iif(state >= 5, attempts, pardoned), \
                 crashes = iif(state >= 5, 0, crashes), \
                 crashes_alone = iif(state >= 5, 0, crashes_alone) WHERE id = ?1 AND state = ?2 \
                 RETURNING queue, array",
            )?
            .query_row(
                params![
                    job.get() as i64,
                    codes::of_state(from),
                    codes::of_state(to),
                    at.0,
                    due.0,
                    due.1,
                    due.2,
                    due.3,
                    reason,
                ],
                |row| Counted::read(row, 0),
            )
            .optional()?;
        match counted {
            Some(counted) => {
                self.tally.moved(counted, from, to);
                requirements::moved(self.conn, job, to)?;
                if from.is_final() {
                    certain(edits::forget_turn(self.conn, job))?;
                }
                if all_due.is_some() || matches!(from, State::Held | State::Waiting) {
                    certain(moments::write(self.conn, self.book.boot, job, to, all_due))?;
                }
            }
            None => return Err(elsewhere(job, self.stands(job)?.0, from)),
        }
        Ok(())
    }

    fn cancel_asked(&mut self, job: JobId, reason: Option<&str>) -> Result<(), Fault> {
        let written = self
            .conn
            .prepare_cached(
                "UPDATE jobs SET cancel_asked = 1, reason = ?2 WHERE id = ?1 AND state = ?3",
            )?
            .execute(params![job.get() as i64, reason, RUNNING])?;
        if written == 0 {
            return Err(elsewhere(job, self.stands(job)?.0, State::Running));
        }
        Ok(())
    }

    fn hold_asked(&mut self, job: JobId, hold: bool, reason: Option<&str>) -> Result<(), Fault> {
        let written = self
            .conn
            .prepare_cached(
                "UPDATE jobs SET hold_asked = ?2, reason = ?3 WHERE id = ?1 AND state = ?4",
            )?
            .execute(params![job.get() as i64, hold, reason, RUNNING])?;
        if written == 0 {
            return Err(elsewhere(job, self.stands(job)?.0, State::Running));
        }
        Ok(())
    }

    fn removed(&mut self, job: JobId) -> Result<(), Fault> {
        let gone = self
            .conn
            .prepare_cached(
                "DELETE FROM jobs WHERE id = ?1 AND state >= 5 \
                 RETURNING queue, array, state, spec, context",
            )?
            .query_row([job.get() as i64], |row| {
                let counted = Counted::read(row, 0)?;
                Ok((counted, codes::state(row.get(2)?)?, row.get(3)?, row.get(4)?))
            })
            .optional()?;
        if let Some((counted, state, spec, context)) = gone {
            if let Some(by) = requirements::awaited_by(self.conn, job)? {
                return Err(Refusal::Awaited { job, by }.into());
            }
            self.tally.jobs(counted, state, -1);
            self.tally.spec(spec, -1);
            self.tally.context(context, -1);
            return Ok(());
        }
        match self.stands(job) {
            Ok((state, _)) => Err(gate::unfinished(job, state).into()),
            Err(Fault::Refused(Refusal::NoSuchJob(_))) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    fn queue_set(&mut self, queue: &QueueRecord) -> Result<(), Fault> {
        gate::queue_set(queue)?;
        let QueueRecord { name, max, weight, rate, paused, reason } = queue;
        let starts = rate.map(Rate::starts);
        let per = rate.map(|rate| codes::of_span(rate.per()));
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO queues (name, max, weight, paused, reason, rate_starts, rate_per_ns) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![name, max, weight, paused, reason, starts, per])?;
        Ok(())
    }

    fn drain_set(&mut self, drain: Option<&Drain>) -> Result<(), Fault> {
        let reason = drain.and_then(|drain| drain.reason.as_deref());
        self.conn
            .prepare_cached("UPDATE store SET drained = ?1, drain_reason = ?2")?
            .execute(params![drain.is_some(), reason])?;
        Ok(())
    }

    fn queue_removed(&mut self, name: &str) -> Result<(), Fault> {
        let set =
            self.conn.prepare_cached("SELECT 1 FROM queues WHERE name = ?1")?.exists([name])?;
        if !set {
            return Err(Refusal::NoSuchQueue(name.to_owned()).into());
        }
        if self.unfinished_in(name)? > 0 {
            return Err(Refusal::QueueInUse(name.to_owned()).into());
        }
        self.conn.prepare_cached("DELETE FROM queues WHERE name = ?1")?.execute([name])?;
        Ok(())
    }

    /// How many unfinished jobs stand in a queue, those of this batch included.
    fn unfinished_in(&self, queue: &str) -> Result<i64, Fault> {
        let Some(queue) = book::known_word(self.conn, queue)? else { return Ok(0) };
        let written: i64 = self
            .conn
            .prepare_cached(
                "SELECT coalesce(sum(jobs), 0) FROM tallies WHERE queue = ?1 AND state < 5",
            )?
            .query_row([queue], |row| row.get(0))?;
        let unfinished = State::ALL.into_iter().filter(|state| !state.is_final());
        Ok(written + unfinished.map(|state| self.tally.added(queue, state)).sum::<i64>())
    }

    /// Refuses a token that another store made.
    fn ours(&self, job: JobId, token: AttemptToken) -> Result<(), Fault> {
        if token.store == self.book.store {
            return Ok(());
        }
        Err(Refusal::Invariant(format!("job {job}: the token {token} is of another store")).into())
    }

    /// Where a job stands and how many attempts it has had.
    pub(super) fn stands(&self, job: JobId) -> Result<(State, u32), Fault> {
        let found = self
            .conn
            .prepare_cached("SELECT state, attempts FROM jobs WHERE id = ?1")?
            .query_row([job.get() as i64], |row| Ok((codes::state(row.get(0)?)?, row.get(1)?)))
            .optional()?;
        found.ok_or_else(|| Refusal::NoSuchJob(job).into())
    }
}

/// Whether an attempt that ended so is one that does not count: the daemon's end cut it short.
fn pardons(outcome: &Outcome, next: State) -> bool {
    *outcome == Outcome::Interrupted && !next.is_final()
}

pub(super) fn elsewhere(job: JobId, found: State, expected: State) -> Fault {
    Refusal::Elsewhere { job, found, expected }.into()
}
