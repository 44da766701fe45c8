//! Arrays whose later elements are not jobs of their own yet: they become jobs when their turn comes
//! near, or when somebody names them.
//!
//! Owns what is left of each array. Invariant between steps: of a folded array that is queued, an
//! element stands in line as its *mark*, or the next elements are on their way to the disk, or their
//! refused write is to be tried again. When the mark leaves the line, more are asked for; half of the
//! last ones still stand behind it, so that the line does not run dry meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::on_submitted::born;
use super::places::decline;
use super::table::{Key, Place, Slot, Spread};
use super::{Action, Decline, Entry, Scheduler, WRITE_AGAIN};
use crate::job::{Change, Deadline, Fold, Folded, JobId, Now, State};

/// By how many microseconds two moments may differ that were one, before it was told on another clock.
const CLOCKS_DIFFER: u64 = 1_000_000;

/// Elements of an array that are written down as one.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedEntry {
    /// The first of them, as it will enter.
    pub first: Entry,
    /// How many there are, and how far apart their indexes are.
    pub fold: Fold,
    /// How many become jobs at once.
    pub at_once: u64,
}

/// What is left of the arrays that are folded.
#[derive(Debug, Default)]
pub(super) struct Folds {
    left: BTreeMap<JobId, Left>,
    /// Elements that stand in line and tell when more are wanted.
    marks: HashMap<Slot, JobId, BuildHasherDefault<Spread>>,
    /// Arrays of which more are wanted.
    wanted: Vec<JobId>,
    /// Refused writes that are to be tried again.
    again: Vec<(Deadline, JobId)>,
}

#[derive(Debug)]
struct Left {
    entry: FoldedEntry,
    /// More are on their way to the disk, or will be after a refusal.
    asked: bool,
    /// Everything up to this id is wanted.
    through: Option<JobId>,
    /// When the array was submitted, on the boot clock: all its elements are as old, whenever they
    /// become jobs.
    born: i64,
}

impl Folds {
    /// How many elements are folded.
    pub(super) fn len(&self) -> usize {
        self.left.values().map(|left| left.entry.fold.count as usize).sum()
    }

    /// The job is not in line any more.
    pub(super) fn left_line(&mut self, slot: Slot) {
        if !self.marks.is_empty()
            && let Some(array) = self.marks.remove(&slot)
        {
            self.wanted.push(array);
        }
    }

    /// When a refused write is tried again.
    pub(super) fn next(&self) -> Option<Deadline> {
        self.again.iter().map(|(deadline, _)| *deadline).min_by_key(|deadline| deadline.boot)
    }

    /// What is folded: the array, the first element and how many.
    pub(super) fn iter(&self) -> impl Iterator<Item = (JobId, &Entry, u64)> {
        self.left.iter().map(|(array, left)| (*array, &left.entry.first, left.entry.fold.count))
    }

    /// The last job of its own before this folded element, and how far that is.
    pub(super) fn last_before(&self, job: JobId) -> Option<(JobId, usize)> {
        let (_, left) = self.left.range(..=job).next_back()?;
        let FoldedEntry { first, fold, .. } = &left.entry;
        let behind = job.get().checked_sub(first.id.get())?;
        let before = JobId::new(first.id.get() - 1).ok()?;
        (behind < fold.count).then_some((before, behind as usize + 1))
    }

    /// Whether the invariant holds of the array's fold, `ready` telling who stands in line.
    pub(super) fn goes_on(&self, array: JobId, ready: impl Fn(Slot) -> bool) -> bool {
        let mut marks = self.marks.iter().filter(|(_, of)| **of == array);
        self.left.get(&array).is_some_and(|left| {
            left.entry.first.state != State::Queued
                || left.asked
                || marks.any(|(&slot, _)| ready(slot))
        })
    }
}

