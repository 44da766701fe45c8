//! Edits of jobs, as rows.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::job::{Came, Edited, JobId, Spec, State, Turn, WallTime};
use crate::store::{Refusal, gate};

use super::apply::Batch;
use super::fault::Fault;
use super::tally::Counted;
use super::{codes, deadline, moments, requirements, work};

/// The spec that the latest edit of a batch wrote, and its number: many jobs may be edited into one.
pub(super) type Latest = Option<(Arc<Spec>, i64)>;

/// What an edit finds of its job.
struct Found {
    state: State,
    counted: Counted,
    spec: i64,
    context: i64,
    edits: u32,
}

impl Batch<'_> {
    /// Makes a job what the edit says.
    pub(super) fn edited(&mut self, edited: &Edited) -> Result<(), Fault> {
        gate::edited(edited)?;
        let job = edited.job;
        let found = find(self.conn, job)?.ok_or(Refusal::NoSuchJob(job))?;
        if found.state != edited.from {
            let (found, expected) = (found.state, edited.from);
            return Err(Refusal::Elsewhere { job, found, expected }.into());
        }
        if found.edits != edited.edits {
            return Err(Refusal::EditedMeanwhile(job).into());
        }
        let queue = self.book.word(self.conn, &edited.spec.queue)?;
        let spec = self.edited_spec(&edited.spec)?;
        let context = work::write_context(self.conn, self.book, &edited.context)?;
        let due = moments::in_row(edited.to, edited.not_before);
        let due = deadline::columns(self.book.boot, due);
        self.conn
            .prepare_cached(
                "UPDATE jobs SET moved_at = iif(state = ?2, moved_at, ?3), state = ?2, queue = ?4, \
                 spec = ?5, context = ?6, due_boot = ?7, due_boot_ns = ?8, due_wall_us = ?9, \
                 due_delay_ns = ?10 WHERE id = ?1",
            )?
            .execute(params![
                job.get() as i64,
                codes::of_state(edited.to),
                edited.at.0,
                queue,
                spec,
                context,
                due.0,
                due.1,
                due.2,
                due.3,
            ])?;
        moments::write(self.conn, self.book.boot, job, edited.to, edited.not_before)?;
        self.tally.jobs(found.counted, found.state, -1);
        self.tally.jobs(Counted { queue, ..found.counted }, edited.to, 1);
        self.tally.spec(found.spec, -1);
        self.tally.context(found.context, -1);
        self.tally.context(context, 1);
        if let Some(others) = &edited.requirements {
            requirements::replace(self.conn, job, others)?;
        }
        note(self.conn, job)?;
        edited.turn.map_or(Ok(()), |turn| write_turn(self.conn, job, turn))
    }

    /// The number of a spec that one more job has.
    fn edited_spec(&mut self, spec: &Arc<Spec>) -> Result<i64, Fault> {
        if let Some((_, id)) = self.latest.as_ref().filter(|(latest, _)| Arc::ptr_eq(latest, spec))
        {
            self.tally.spec(*id, 1);
            return Ok(*id);
        }
        let id = work::write_spec(self.conn, self.book, spec, 1)?;
        *self.latest = Some((Arc::clone(spec), id));
        Ok(id)
    }
}

fn find(conn: &Connection, job: JobId) -> rusqlite::Result<Option<Found>> {
    conn.prepare_cached(
        "SELECT j.state, j.queue, j.array, j.spec, j.context, coalesce(d.edits, 0) FROM jobs AS j \
         LEFT JOIN edits AS d ON d.job = j.id WHERE j.id = ?1",
    )?
    .query_row([job.get() as i64], |row| {
        Ok(Found {
            state: codes::state(row.get(0)?)?,
            counted: Counted::read(row, 1)?,
            spec: row.get(3)?,
            context: row.get(4)?,
            edits: row.get(5)?,
        })
    })
    .optional()
}

fn note(conn: &Connection, job: JobId) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO edits (job, edits) VALUES (?1, 1) \
         ON CONFLICT (job) DO UPDATE SET edits = edits + 1",
    )?
    .execute([job.get() as i64])
    .map(drop)
}

fn write_turn(conn: &Connection, job: JobId, turn: Turn) -> Result<(), Fault> {
    let came = match turn.came {
        Came::At(moment) => moment,
        Came::With(other) => came(conn, other)?.ok_or(Refusal::NoSuchJob(other))?,
    };
    conn.prepare_cached(
        "UPDATE edits SET turn_at = ?2, turn_beside = ?3, turn_offset = ?4 WHERE job = ?1",
    )?
    .execute(params![job.get() as i64, came.0, turn.beside.get() as i64, turn.offset])?;
    Ok(())
}

/// When a job counts as having come.
fn came(conn: &Connection, job: JobId) -> rusqlite::Result<Option<WallTime>> {
    conn.prepare_cached(
        "SELECT coalesce(d.turn_at, j.submitted_at) FROM jobs AS j \
         LEFT JOIN edits AS d ON d.job = j.id WHERE j.id = ?1",
    )?
    .query_row([job.get() as i64], |row| row.get(0).map(WallTime))
    .optional()
}

/// A job is run again after its end: it stands where its age puts it.
pub(super) fn forget_turn(conn: &Connection, job: JobId) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE edits SET turn_at = NULL, turn_beside = NULL, turn_offset = NULL WHERE job = ?1",
    )?
    .execute([job.get() as i64])
    .map(drop)
}

/// The turns of all unfinished jobs: they are few.
pub(super) fn turns(conn: &Connection) -> rusqlite::Result<HashMap<JobId, Turn>> {
    conn.prepare(
        "SELECT d.job, d.turn_at, d.turn_beside, d.turn_offset FROM edits AS d \
         CROSS JOIN jobs AS j ON j.id = d.job WHERE j.state < 5 AND d.turn_at IS NOT NULL",
    )?
    .query_map([], |row| {
        let came = Came::At(WallTime(row.get(1)?));
        let turn = Turn { came, beside: codes::job_id(row, 2)?, offset: row.get(3)? };
        Ok((codes::job_id(row, 0)?, turn))
    })?
    .collect()
}
