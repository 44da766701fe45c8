//! A line: slots of jobs in their order, for a few bytes each.
//!
//! Owns the order of the jobs that ask for the same in one queue. Never looks at what they ask for.
//! Invariant: the slots read from front to back are sorted by key, no chunk is empty, the last one is
//! empty only in an empty line, and the head is the first of them.
//!
//! A sorted list cut into chunks: the chunks are found by the key that was their least when they
//! were made, and inside a chunk each slot has its rank beside it, so that a place is found within
//! the chunk and the job table is asked for equal ranks alone; a job costs the line 12 to 24 bytes.
//! Jobs that arrive in order, as nearly all do, are appended to the last chunk without a look at any
//! other job, and fill their chunks to the brim.

use std::collections::BTreeMap;

use super::table::{JobTable, Key, Slot};

/// Jobs in their order.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// All chunks but the last, by a key that is no greater than the chunk's first and greater than
    /// the previous chunk's last.
    chunks: BTreeMap<Key, Chunk>,
    /// The last chunk; a short line has no other.
    last: Chunk,
    /// The first of all, looked at far more often than the others.
    head: Option<Slot>,
    /// No job's rank is greater.
    most: i64,
    len: usize,
}

/// Some jobs that follow each other.
#[derive(Debug, Default)]
struct Chunk {
    standing: Vec<Standing>,
    /// How many at the front have left already: the others move up once for many of them.
    left: usize,
}

/// A job, with its rank (the key's first part) in two halves so that it packs into 12 bytes.
#[derive(Clone, Copy, Debug)]
struct Standing {
    rank_high: i32,
    rank_low: u32,
    slot: Slot,
}

/// Jobs in a chunk: shifting half of them takes some nanoseconds.
const CHUNK: usize = 128;

/// How many leave the front of a chunk before the others move up.
const LEFT: usize = 32;

impl Standing {
    fn new(key: Key, slot: Slot) -> Self {
        let rank = key.0;
        Self { rank_high: (rank >> 32) as i32, rank_low: rank as u32, slot }
    }

    fn is_before(self, jobs: &JobTable, key: Key) -> bool {
        let rank = i64::from(self.rank_high) << 32 | i64::from(self.rank_low);
        rank < key.0 || (rank == key.0 && jobs.key(self.slot) < key)
    }
}

impl Chunk {
    fn standing(&self) -> &[Standing] {
        &self.standing[self.left..]
    }

