//! Elements of arrays that are written down as one row until their turn comes near.

use rusqlite::{Connection, OptionalExtension, params};

use crate::job::{Fold, JobId, NewJob};
use crate::store::{Refusal, gate};

use super::codes;
use super::fault::Fault;
use super::tally::Counted;

/// The rows that a fold shares with the elements before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) queue: i64,
    pub(super) spec: i64,
    pub(super) context: i64,
}

/// Writes the elements that follow `last` and are like it; says how they count.
pub(super) fn write(
    conn: &Connection,
    last: &NewJob,
    fold: Fold,
    written: Written,
) -> Result<Counted, Fault> {
    let place = gate::folds(last)?;
    let Written { queue, spec, context } = written;
    let array = place.array.get() as i64;
    let last_id = last.id.get() as i64;
    conn.prepare_cached(
        "INSERT INTO folds (array, next, last, next_index, step, state, submitted_at, queue, spec, \
         context, owner, submission) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        array,
        last_id + 1,
        last_id + fold.count as i64,
        (place.index + fold.step) as i64,
        fold.step as i64,
        codes::of_state(last.state),
        last.submitted_at.0,
        queue,
        spec,
        context,
        last.owner,
        last.submission.get() as i64,
    ])?;
    Ok(Counted { queue, array: Some(array) })
}

/// Makes rows of the next `count` elements, or of those that are left.
pub(super) fn unfold(conn: &Connection, array: JobId, count: u64) -> Result<(), Fault> {
    gate::unfolded(array, count)?;
    let array = array.get() as i64;
    let left = conn
        .prepare_cached("SELECT last - next + 1 FROM folds WHERE array = ?1")?
        .query_row([array], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(left) = left else {
        return Err(Refusal::Invariant(format!("array {array} has nothing to unfold")).into());
    };
    let count = i64::try_from(count).unwrap_or(i64::MAX).min(left);
    conn.prepare_cached(
        "WITH RECURSIVE element (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM element WHERE n + 1 < ?2) \
         INSERT INTO jobs (id, state, attempts, cancel_asked, moved_at, submitted_at, queue, spec, \
         context, owner, submission, array, array_index) \
         SELECT f.next + n, f.state, 0, 0, f.submitted_at, f.submitted_at, f.queue, f.spec, \
         f.context, f.owner, f.submission, f.array, f.next_index + n * f.step \
         FROM folds AS f CROSS JOIN element WHERE f.array = ?1",
    )?
    .execute([array, count])?;
    if count == left {
        conn.prepare_cached("DELETE FROM folds WHERE array = ?1")?.execute([array])?;
    } else {
        conn.prepare_cached(
            "UPDATE folds SET next = next + ?2, next_index = next_index + ?2 * step WHERE array = ?1",
        )?
        .execute([array, count])?;
    }
    Ok(())
}

/// The first element of each fold, as if it had a row of its own; with `last` and `step` of its fold.
pub(super) const AS_JOBS: &str = "(SELECT next AS id, owner, submission, array, \
     next_index AS array_index, state, NULL AS due_boot, NULL AS due_boot_ns, NULL AS due_wall_us, \
     NULL AS due_delay_ns, submitted_at, submitted_at AS moved_at, 0 AS attempts, \
     0 AS cancel_asked, NULL AS reason, context, spec, queue, NULL AS unique_key, 0 AS pardoned, \
     0 AS hold_asked, 0 AS crashes, 0 AS crashes_alone, last, step FROM folds)";
