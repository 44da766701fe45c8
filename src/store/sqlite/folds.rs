//! Elements of arrays that are written down as one row until their turn comes near.

use rusqlite::{Connection, OptionalExtension, params};

use crate::job::{Fold, Folded, JobId, NewJob, State, WallTime};
use crate::store::gate;

use super::codes;
use super::fault::Fault;
use super::tally::{Counted, Tally};

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
         context, owner, submission, moved_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?7)",
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

/// All elements go to another state.
pub(super) fn moved(
    conn: &Connection,
    tally: &mut Tally,
    folded: Folded,
    (from, to): (State, State),
    (reason, at): (Option<&str>, WallTime),
) -> Result<(), Fault> {
    gate::fold_moved(folded.array, from, to)?;
    let counted = conn
        .prepare_cached(
            "UPDATE folds SET state = ?5, moved_at = ?6, reason = ?7 \
             WHERE array = ?1 AND next = ?2 AND last = ?3 AND state = ?4 RETURNING queue, array",
        )?
        .query_row(
            params![
                folded.array.get() as i64,
                folded.first.get() as i64,
                folded.last().get() as i64,
                codes::of_state(from),
                codes::of_state(to),
                at.0,
                reason,
            ],
            |row| Counted::read(row, 0),
        )
        .optional()?;
    let counted = counted.ok_or_else(|| gate::folded_otherwise(folded))?;
    tally.jobs(counted, from, -(folded.count as i64));
    tally.jobs(counted, to, folded.count as i64);
    Ok(())
}

/// Elements that have ended are forgotten.
pub(super) fn removed(conn: &Connection, tally: &mut Tally, folded: Folded) -> Result<(), Fault> {
    let gone = conn
        .prepare_cached(
            "DELETE FROM folds WHERE array = ?1 AND next = ?2 AND last = ?3 AND state >= 5 \
             RETURNING queue, array, state, spec, context",
        )?
        .query_row(
            [folded.array.get() as i64, folded.first.get() as i64, folded.last().get() as i64],
            |row| {
                let counted = Counted::read(row, 0)?;
                Ok((counted, codes::state(row.get(2)?)?, row.get(3)?, row.get(4)?))
            },
        )
        .optional()?;
    let (counted, state, spec, context) = gone.ok_or_else(|| gate::folded_otherwise(folded))?;
    let count = folded.count as i64;
    tally.jobs(counted, state, -count);
    tally.spec(spec, -count);
    tally.context(context, -count);
    Ok(())
}

/// Makes rows of the next `count` elements that have ended, or of those that are left.
pub(super) fn unfold_ended(conn: &Connection, folded: Folded, count: u64) -> Result<(), Fault> {
    let there = conn
        .prepare_cached(
            "SELECT 1 FROM folds WHERE array = ?1 AND next = ?2 AND last = ?3 AND state >= 5",
        )?
        .exists([
            folded.array.get() as i64,
            folded.first.get() as i64,
            folded.last().get() as i64,
        ])?;
    if !there {
        return Err(gate::folded_otherwise(folded).into());
    }
    make_rows(conn, folded.array, count)
}

/// Makes rows of the next `count` elements that have not ended, or of those that are left.
pub(super) fn unfold(conn: &Connection, array: JobId, count: u64) -> Result<(), Fault> {
    let ended = conn
        .prepare_cached("SELECT 1 FROM folds WHERE array = ?1 AND state >= 5")?
        .exists([array.get() as i64])?;
    if ended {
        return Err(gate::nothing_to_unfold(array).into());
    }
    make_rows(conn, array, count)
}

fn make_rows(conn: &Connection, of: JobId, count: u64) -> Result<(), Fault> {
    gate::unfolded(of, count)?;
    let array = of.get() as i64;
    let left = conn
        .prepare_cached("SELECT last - next + 1 FROM folds WHERE array = ?1")?
        .query_row([array], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(left) = left else {
        return Err(gate::nothing_to_unfold(of).into());
    };
    let count = i64::try_from(count).unwrap_or(i64::MAX).min(left);
    conn.prepare_cached(
        "WITH RECURSIVE element (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM element WHERE n + 1 < ?2) \
         INSERT INTO jobs (id, state, attempts, cancel_asked, moved_at, submitted_at, queue, spec, \
         context, owner, submission, array, array_index, reason) \
         SELECT f.next + n, f.state, 0, 0, f.moved_at, f.submitted_at, f.queue, f.spec, \
         f.context, f.owner, f.submission, f.array, f.next_index + n * f.step, f.reason \
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
     NULL AS due_delay_ns, submitted_at, moved_at, 0 AS attempts, \
     0 AS cancel_asked, reason, context, spec, queue, NULL AS unique_key, 0 AS pardoned, \
     0 AS hold_asked, 0 AS crashes, 0 AS crashes_alone, last, step FROM folds)";
