//! All unfinished jobs, compactly: a chunked slab of records and the way from an id to its slot.
//!
//! Owns the records. Never decides anything. Invariant: each id stands in exactly one slot, and
//! growing never moves a record, so that no submit pays for copying all the others.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::job::{Class, JobId, State};

/// Where a job's record stands; reused after the job is forgotten.
pub(super) type Slot = u32;

/// The order inside a queue: smaller goes first. Rank (see [`JobTable::key`]), then age, then id, then
/// what a user said.
pub(super) type Key = (i64, i64, JobId, i64);

/// Beside which job a user put another: ahead of it below zero, behind it above.
pub(super) type Beside = (JobId, i64);

/// What is known of an unfinished job; rarer facts stand in tables of their own.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) id: JobId,
    /// When it counts as having come, told on the boot clock in microseconds: a step of the wall
    /// clock while the daemon runs changes nobody's age.
    pub(super) born: i64,
    pub(super) queue: u32,
    pub(super) owner: u32,
    pub(super) priority: i32,
    pub(super) attempts: u32,
    /// Attempts that do not count against its retries.
    pub(super) pardoned: u32,
    /// Its retry policy's number.
    pub(super) policy: u32,
    /// The number of its set of limits.
    pub(super) limits: u32,
    /// Where it stands as far as the disk knows; a start counts at once.
    pub(super) state: State,
    pub(super) asks: Asks,
    pub(super) place: Place,
}

impl Record {
    /// The class it runs as.
    pub(super) fn class(&self) -> Class {
        self.asks.class()
    }

    /// How much it takes of its class's room.
    pub(super) fn permits(&self) -> u32 {
        self.asks.permits()
    }
}

/// A class, how much of its room a job takes, and whether a user put it beside another job, in two
/// bytes: a million records have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asks(u16);

impl Asks {
    const PERMITS: u16 = u16::MAX >> 3;
    const PUT: u16 = Self::PERMITS + 1;
    const CLASS_SHIFT: u32 = 14;
    const CLASSES: [Class; 4] = [Class::Io, Class::Cpu, Class::Blocking, Class::Auto];

    /// More permits than any job may ask for are cut down to the most that fits, which no machine has.
    pub(super) fn new(class: Class, permits: u32) -> Self {
        let permits = u16::try_from(permits).unwrap_or(u16::MAX).min(Self::PERMITS);
        let class = Self::CLASSES.iter().position(|&c| c == class).unwrap_or_default();
        Self(((class as u16) << Self::CLASS_SHIFT) | permits)
    }

    pub(super) fn class(self) -> Class {
        Self::CLASSES[usize::from(self.0 >> Self::CLASS_SHIFT)]
    }

    pub(super) fn permits(self) -> u32 {
        u32::from(self.0 & Self::PERMITS)
    }

    /// The same for other work.
    pub(super) fn with(self, class: Class, permits: u32) -> Self {
        Self(Self::new(class, permits).0 | (self.0 & Self::PUT))
    }

    fn is_put(self) -> bool {
        self.0 & Self::PUT != 0
    }

    fn put(&mut self, put: bool) {
        self.0 = if put { self.0 | Self::PUT } else { self.0 & !Self::PUT };
    }
}

/// Which part of the scheduler a job is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In its line.
    Ready,
    /// On a timer.
    Timed,
    /// Nothing but a request moves it.
    Held,
    /// For other jobs to end.
    Waiting,
    /// It has its place, and waits for what runs inside the daemon to end (see [`alone`](super::alone)).
    Poised,
    /// An attempt is under way.
    Running,
    /// A change is under way to the disk.
    Writing,
}

/// The records and the index.
#[derive(Debug)]
pub(super) struct JobTable {
    chunks: Vec<Vec<Option<Record>>>,
    free: Vec<Slot>,
    pages: HashMap<u64, Page, BuildHasherDefault<Spread>>,
    len: usize,
    aging: Option<i64>,
    /// The few jobs that users put beside others, both ways.
    put: HashMap<Slot, Beside, BuildHasherDefault<Spread>>,
    beside: BTreeMap<Beside, Slot>,
}

