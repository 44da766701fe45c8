//! What jobs require of others, as rows.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::job::{Awaited, Ending, JobId, Requirement, State};
use crate::store::{Edge, Refusal};

use super::codes;
use super::fault::{Fault, certain};

/// Writes what a job requires, after it and all that came with it were written.
pub(super) fn write(conn: &Connection, job: JobId, all: &[Requirement]) -> Result<(), Fault> {
    for requirement in all {
        let written = conn
            .prepare_cached(
                "INSERT INTO requirements (job, requires, condition, passed) \
                 SELECT ?1, id, ?3, 0 FROM jobs WHERE id = ?2",
            )?
            .execute(params![
                job.get() as i64,
                requirement.job.get() as i64,
                codes::of_condition(requirement.on),
            ])?;
        if written == 0 {
            return Err(Refusal::NoSuchJob(requirement.job).into());
        }
    }
    Ok(())
}

/// An edit changes what a job requires.
pub(super) fn replace(conn: &Connection, job: JobId, all: &[Requirement]) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM requirements WHERE job = ?1")?.execute([job.get() as i64])?;
    write(conn, job, all)
}

/// A job goes elsewhere: once it is queued it has passed what it requires.
pub(super) fn moved(conn: &Connection, job: JobId, to: State) -> Result<(), Fault> {
    if matches!(to, State::Queued | State::Scheduled) {
        certain(
            conn.prepare_cached("UPDATE requirements SET passed = 1 WHERE job = ?1 AND passed = 0")
                .and_then(|mut update| update.execute([job.get() as i64])),
        )?;
    }
    Ok(())
}

/// A job that still waits for this one.
pub(super) fn awaited_by(conn: &Connection, job: JobId) -> rusqlite::Result<Option<JobId>> {
    conn.prepare_cached(
        "SELECT r.job FROM requirements AS r CROSS JOIN jobs AS j ON j.id = r.job \
         WHERE r.requires = ?1 AND r.passed = 0 AND j.state < 5 ORDER BY r.job LIMIT 1",
    )?
    .query_row([job.get() as i64], |row| codes::job_id(row, 0))
    .optional()
}

/// What is read of a requirement `r` of the job `j`, with the other job `o` and its last attempt `e`.
const COLUMNS: &str = "r.job, j.state, r.requires, r.condition, r.passed, o.state, e.outcome, \
     e.detail, e.message";
const OTHERS: &str = "LEFT JOIN jobs AS o ON o.id = r.requires \
     LEFT JOIN attempts AS e ON e.job = o.id AND e.number = o.attempts";

/// The requirements of jobs, or those that name jobs, by the ids of a JSON list.
pub(super) fn read(conn: &Connection, named: bool, ids: &str) -> rusqlite::Result<Vec<Edge>> {
    let column = if named { "requires" } else { "job" };
    let sql = format!(
        "SELECT {COLUMNS} FROM (SELECT DISTINCT value FROM json_each(?1)) AS asked \
         CROSS JOIN requirements AS r ON r.{column} = asked.value \
         CROSS JOIN jobs AS j ON j.id = r.job {OTHERS} ORDER BY r.job, r.requires"
    );
    conn.prepare_cached(&sql)?.query_map([ids], edge)?.collect()
}

/// What waiting and held jobs still require.
pub(super) fn open(conn: &Connection) -> rusqlite::Result<HashMap<JobId, Vec<Awaited>>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs AS j CROSS JOIN requirements AS r ON r.job = j.id {OTHERS} \
         WHERE j.state IN (1, 2) AND j.state <> 5 AND r.passed = 0 ORDER BY r.job, r.requires"
    );
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut found: HashMap<JobId, Vec<Awaited>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let edge = edge(row)?;
        found.entry(edge.job).or_default().push(edge.awaited);
    }
    Ok(found)
}

fn edge(row: &Row) -> rusqlite::Result<Edge> {
    let other = row.get::<_, Option<i64>>(5)?.map(codes::state).transpose()?;
    let ending = match other {
        None => Some(Ending::Removed),
        Some(state) if state.is_final() => {
            Some(Ending::Final { state, outcome: codes::outcome(row, 6)? })
        }
        Some(_) => None,
    };
    let requirement =
        Requirement { job: codes::job_id(row, 2)?, on: codes::condition(row.get(3)?)? };
    Ok(Edge {
        job: codes::job_id(row, 0)?,
        state: codes::state(row.get(1)?)?,
        awaited: Awaited { requirement, ending },
        passed: row.get(4)?,
    })
}
