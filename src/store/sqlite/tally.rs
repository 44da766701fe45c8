//! Sums that one commit changes: jobs per queue and state, elements per array and state, uses of
//! contexts and specs.
//!
//! Kept in memory while the changes of a batch are applied and written once at its end. Invariant: a
//! refused change leaves nothing in it.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use crate::job::State;

use super::codes;

/// What a batch adds to each sum.
#[derive(Debug, Default)]
pub(super) struct Tally {
    jobs: BTreeMap<(i64, i64), i64>,
    elements: BTreeMap<(i64, i64), i64>,
    contexts: BTreeMap<i64, i64>,
    specs: BTreeMap<i64, i64>,
    /// What the change under way added, to be taken back if it is refused.
    recent: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    Jobs { queue: i64, state: i64, by: i64 },
    Elements { array: i64, state: i64, by: i64 },
    Context { id: i64, by: i64 },
    Spec { id: i64, by: i64 },
}

impl Entry {
    /// Takes another entry about the same sum into this one, so that a run of equal jobs is one entry.
    fn absorb(&mut self, other: Self) -> Option<()> {
        let more = match (&mut *self, other) {
            (Self::Jobs { queue, state, by }, Self::Jobs { queue: q, state: s, by: more })
                if *queue == q && *state == s =>
            {
                (by, more)
            }
            (
                Self::Elements { array, state, by },
                Self::Elements { array: a, state: s, by: more },
            ) if *array == a && *state == s => (by, more),
            (Self::Context { id, by }, Self::Context { id: other, by: more })
            | (Self::Spec { id, by }, Self::Spec { id: other, by: more })
                if *id == other =>
            {
                (by, more)
            }
            _ => return None,
        };
        *more.0 += more.1;
        Some(())
    }
}

/// Which sums a job counts in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) queue: i64,
    pub(super) array: Option<i64>,
}

impl Counted {
    /// Reads it from two columns, the first of which is this one.
    pub(super) fn read(row: &Row, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { queue: row.get(first)?, array: row.get(first + 1)? })
    }
}

impl Tally {
    /// `by` more jobs that count so stand in a state.
    pub(super) fn jobs(&mut self, counted: Counted, state: State, by: i64) {
        let Counted { queue, array } = counted;
        let state = codes::of_state(state);
        self.add(Entry::Jobs { queue, state, by });
        if let Some(array) = array {
            self.add(Entry::Elements { array, state, by });
        }
    }

    /// A job went from one state to another.
    pub(super) fn moved(&mut self, counted: Counted, from: State, to: State) {
        self.jobs(counted, from, -1);
        self.jobs(counted, to, 1);
    }

    /// `by` more jobs use a context.
    pub(super) fn context(&mut self, id: i64, by: i64) {
        self.add(Entry::Context { id, by });
    }

    /// `by` more jobs use a spec that is written already.
    pub(super) fn spec(&mut self, id: i64, by: i64) {
        self.add(Entry::Spec { id, by });
    }

    /// What was added since the last call stays.
    pub(super) fn keep(&mut self) {
        self.recent.clear();
    }

    /// What was added since the last [`Tally::keep`] is taken back.
    pub(super) fn take_back(&mut self) {
        for entry in std::mem::take(&mut self.recent) {
            self.apply(entry, -1);
        }
    }

    /// Everything is forgotten: the batch was rolled back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn add(&mut self, entry: Entry) {
        self.apply(entry, 1);
        // A job adds to at most four sums in turn, so that a run of equal ones stays four entries.
        let mut latest = self.recent.iter_mut().rev().take(4);
        if latest.find_map(|last| last.absorb(entry)).is_none() {
            self.recent.push(entry);
        }
    }

    fn apply(&mut self, entry: Entry, sign: i64) {
        match entry {
            Entry::Jobs { queue, state, by } => {
                *self.jobs.entry((queue, state)).or_default() += sign * by;
            }
            Entry::Elements { array, state, by } => {
                *self.elements.entry((array, state)).or_default() += sign * by;
            }
            Entry::Context { id, by } => *self.contexts.entry(id).or_default() += sign * by,
            Entry::Spec { id, by } => *self.specs.entry(id).or_default() += sign * by,
        }
    }

    /// How many jobs the batch adds so far to a queue and state.
    pub(super) fn added(&self, queue: i64, state: State) -> i64 {
        self.jobs.get(&(queue, codes::of_state(state))).copied().unwrap_or(0)
    }

    /// Writes the sums and drops contexts and specs that nothing uses any more.
    pub(super) fn write(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        self.recent.clear();
        for ((queue, state), by) in nonzero(std::mem::take(&mut self.jobs)) {
            let mut update = conn.prepare_cached(
                "UPDATE tallies SET jobs = jobs + ?3 WHERE queue = ?1 AND state = ?2",
            )?;
            if update.execute((queue, state, by))? == 0 {
                conn.prepare_cached(
                    "INSERT INTO tallies (queue, state, jobs) VALUES (?1, ?2, ?3)",
                )?
                .execute((queue, state, by))?;
            }
        }
        for ((array, state), by) in nonzero(std::mem::take(&mut self.elements)) {
            add_elements(conn, array, state, by)?;
        }
        for (id, by) in std::mem::take(&mut self.contexts) {
            add_uses(conn, id, by)?;
        }
        for (id, by) in nonzero(std::mem::take(&mut self.specs)) {
            let mut last = conn.prepare_cached("DELETE FROM specs WHERE id = ?1 AND uses = -?2")?;
            if last.execute((id, by))? == 0 {
                conn.prepare_cached("UPDATE specs SET uses = uses + ?2 WHERE id = ?1")?
                    .execute((id, by))?;
            }
        }
        Ok(())
    }
}

/// Changes how many elements of an array stand in a state; what counts none has no row.
fn add_elements(conn: &Connection, array: i64, state: i64, by: i64) -> rusqlite::Result<()> {
    let which = (array, state, by);
    let mut last = conn.prepare_cached(
        "DELETE FROM array_tallies WHERE array = ?1 AND state = ?2 AND jobs = -?3",
    )?;
    if last.execute(which)? == 1 {
        return Ok(());
    }
    let mut known = conn.prepare_cached(
        "UPDATE array_tallies SET jobs = jobs + ?3 WHERE array = ?1 AND state = ?2",
    )?;
    if known.execute(which)? == 0 {
        conn.prepare_cached("INSERT INTO array_tallies (array, state, jobs) VALUES (?1, ?2, ?3)")?
            .execute(which)?;
    }
    Ok(())
}

/// Changes how many jobs use a context, and drops it when none does.
fn add_uses(conn: &Connection, id: i64, by: i64) -> rusqlite::Result<()> {
    if by != 0 {
        conn.prepare_cached("UPDATE contexts SET uses = uses + ?2 WHERE id = ?1")?
            .execute((id, by))?;
    }
    if by <= 0 {
        conn.prepare_cached("DELETE FROM contexts WHERE id = ?1 AND uses = 0")?.execute([id])?;
    }
    Ok(())
}

fn nonzero<K: Ord>(sums: BTreeMap<K, i64>) -> impl Iterator<Item = (K, i64)> {
    sums.into_iter().filter(|(_, by)| *by != 0)
}
