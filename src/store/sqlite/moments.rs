//! Times of jobs that are held or wait for others, which their own rows have no room for.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::job::{Deadline, JobId, State};

use super::codes;
use super::deadline::{self, Boot};

/// Which part of a job's time stands in its own row.
pub(super) fn in_row(state: State, due: Option<Deadline>) -> Option<Deadline> {
    due.filter(|_| state == State::Scheduled)
}

/// A job has come to a state with this time: writes it, or forgets one that was.
pub(super) fn write(
    conn: &Connection,
    boot: i64,
    job: JobId,
    state: State,
    due: Option<Deadline>,
) -> rusqlite::Result<()> {
    let aside = due.filter(|_| matches!(state, State::Held | State::Waiting));
    if let (Some(boot), Some(boot_ns), Some(wall), Some(delay)) = deadline::columns(boot, aside) {
        conn.prepare_cached(
            "INSERT OR REPLACE INTO moments (job, boot, boot_ns, wall_us, delay_ns) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![job.get() as i64, boot, boot_ns, wall, delay])?;
    } else {
        forget(conn, job)?;
    }
    Ok(())
}

fn forget(conn: &Connection, job: JobId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM moments WHERE job = ?1")?.execute([job.get() as i64]).map(drop)
}

/// All of them: they are few.
pub(super) fn all(conn: &Connection, boot: Boot) -> rusqlite::Result<HashMap<JobId, Deadline>> {
    let mut statement =
        conn.prepare("SELECT job, boot, boot_ns, wall_us, delay_ns FROM moments")?;
    let mut rows = statement.query([])?;
    let mut found = HashMap::new();
    while let Some(row) = rows.next()? {
        let due = deadline::read(row, 1, boot)?;
        found.extend(
            due.map(|due| Ok::<_, rusqlite::Error>((codes::job_id(row, 0)?, due))).transpose()?,
        );
    }
    Ok(found)
}