    fn len(&self) -> usize {
        self.standing.len() - self.left
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn first(&self) -> Option<Slot> {
        self.standing().first().map(|standing| standing.slot)
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        self.standing().iter().map(|standing| standing.slot)
    }

    /// How many go before this key.
    fn before(&self, jobs: &JobTable, key: Key) -> usize {
        self.standing().partition_point(|standing| standing.is_before(jobs, key))
    }

    fn starts_before(&self, jobs: &JobTable, key: Key) -> bool {
        self.standing().first().is_some_and(|first| first.is_before(jobs, key))
    }

    fn ends_before(&self, jobs: &JobTable, key: Key) -> bool {
        self.standing().last().is_none_or(|last| last.is_before(jobs, key))
    }

    fn push(&mut self, key: Key, slot: Slot) {
        self.standing.push(Standing::new(key, slot));
    }

    fn insert(&mut self, jobs: &JobTable, key: Key, slot: Slot) {
        let place = self.left + self.before(jobs, key);
        self.standing.insert(place, Standing::new(key, slot));
    }

    /// Says whether it was there.
    fn remove(&mut self, jobs: &JobTable, key: Key, slot: Slot) -> bool {
        let place = self.left + self.before(jobs, key);
        let found = self.standing.get(place).is_some_and(|standing| standing.slot == slot);
        if found {
            self.standing.remove(place);
        }
        found
    }

    fn remove_first(&mut self) {
        self.left += 1;
        if self.left == LEFT || self.left == self.standing.len() {
            self.standing.drain(..self.left);
            self.left = 0;
        }
    }

    /// The upper half of a chunk that has grown too long.
    fn split(&mut self) -> Option<Self> {
        let half = self.left + CHUNK / 2;
        (self.len() > CHUNK).then(|| Self { standing: self.standing.split_off(half), left: 0 })
    }
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn head(&self) -> Option<Slot> {
        self.head
    }

    fn first(&self) -> Option<Slot> {
        self.chunks.values().next().unwrap_or(&self.last).first()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.chunks.values().chain([&self.last]).flat_map(Chunk::slots)
    }

    /// Takes a job in at its place.
    pub(super) fn insert(&mut self, jobs: &JobTable, slot: Slot) {
        let key = jobs.key(slot);
        self.len += 1;
        if self.len == 1 {
            self.most = key.0;
            self.last.push(key, slot);
            self.head = Some(slot);
        } else if self.most < key.0 || self.last.ends_before(jobs, key) {
            self.most = self.most.max(key.0);
            if self.last.len() == CHUNK {
                // Jobs that arrive in order leave full chunks behind them, not halves.
                self.push_last(jobs, Chunk::default());
            }
            self.last.push(key, slot);
        } else {
            self.insert_inside(jobs, key, slot);
            self.head = self.first();
        }
    }

    /// There is a last chunk, and the key is not behind all of it.
    fn insert_inside(&mut self, jobs: &JobTable, key: Key, slot: Slot) {
        if self.chunks.is_empty() || self.last.starts_before(jobs, key) {
            self.last.insert(jobs, key, slot);
            if let Some(upper) = self.last.split() {
                self.push_last(jobs, upper);
            }
        } else {
            self.insert_between(jobs, key, slot);
        }
    }

    /// The key is below all of the last chunk, and there are others.
    fn insert_between(&mut self, jobs: &JobTable, key: Key, slot: Slot) {
        let found = self.chunks.range_mut(..=key).next_back();
        let chunk = if let Some((_, chunk)) = found {
            chunk
        } else {
            // Below all chunks: the first one takes the job and a new least key.
            let first = self.chunks.pop_first().map(|(_, chunk)| chunk).unwrap_or_default();
            self.chunks.entry(key).or_insert(first)
        };
        chunk.insert(jobs, key, slot);
        if let Some(upper) = chunk.split()
            && let Some(least) = upper.first()
        {
            self.chunks.insert(jobs.key(least), upper);
        }
    }

    /// Another chunk becomes the last one.
    fn push_last(&mut self, jobs: &JobTable, last: Chunk) {
        let before = std::mem::replace(&mut self.last, last);
        if let Some(least) = before.first() {
            self.chunks.insert(jobs.key(least), before);
        }
    }

    /// Takes a job out; says whether it was there.
    pub(super) fn remove(&mut self, jobs: &JobTable, slot: Slot) -> bool {
        if self.head == Some(slot) {
            self.remove_head();
            return true;
        }
        let key = jobs.key(slot);
        let in_last = self.last.first() == Some(slot) || self.last.starts_before(jobs, key);
        let found = if in_last {
            let found = self.last.remove(jobs, key, slot);
            self.refill_last();
            found
        } else if let Some((&least, chunk)) = self.chunks.range_mut(..=key).next_back() {
            let found = chunk.remove(jobs, key, slot);
            if chunk.is_empty() {
                self.chunks.remove(&least);
            }
            found
        } else {
            false
        };
        self.len -= usize::from(found);
        found
    }

    /// Nearly all jobs leave from the front, where nothing has to be looked up in the job table.
    fn remove_head(&mut self) {
        self.len -= 1;
        if let Some(mut first) = self.chunks.first_entry() {
            first.get_mut().remove_first();
            if first.get().is_empty() {
                first.remove();
            }
        } else {
            self.last.remove_first();
            self.refill_last();
        }
        self.head = self.first();
    }

    fn refill_last(&mut self) {
        if self.last.is_empty() {
            self.last = self.chunks.pop_last().map(|(_, chunk)| chunk).unwrap_or_default();
        }
    }

    /// How many jobs go before this key, `head` being that of the first. Costs a look at each chunk,
    /// not at each job, and none at a line that stands before or behind the key as a whole.
    pub(super) fn before(&self, jobs: &JobTable, head: Key, key: Key) -> usize {
        if self.most < key.0 {
            return self.len;
        }
        if key <= head {
            return 0;
        }
        let in_last = self.last.before(jobs, key);
        if in_last > 0 {
            return self.len - self.last.len() + in_last;
        }
        let mut chunks = self.chunks.range(..=key);
        let inside = chunks.next_back().map_or(0, |(_, chunk)| chunk.before(jobs, key));
        inside + chunks.map(|(_, chunk)| chunk.len()).sum::<usize>()
    }

    /// Bytes held, by capacity; for the measure of memory.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let chunks = self.chunks.values().chain([&self.last]);
        let jobs: usize = chunks.map(|chunk| chunk.standing.capacity()).sum();
        jobs * size_of::<Standing>() + self.chunks.len() * 2 * size_of::<(Key, Chunk)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::table::tests::record;
    use super::super::tests::{Desk, entry};
    use super::*;
    use crate::scheduler::Input;

    /// The line agrees with a plain sorted list.
    fn agree(line: &Line, jobs: &JobTable, model: &[(Key, Slot)], probe: Key) {
        assert!(line.iter().eq(model.iter().map(|&(_, slot)| slot)));
        assert_eq!((line.len(), line.head()), (model.len(), model.first().map(|&(_, slot)| slot)));
        if let Some(&(head, _)) = model.first() {
            let ahead = model.partition_point(|&(key, _)| key < probe);
            assert_eq!(line.before(jobs, head, probe), ahead);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_line_is_a_sorted_list(
            moves in prop::collection::vec((0_u8..8, -3..3_i32, any::<prop::sample::Index>()), 1..1500),
        ) {
            let (mut jobs, mut line, mut model) = (JobTable::new(None), Line::default(), Vec::new());
            for (number, (what, priority, index)) in (1..).zip(moves) {
                let gone = match what {
                    _ if model.is_empty() => None,
                    0 => Some(0),
                    1 => Some(model.len() - 1),
                    2 => Some(index.index(model.len())),
                    _ => None,
                };
                let probe = if let Some(place) = gone {
                    let (key, slot) = model.remove(place);
                    prop_assert!(line.remove(&jobs, slot));
                    prop_assert!(!line.remove(&jobs, slot), "it is gone");
                    jobs.remove(slot);
                    key
                } else {
                    let slot = jobs.insert(record(number, priority));
                    let key = jobs.key(slot);
                    line.insert(&jobs, slot);
                    model.insert(model.partition_point(|&(other, _)| other < key), (key, slot));
                    key
                };
                agree(&line, &jobs, &model, probe);
            }
        }
    }

    #[test]
    fn a_job_in_line_costs_a_few_bytes_in_whatever_order_they_come() {
        let jobs = 20_000;
        let orders: [fn(u64) -> i32; 3] = [
            |_| 0,
            |number| number as i32,
            |number| (number.wrapping_mul(0x9e37_79b9) >> 8) as i32,
        ];
        for (order, most) in orders.into_iter().zip([16, 32, 28]) {
            let mut desk = Desk::new(0, 1);
            let entries = (1..=jobs).map(|number| {
                let mut job = entry(number);
                (job.priority, job.demand.permits) = (order(number), 1);
                job
            });
            desk.scheduler.step(desk.now, Input::Submitted(entries.collect()), &mut desk.actions);
            let bytes: usize = desk.scheduler.lines.iter().map(|(_, line)| line.line.bytes()).sum();
            assert!(bytes <= most * jobs as usize, "{} bytes a job", bytes / jobs as usize);
        }
    }
}