impl Scheduler {
    /// Elements of an array that are written down as one are there.
    pub(super) fn on_folded(&mut self, now: Now, entry: FoldedEntry) {
        let FoldedEntry { first, fold, .. } = &entry;
        let Some(array) = first.place.map(|place| place.array) else { return };
        let queue = self.queues.number(&first.queue);
        self.queues.get_mut(queue).counts.folded += fold.count as u32;
        let born = self.born_before(first, born(now, first));
        self.folds.left.insert(array, Left { entry, asked: false, through: None, born });
        self.mark(array);
    }

    /// When the element before this one came, if that is the same moment as its own: the two clocks of two
    /// moments never agree to the microsecond. A user may have put the other one elsewhere.
    fn born_before(&self, first: &Entry, own: i64) -> i64 {
        let before = JobId::new(first.id.get() - 1).ok().and_then(|id| self.jobs.find(id));
        let born = before.map(|slot| self.jobs.get(slot).born);
        born.filter(|born| born.abs_diff(own) < CLOCKS_DIFFER).unwrap_or(own)
    }

    /// Somebody names elements of the array, up to this id.
    pub(super) fn on_unfold(&mut self, array: JobId, through: JobId) {
        if let Some(left) = self.folds.left.get_mut(&array) {
            left.through = left.through.max(Some(through));
            self.folds.wanted.push(array);
        }
    }

    /// The first element of the array that is not a job of its own yet.
    pub fn folded_from(&self, array: JobId) -> Option<JobId> {
        self.folds.left.get(&array).map(|left| left.entry.first.id)
    }

    /// Whose the folded elements of the array are.
    pub fn folded_owner(&self, array: JobId) -> Option<u32> {
        self.folds.left.get(&array).map(|left| left.entry.first.owner)
    }

    /// What is folded of the array.
    pub fn folded(&self, array: JobId) -> Option<Folded> {
        let FoldedEntry { first, fold, .. } = &self.folds.left.get(&array)?.entry;
        Some(Folded { array, first: first.id, count: fold.count })
    }

    /// How many folded elements of the queue are held: the others are as good as in line.
    pub(super) fn folded_held(&self, queue: &str) -> u32 {
        let held = |left: &&Left| {
            let first = &left.entry.first;
            first.state == State::Held && *first.queue == *queue
        };
        self.folds.left.values().filter(held).map(|left| left.entry.fold.count as u32).sum()
    }

    /// How many folded elements of the queue go before a job with this key.
    pub(super) fn folded_before(&self, queue: u32, key: Key) -> usize {
        let ahead = |left: &&Left| {
            let first = &left.entry.first;
            first.state == State::Queued
                && self.queues.find(&first.queue) == Some(queue)
                && self.jobs.key_of(left.born, first.priority, (first.id, 0)) < key
        };
        self.folds.left.values().filter(ahead).map(|left| left.entry.fold.count as usize).sum()
    }

    /// The elements that are not jobs of their own yet, by array.
    pub fn folds(&self) -> impl Iterator<Item = &FoldedEntry> {
        self.folds.left.values().map(|left| &left.entry)
    }

    /// A user wants what is folded of the array to go elsewhere: as one, whatever there is of it.
    pub(super) fn on_move_folded(
        &mut self,
        now: Now,
        array: JobId,
        to: State,
        reason: Option<String>,
        actions: &mut Vec<Action>,
    ) {
        let Some(left) = self.folds.left.get_mut(&array) else {
            return decline(array, Decline::Unknown, actions);
        };
        let FoldedEntry { first, fold, .. } = &left.entry;
        let from = first.state;
        if left.asked {
            return decline(array, Decline::Busy, actions);
        }
        if !from.may_become(to) || from == to {
            return decline(array, Decline::State(from), actions);
        }
        left.asked = true;
        let folded = Folded { array, first: first.id, count: fold.count };
        let at = now.wall;
        actions.push(Action::Write(Change::FoldMoved { folded, from, to, reason, at }));
    }

