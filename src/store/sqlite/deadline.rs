//! Deadlines as columns, and how one reads that was made under another boot.

use std::time::Duration;

use rusqlite::Row;

use crate::job::{Deadline, Follows, Now, WallTime};

use super::codes;

/// Which boot this is, and when the store was opened in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boot {
    /// The boots that this store has seen are numbered.
    pub(super) number: i64,
    /// When it was opened: deadlines of other boots are told from here.
    pub(super) opened: Now,
}

/// The columns `due_boot`, `due_boot_ns`, `due_wall_us`, `due_delay_ns`.
pub(super) type Columns = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);

/// Stands in place of a boot for what follows the wall clock under every one of them.
const NO_BOOT: i64 = 0;

/// A deadline made under the boot of this number, as columns.
pub(super) fn columns(boot: i64, due: Option<Deadline>) -> Columns {
    match due {
        None => (None, None, None, None),
        Some(due) if due.follows == Follows::Wall => {
            (Some(NO_BOOT), Some(0), Some(due.wall.0), Some(0))
        }
        Some(due) => (
            Some(boot),
            Some(codes::of_span(due.boot)),
            Some(due.wall.0),
            Some(codes::of_span(due.delay)),
        ),
    }
}

/// Reads the deadline whose columns start at `first`, rebased if it was made under another boot.
pub(super) fn read(row: &Row, first: usize, boot: Boot) -> rusqlite::Result<Option<Deadline>> {
    let Some(made_in) = row.get::<_, Option<i64>>(first)? else { return Ok(None) };
    let wall = WallTime(row.get(first + 2)?);
    if made_in == NO_BOOT {
        return Ok(Some(Deadline::at(wall)));
    }
    let due = Deadline {
        boot: codes::span(row.get(first + 1)?),
        wall,
        delay: codes::span(row.get(first + 3)?),
        follows: Follows::Boot,
    };
    Ok(Some(if made_in == boot.number { due } else { due.rebased(boot.opened) }))
}

/// As [`read`], and how far past it was when the store was opened under another boot.
pub(super) fn read_overdue(
    row: &Row,
    first: usize,
    boot: Boot,
) -> rusqlite::Result<Option<(Deadline, Duration)>> {
    let Some(due) = read(row, first, boot)? else { return Ok(None) };
    let made_in: i64 = row.get(first)?;
    let rebased = made_in != NO_BOOT && made_in != boot.number;
    let wall = WallTime(row.get(first + 2)?);
    let overdue = if rebased { boot.opened.wall.since(wall) } else { Duration::ZERO };
    Ok(Some((due, overdue)))
}
