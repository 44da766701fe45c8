//! A line: slots of jobs in their order, for a few bytes each.
//!
//! Owns the order of the jobs that ask for the same in one queue. Never looks at what they ask for.
//! Invariant: the slots read from front to back are sorted by key, and no chunk is empty.
//!
//! A sorted list cut into chunks: the chunks are found by the key that was their least when they
//! were made, and inside a chunk the keys are looked up in the job table, so that a job costs the
//! line 4 to 8 bytes and not a key and pointers of its own. Jobs that arrive in order, as nearly
//! all do, fill their chunks to the brim.

use std::collections::BTreeMap;

use super::table::{JobTable, Key, Slot};

/// Jobs in their order.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// By a key that is no greater than the chunk's first and greater than the previous chunk's last.
    chunks: BTreeMap<Key, Vec<Slot>>,
    len: usize,
}

/// Slots in a chunk: shifting half of them takes some nanoseconds.
const CHUNK: usize = 128;

impl Line {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn head(&self) -> Option<Slot> {
        self.chunks.first_key_value().and_then(|(_, chunk)| chunk.first().copied())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.chunks.values().flatten().copied()
    }

    /// Takes a job in at its place.
    pub(super) fn insert(&mut self, jobs: &JobTable, slot: Slot) {
        let key = jobs.key(slot);
        self.len += 1;
        let Some((&least, chunk)) = self.chunks.range(..=key).next_back() else {
            return self.insert_first(jobs, key, slot);
        };
        let behind = chunk.last().is_some_and(|&last| jobs.key(last) < key);
        if behind && chunk.len() == CHUNK && self.is_last(least) {
            // Jobs that arrive in order leave full chunks behind them, not halves.
            self.chunks.insert(key, vec![slot]);
            return;
        }
        self.insert_into(jobs, least, key, slot);
    }

    fn is_last(&self, least: Key) -> bool {
        self.chunks.last_key_value().is_some_and(|(&last, _)| last == least)
    }

    fn insert_into(&mut self, jobs: &JobTable, least: Key, key: Key, slot: Slot) {
        let Some(chunk) = self.chunks.get_mut(&least) else { return };
        if chunk.last().is_some_and(|&last| jobs.key(last) < key) {
            chunk.push(slot);
        } else {
            let place = chunk.partition_point(|&other| jobs.key(other) < key);
            chunk.insert(place, slot);
        }
        if chunk.len() > CHUNK {
            self.split(jobs, least);
        }
    }

    /// The key is below all chunks: the first one takes the job and a new least key.
    fn insert_first(&mut self, jobs: &JobTable, key: Key, slot: Slot) {
        let mut chunk = self.chunks.pop_first().map(|(_, chunk)| chunk).unwrap_or_default();
        chunk.insert(0, slot);
        let full = chunk.len() > CHUNK;
        self.chunks.insert(key, chunk);
        if full {
            self.split(jobs, key);
        }
    }

    fn split(&mut self, jobs: &JobTable, least: Key) {
        if let Some(chunk) = self.chunks.get_mut(&least) {
            let upper = chunk.split_off(CHUNK / 2);
            self.chunks.insert(jobs.key(upper[0]), upper);
        }
    }

    /// Takes a job out; says whether it was there.
    pub(super) fn remove(&mut self, jobs: &JobTable, slot: Slot) -> bool {
        if self.head() == Some(slot) {
            self.remove_head();
            return true;
        }
        let key = jobs.key(slot);
        let Some((&least, chunk)) = self.chunks.range_mut(..=key).next_back() else {
            return false;
        };
        let place = chunk.partition_point(|&other| jobs.key(other) < key);
        if chunk.get(place) != Some(&slot) {
            return false;
        }
        chunk.remove(place);
        self.len -= 1;
        if chunk.is_empty() {
            self.chunks.remove(&least);
        }
        true
    }

    /// Nearly all jobs leave from the front, where nothing has to be looked up in the job table.
    fn remove_head(&mut self) {
        if let Some(mut first) = self.chunks.first_entry() {
            first.get_mut().remove(0);
            self.len -= 1;
            if first.get().is_empty() {
                first.remove();
            }
        }
    }

    /// How many jobs go before this key. Costs a look at each chunk, not at each job.
    pub(super) fn before(&self, jobs: &JobTable, key: Key) -> usize {
        let mut chunks = self.chunks.range(..=key);
        let own = chunks.next_back();
        let inside =
            own.map_or(0, |(_, chunk)| chunk.partition_point(|&other| jobs.key(other) < key));
        inside + chunks.map(|(_, chunk)| chunk.len()).sum::<usize>()
    }

    /// Bytes held, by capacity; for the measure of memory.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let slots: usize = self.chunks.values().map(Vec::capacity).sum();
        slots * size_of::<Slot>() + self.chunks.len() * 2 * size_of::<(Key, Vec<Slot>)>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Desk, entry};
    use crate::scheduler::Input;

    #[test]
    fn a_job_in_line_costs_a_few_bytes_in_whatever_order_they_come() {
        let jobs = 20_000;
        let orders: [fn(u64) -> i32; 3] = [
            |_| 0,
            |number| number as i32,
            |number| (number.wrapping_mul(0x9e37_79b9) >> 8) as i32,
        ];
        for (order, most) in orders.into_iter().zip([6, 14, 12]) {
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
