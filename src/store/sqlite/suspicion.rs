//! What is suspected of jobs, as two columns of their rows.

use rusqlite::{Connection, Row, params};

use crate::job::{JobId, Suspicion};

use super::apply::RUNNING;

/// The suspicion in two columns that start at `first`.
pub(super) fn read(row: &Row, first: usize) -> rusqlite::Result<Option<Suspicion>> {
    let crashes: u32 = row.get(first)?;
    if crashes == 0 {
        return Ok(None);
    }
    Ok(Some(Suspicion { crashes, alone: row.get(first + 1)? }))
}

/// Notes what is to be said of a running job; says whether it was there. One that is condemned is not to be held, and
/// its reason is why.
pub(super) fn write(
    conn: &Connection,
    job: JobId,
    suspicion: Suspicion,
    verdict: Option<&str>,
) -> rusqlite::Result<bool> {
    let written = conn
        .prepare_cached(
            "UPDATE jobs SET crashes = ?2, crashes_alone = ?3, reason = coalesce(?4, reason), \
             hold_asked = iif(?4 IS NULL, hold_asked, 0) WHERE id = ?1 AND state = ?5",
        )?
        .execute(params![job.get() as i64, suspicion.crashes, suspicion.alone, verdict, RUNNING])?;
    Ok(written > 0)
}
