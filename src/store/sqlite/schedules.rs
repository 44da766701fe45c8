//! Schedules as rows, and which run of one a job is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::job::{
    Every, JobId, Missed, NewJob, Overlap, Progress, ScheduleId, ScheduleRecord, ScheduleRun,
    WallTime,
};
use crate::store::{Refusal, StoredSchedule};

use super::codes::{self, Unreadable};
use super::deadline::{self, Boot};
use super::fault::Fault;
use super::work;

/// Writes a schedule that was made or changed by hand.
pub(super) fn set(conn: &Connection, boot: i64, record: &ScheduleRecord) -> Result<(), Fault> {
    let ScheduleRecord { id, owner, name, every, zone, overlap, missed, paused, .. } = record;
    let ScheduleRecord { reason, created_at, spec, context, progress, .. } = record;
    let next = deadline::columns(boot, progress.next);
    let id = id.0 as i64;
    conn.prepare_cached(
        "INSERT INTO schedules (id, owner, name, every, zone, overlap, on_missed, paused, reason, \
         created_at, spec, context, turn, next_boot, next_boot_ns, next_wall_us, next_delay_ns, \
         last_job, runs, skipped, missed) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
         ?19, ?20, ?21) ON CONFLICT (id) DO UPDATE SET paused = excluded.paused, \
         reason = excluded.reason, next_boot = excluded.next_boot, \
         next_boot_ns = excluded.next_boot_ns, next_wall_us = excluded.next_wall_us, \
         next_delay_ns = excluded.next_delay_ns",
    )?
    .execute(params![
        id,
        owner,
        name,
        every.text(),
        zone,
        of_overlap(*overlap),
        of_missed(*missed),
        paused,
        reason,
        created_at.0,
        work::json(spec.as_ref())?,
        work::json(context.as_ref())?,
        progress.turn as i64,
        next.0,
        next.1,
        next.2,
        next.3,
        progress.last.map(|job| job.get() as i64),
        progress.runs as i64,
        progress.skipped as i64,
        progress.missed as i64,
    ])?;
    conn.prepare_cached("UPDATE store SET next_schedule = max(next_schedule, ?1)")?
        .execute([id + 1])?;
    Ok(())
}

/// Writes how far a schedule has come, if its turn is the next one.
pub(super) fn turned(
    conn: &Connection,
    boot: i64,
    id: ScheduleId,
    progress: &Progress,
) -> Result<(), Fault> {
    let next = deadline::columns(boot, progress.next);
    let written = conn
        .prepare_cached(
            "UPDATE schedules SET turn = ?2, next_boot = ?3, next_boot_ns = ?4, next_wall_us = ?5, \
             next_delay_ns = ?6, last_job = ?7, runs = ?8, skipped = ?9, missed = ?10 \
             WHERE id = ?1 AND turn = ?2 - 1",
        )?
        .execute(params![
            id.0 as i64,
            progress.turn as i64,
            next.0,
            next.1,
            next.2,
            next.3,
            progress.last.map(|job| job.get() as i64),
            progress.runs as i64,
            progress.skipped as i64,
            progress.missed as i64,
        ])?;
    if written == 0 {
        let there = conn
            .prepare_cached("SELECT turn FROM schedules WHERE id = ?1")?
            .query_row([id.0 as i64], |row| row.get::<_, i64>(0))
            .optional()?;
        return Err(match there {
            None => Refusal::NoSuchSchedule(id).into(),
            Some(turn) => crate::store::gate::turn_taken(id, turn as u64, progress.turn).into(),
        });
    }
    Ok(())
}

/// Drops a schedule; its jobs stay.
pub(super) fn removed(conn: &Connection, id: ScheduleId) -> Result<(), Fault> {
    let gone =
        conn.prepare_cached("DELETE FROM schedules WHERE id = ?1")?.execute([id.0 as i64])?;
    if gone == 0 {
        return Err(Refusal::NoSuchSchedule(id).into());
    }
    Ok(())
}