/// The slots of a range of ids: ids are given in order, so a page costs little more than 4 bytes a
/// job, and a straggler keeps no more than one page alive.
#[derive(Debug)]
struct Page {
    slots: Box<[Slot; PAGE]>,
    used: u16,
}

const CHUNK: usize = 4096;
const PAGE: usize = 256;
const NOWHERE: Slot = Slot::MAX;

impl JobTable {
    pub(super) fn new(aging: Option<i64>) -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            pages: HashMap::default(),
            len: 0,
            aging,
            put: HashMap::default(),
            beside: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes a job in. Its id must not be there yet.
    pub(super) fn insert(&mut self, record: Record) -> Slot {
        let id = record.id;
        debug_assert!(self.find(id).is_none(), "{id} is there already");
        let slot = match self.free.pop() {
            Some(slot) => {
                self.chunks[slot as usize / CHUNK][slot as usize % CHUNK] = Some(record);
                slot
            }
            None => self.append(record),
        };
        self.len += 1;
        let page = self
            .pages
            .entry(id.get() / PAGE as u64)
            .or_insert_with(|| Page { slots: Box::new([NOWHERE; PAGE]), used: 0 });
        page.slots[(id.get() % PAGE as u64) as usize] = slot;
        page.used += 1;
        slot
    }

    fn append(&mut self, record: Record) -> Slot {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunks = self.chunks.len();
        let chunk = &mut self.chunks[chunks - 1];
        chunk.push(Some(record));
        ((chunks - 1) * CHUNK + chunk.len() - 1) as Slot
    }

    /// Forgets a job.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Record> {
        self.put_beside(slot, None);
        let record = self.chunks[slot as usize / CHUNK][slot as usize % CHUNK].take()?;
        self.free.push(slot);
        self.len -= 1;
        let number = record.id.get() / PAGE as u64;
        if let Some(page) = self.pages.get_mut(&number) {
            page.slots[(record.id.get() % PAGE as u64) as usize] = NOWHERE;
            page.used -= 1;
            if page.used == 0 {
                self.pages.remove(&number);
            }
        }
        Some(record)
    }

    pub(super) fn find(&self, id: JobId) -> Option<Slot> {
        let page = self.pages.get(&(id.get() / PAGE as u64))?;
        let slot = page.slots[(id.get() % PAGE as u64) as usize];
        (slot != NOWHERE).then_some(slot)
    }

    /// The record in a slot that is in use: slots never leave the scheduler, and whoever keeps one
    /// gives it up before the job is forgotten.
    pub(super) fn get(&self, slot: Slot) -> &Record {
        self.chunks[slot as usize / CHUNK][slot as usize % CHUNK].as_ref().expect("a slot in use")
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut Record {
        self.chunks[slot as usize / CHUNK][slot as usize % CHUNK].as_mut().expect("a slot in use")
    }

    /// Every job, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Record)> {
        let all = self.chunks.iter().flatten().enumerate();
        all.filter_map(|(slot, record)| Some((slot as Slot, record.as_ref()?)))
    }

    /// The job's place in the order.
    ///
    /// With ageing, a point of priority counts as having come one span earlier. Two jobs rise at the
    /// same pace, so their order never changes while they wait and the key never needs renewal.
    pub(super) fn key(&self, slot: Slot) -> Key {
        let Record { born, priority, .. } = *self.get(slot);
        self.key_of(born, priority, self.beside(slot))
    }

    /// The place in the order of a job that was born then and stands there.
    pub(super) fn key_of(&self, born: i64, priority: i32, (beside, offset): Beside) -> Key {
        let priority = i64::from(priority);
        let rank = match self.aging {
            Some(span) => born.saturating_sub(priority.saturating_mul(span)),
            None => -priority,
        };
        (rank, born, beside, offset)
    }

    /// Beside which job this one stands: beside itself unless a user said otherwise.
    pub(super) fn beside(&self, slot: Slot) -> Beside {
        let record = self.get(slot);
        let put = if record.asks.is_put() { self.put.get(&slot) } else { None };
        put.copied().unwrap_or((record.id, 0))
    }

    /// Puts a job that stands in no line beside another, or where its age puts it.
    pub(super) fn put_beside(&mut self, slot: Slot, beside: Option<Beside>) {
        if let Some(old) = self.put.remove(&slot) {
            self.beside.remove(&old);
        }
        if let Some(beside) = beside {
            self.put.insert(slot, beside);
            self.beside.insert(beside, slot);
        }
        if let Some(record) = &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK] {
            record.asks.put(beside.is_some());
        }
    }

    /// The nearest offsets that are taken ahead of this place and behind it, of jobs put beside the
    /// same one.
    pub(super) fn neighbours(&self, (beside, offset): Beside) -> (Option<i64>, Option<i64>) {
        let ahead = self.beside.range((beside, i64::MIN)..(beside, offset)).next_back();
        let behind = (
            std::ops::Bound::Excluded((beside, offset)),
            std::ops::Bound::Included((beside, i64::MAX)),
        );
        let behind = self.beside.range(behind).next();
        let of = |found: Option<(&Beside, &Slot)>| found.map(|(&(_, offset), _)| offset);
        // The one that they stand beside has the place 0, whether it is still here or not.
        let ahead = of(ahead).max((offset > 0).then_some(0));
        let behind = [of(behind), (offset < 0).then_some(0)].into_iter().flatten().min();
        (ahead, behind)
    }

    /// The least offset that is taken beside this job.
    pub(super) fn first_beside(&self, beside: JobId) -> Option<i64> {
        self.beside.range((beside, i64::MIN)..=(beside, i64::MAX)).next().map(|(&(_, at), _)| at)
    }

    /// The jobs that were put beside others, both ways; for the checks.
    pub(super) fn all_put(&self) -> (Vec<(Slot, Beside)>, usize) {
        let known = self.put.iter().filter(|(slot, beside)| self.beside.get(beside) == Some(*slot));
        (known.map(|(&slot, &beside)| (slot, beside)).collect(), self.beside.len())
    }
}