    /// What is folded of the array has gone elsewhere, or stays where it was.
    pub(super) fn on_fold_moved(&mut self, array: JobId, went: Option<(State, Option<String>)>) {
        let Some(left) = self.folds.left.get_mut(&array).filter(|left| left.asked) else { return };
        left.asked = false;
        let FoldedEntry { first, fold, .. } = &mut left.entry;
        let ended = went.as_ref().is_some_and(|(to, _)| to.is_final());
        if let Some((to, reason)) = went.filter(|_| !ended) {
            first.state = to;
            first.reason = reason.map(String::into_boxed_str);
        }
        self.folds.marks.retain(|_, of| *of != array);
        if ended {
            let (queue, count) = (Arc::clone(&first.queue), fold.count);
            self.folds.left.remove(&array);
            if let Some(number) = self.queues.find(&queue) {
                self.queues.get_mut(number).counts.folded -= count as u32;
                self.queues.tidy(number);
            }
        } else if left.through.is_some_and(|through| through >= first.id) {
            self.folds.wanted.push(array);
        } else {
            self.mark(array);
        }
    }

    /// Chooses the element that tells when more are wanted: one in the middle of the last ones, or
    /// the last of all. If neither stands in line, more are wanted now.
    fn mark(&mut self, array: JobId) {
        let Some(left) = self.folds.left.get(&array) else { return };
        let FoldedEntry { first, at_once, .. } = &left.entry;
        if first.state != State::Queued {
            return;
        }
        let last = first.id.get() - 1;
        let middle = last.saturating_sub(at_once / 2);
        let ready = [middle, last].into_iter().find_map(|id| {
            let slot = self.jobs.find(JobId::new(id).ok()?)?;
            (self.jobs.get(slot).place == Place::Ready).then_some(slot)
        });
        match ready {
            Some(slot) => drop(self.folds.marks.insert(slot, array)),
            None => self.folds.wanted.push(array),
        }
    }

    /// Asks for the elements that are wanted, as far as they are not on their way already.
    pub(super) fn unfold_wanted(&mut self, now: Now, actions: &mut Vec<Action>) {
        let due = |(deadline, _): &mut (Deadline, JobId)| deadline.is_due(now);
        let again: Vec<_> = self.folds.again.extract_if(.., due).collect();
        for (_, array) in again {
            if let Some(left) = self.folds.left.get_mut(&array) {
                left.asked = false;
                self.folds.wanted.push(array);
            }
        }
        for array in std::mem::take(&mut self.folds.wanted) {
            if let Some(left) = self.folds.left.get_mut(&array).filter(|left| !left.asked) {
                left.asked = true;
                let count = left.entry.at_once.min(left.entry.fold.count);
                actions.push(Action::Write(Change::Unfolded { array, count }));
            }
        }
    }

    /// The next elements are jobs of their own on the disk.
    pub(super) fn on_unfolded(&mut self, array: JobId, count: u64, actions: &mut Vec<Action>) {
        let Some(left) = self.folds.left.get_mut(&array).filter(|left| left.asked) else { return };
        left.asked = false;
        let FoldedEntry { first, fold, .. } = &mut left.entry;
        let count = count.min(fold.count);
        let mut entries = Vec::with_capacity(count as usize);
        for _ in 0..count {
            entries.push(first.clone());
            first.id = first.id.after(1);
            if let Some(place) = &mut first.place {
                place.index += fold.step;
            }
        }
        fold.count -= count;
        let (queue, rest, born) = (Arc::clone(&first.queue), fold.count, left.born);
        let goes_on = left.through.is_some_and(|through| through >= first.id);
        if let Some(number) = self.queues.find(&queue) {
            self.queues.get_mut(number).counts.folded -= count as u32;
        }
        self.take_all(entries, |_| born, actions);
        if rest == 0 {
            self.folds.left.remove(&array);
            self.folds.marks.retain(|_, of| *of != array);
        } else if goes_on {
            self.folds.wanted.push(array);
        } else {
            self.folds.marks.retain(|_, of| *of != array);
            self.mark(array);
        }
    }

    /// The disk refused to unfold: it is asked again after a pause.
    pub(super) fn unfold_later(&mut self, now: Now, array: JobId) {
        if self.folds.left.get(&array).is_some_and(|left| left.asked) {
            self.folds.again.push((Deadline::after(now, WRITE_AGAIN), array));
        }
    }
}