/// Writes which run a new job is.
pub(super) fn write_run(conn: &Connection, job: &NewJob) -> Result<(), Fault> {
    if let Some(run) = &job.run {
        conn.prepare_cached(
            "INSERT INTO runs (job, schedule, name, slot_us) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            job.id.get() as i64,
            run.schedule.0 as i64,
            run.name,
            run.slot.0
        ])?;
    }
    Ok(())
}

/// Reads which run a job is from the columns `schedule`, `name` and `slot_us`, if it is one.
pub(super) fn read_run(row: &Row, first: usize) -> rusqlite::Result<Option<Box<ScheduleRun>>> {
    let Some(schedule) = row.get::<_, Option<i64>>(first)? else { return Ok(None) };
    Ok(Some(Box::new(ScheduleRun {
        schedule: ScheduleId(schedule as u64),
        name: Arc::from(row.get::<_, String>(first + 1)?),
        slot: WallTime(row.get(first + 2)?),
    })))
}

/// Every schedule, with the jobs of its runs that have not ended.
pub(super) fn all(conn: &Connection, boot: Boot) -> rusqlite::Result<Vec<StoredSchedule>> {
    let mut unfinished: BTreeMap<i64, BTreeSet<JobId>> = BTreeMap::new();
    let mut statement = conn.prepare(
        "SELECT r.schedule, r.job FROM runs AS r CROSS JOIN jobs AS j ON j.id = r.job \
         WHERE j.state < 5",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        unfinished.entry(row.get(0)?).or_default().insert(codes::job_id(row, 1)?);
    }
    let mut statement = conn.prepare(
        "SELECT id, owner, name, every, zone, overlap, on_missed, paused, reason, created_at, \
         spec, context, turn, next_boot, next_boot_ns, next_wall_us, next_delay_ns, last_job, \
         runs, skipped, missed FROM schedules ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let unfinished = unfinished.remove(&row.get(0)?).unwrap_or_default();
        found.push(schedule(row, boot, unfinished)?);
    }
    Ok(found)
}

fn schedule(
    row: &Row,
    boot: Boot,
    unfinished: BTreeSet<JobId>,
) -> rusqlite::Result<StoredSchedule> {
    let id: i64 = row.get(0)?;
    let every: String = row.get(3)?;
    let every: Every = every.parse().map_err(|_| Unreadable::column("schedule", id))?;
    let next = deadline::read_overdue(row, 13, boot)?;
    let count = |column: usize| row.get::<_, i64>(column).map(|count| count as u64);
    let last = row.get::<_, Option<i64>>(17)?.map(|_| codes::job_id(row, 17)).transpose()?;
    let record = ScheduleRecord {
        id: ScheduleId(id as u64),
        owner: row.get(1)?,
        name: Arc::from(row.get::<_, String>(2)?),
        every,
        zone: row.get(4)?,
        overlap: overlap(row.get(5)?)?,
        missed: missed(row.get(6)?)?,
        paused: row.get(7)?,
        reason: row.get(8)?,
        created_at: WallTime(row.get(9)?),
        spec: Arc::new(work::from_json(row, 10)?),
        context: Arc::new(work::from_json(row, 11)?),
        progress: Progress {
            turn: count(12)?,
            next: next.map(|(next, _)| next),
            last,
            runs: count(18)?,
            skipped: count(19)?,
            missed: count(20)?,
        },
    };
    let overdue = next.map(|(_, overdue)| overdue).unwrap_or_default();
    Ok(StoredSchedule { record, overdue, unfinished })
}

const fn of_overlap(overlap: Overlap) -> i64 {
    match overlap {
        Overlap::Skip => 0,
        Overlap::Queue => 1,
        Overlap::Replace => 2,
    }
}

fn overlap(code: i64) -> rusqlite::Result<Overlap> {
    let known = Overlap::ALL.into_iter().find(|overlap| of_overlap(*overlap) == code);
    known.ok_or_else(|| Unreadable::column("overlap", code))
}

const fn of_missed(missed: Missed) -> i64 {
    match missed {
        Missed::RunOnce => 0,
        Missed::Skip => 1,
    }
}

fn missed(code: i64) -> rusqlite::Result<Missed> {
    let known = Missed::ALL.into_iter().find(|missed| of_missed(*missed) == code);
    known.ok_or_else(|| Unreadable::column("missed policy", code))
}