/// Spreads numbers that the daemon itself gives out; nobody outside can choose them to collide.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ready job of class `io` that asks for nothing else.
    pub(in super::super) fn record(id: u64, priority: i32) -> Record {
        Record {
            id: JobId::new(id).unwrap(),
            born: 0,
            queue: 0,
            owner: 0,
            priority,
            attempts: 0,
            pardoned: 0,
            policy: 0,
            limits: 0,
            state: State::Queued,
            asks: Asks::new(Class::Io, 1),
            place: Place::Ready,
        }
    }

    #[test]
    fn class_and_permits_come_back_as_they_went_in() {
        for class in Asks::CLASSES {
            for permits in [0, 1, 2, crate::job::Spec::MAX_CPUS] {
                let asks = Asks::new(class, permits);
                assert_eq!((asks.class(), asks.permits()), (class, permits));
            }
            assert_eq!(Asks::new(class, u32::MAX).permits(), u32::from(Asks::PERMITS));
        }
    }

    #[test]
    fn a_record_stays_small() {
        assert!(size_of::<Option<Record>>() <= 48, "{}", size_of::<Option<Record>>());
    }

    #[test]
    fn ids_far_apart_are_found_and_forgotten() {
        let mut table = JobTable::new(None);
        let ids = [1, 255, 256, 257, 1 << 20, JobId::MAX];
        let slots = ids.map(|id| table.insert(record(id, 0)));
        for (id, slot) in ids.into_iter().zip(slots) {
            assert_eq!(table.find(JobId::new(id).unwrap()), Some(slot));
        }
        for slot in slots {
            assert!(table.remove(slot).is_some());
            assert!(table.remove(slot).is_none());
        }
        assert_eq!((table.len(), table.pages.len()), (0, 0));
        assert_eq!(table.insert(record(7, 0)), slots[5], "slots are used again");
    }
}
