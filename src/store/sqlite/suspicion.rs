//! What is suspected of jobs, as two columns of their rows.

use rusqlite::{Row, params};

use crate::job::{JobId, State, Suspicion};
use crate::store::gate;

use super::apply::{Batch, RUNNING, elsewhere};
use super::fault::Fault;

/// The suspicion in two columns that start at `first`.
pub(super) fn read(row: &Row, first: usize) -> rusqlite::Result<Option<Suspicion>> {
    let crashes: u32 = row.get(first)?;
    if crashes == 0 {
        return Ok(None);
    }
    Ok(Some(Suspicion { crashes, alone: row.get(first + 1)? }))
}

impl Batch<'_> {
    /// Notes what is to be said of a running job. One that is condemned is not to be held, and its reason is why.
    pub(super) fn suspected(
        &mut self,
        job: JobId,
        suspicion: Suspicion,
        verdict: Option<&str>,
    ) -> Result<(), Fault> {
        gate::suspected(job, suspicion)?;
        let written = self
            .conn
            .prepare_cached(
                "UPDATE jobs SET crashes = ?2, crashes_alone = ?3, reason = coalesce(?4, reason), \
                 hold_asked = iif(?4 IS NULL, hold_asked, 0) WHERE id = ?1 AND state = ?5",
            )?
            .execute(params![
                job.get() as i64,
                suspicion.crashes,
                suspicion.alone,
                verdict,
                RUNNING
            ])?;
        if written == 0 {
            return Err(elsewhere(job, self.stands(job)?.0, State::Running));
        }
        Ok(())
    }
}
