//! Deadlines as columns, and how one reads that was made under another boot.

use rusqlite::Row;

use crate::job::{Deadline, Now, WallTime};

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

/// A deadline made under the boot of this number, as columns.
pub(super) fn columns(boot: i64, due: Option<Deadline>) -> Columns {
    match due {
        None => (None, None, None, None),
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
    let due = Deadline {
        boot: codes::span(row.get(first + 1)?),
        wall: WallTime(row.get(first + 2)?),
        delay: codes::span(row.get(first + 3)?),
    };
    Ok(Some(if made_in == boot.number { due } else { due.rebased(boot.opened) }))
}
