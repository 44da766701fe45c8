//! All lines, by number and by shape.
//!
//! Owns the lines and which shape each has. Invariant: no line is empty between steps, and each shape
//! has one line at most.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::limits::LimitNo;
use super::line::Line;
use super::seat;
use super::table::{Key, Slot, Spread};
use crate::job::Class;

/// A line's number.
pub(super) type LineNo = u32;

/// The lines of one queue that ask for the same class and permits: queue, seat, permits.
pub(super) type Group = (u32, usize, u32);

/// What the jobs of a line have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) queue: u32,
    pub(super) class: Class,
    pub(super) permits: u32,
    /// The number of the set of limits.
    pub(super) limits: u32,
}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.queue) << 32 | u64::from(self.limits));
        state.write_u64((seat(self.class) as u64) << 32 | u64::from(self.permits));
    }
}

impl Shape {
    pub(super) fn group(self) -> Group {
        (self.queue, seat(self.class), self.permits)
    }
}

/// The ready jobs of one queue that ask for the same.
#[derive(Debug)]
pub(super) struct ShapedLine {
    pub(super) shape: Shape,
    pub(super) line: Line,
    pub(super) stand: Stand,
    /// Since when it has been kept waiting by a limit, if it has.
    pub(super) wait: Option<Box<Wait>>,
    /// Its place among the lines of its queue.
    beside: u32,
}

/// Whether a line's head may be chosen. A line is looked at when it is at the top, so one that is
/// open may turn out to belong on a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// Among the heads of its group, under this key.
    Open(Key),
    /// On a limit that is reached, under this key.
    Parked(LimitNo, Key),
    /// Nowhere yet.
    New,
}

/// How long a line has been kept waiting by limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// The limit that was first in its way.
    pub(super) limit: LimitNo,
    /// Its turn among those that wait.
    pub(super) turn: u64,
    /// The limit's starts when it began to wait.
    pub(super) mark: u64,
    /// How often it was woken in vain.
    pub(super) again: u32,
}

/// The lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    kept: Vec<Option<ShapedLine>>,
    free: Vec<LineNo>,
    numbers: HashMap<Shape, LineNo, BuildHasherDefault<Spread>>,
    /// The lines of each queue, in no order: ranks are counted over one queue and not over all.
    by_queue: HashMap<u32, Vec<LineNo>>,
}

impl Lines {
    /// A line for jobs of this shape, which has none yet.
    pub(super) fn add(&mut self, shape: Shape) -> LineNo {
        let beside = self.by_queue.entry(shape.queue).or_default();
        let line = ShapedLine {
            shape,
            line: Line::default(),
            stand: Stand::New,
            wait: None,
            beside: beside.len() as u32,
        };
        let number = if let Some(number) = self.free.pop() {
            self.kept[number as usize] = Some(line);
            number
        } else {
            self.kept.push(Some(line));
            self.kept.len() as LineNo - 1
        };
        beside.push(number);
        self.numbers.insert(shape, number);
        number
    }

    /// The line for jobs of this shape; the one that is guessed is looked at first.
    pub(super) fn find(&self, shape: Shape, guess: Option<LineNo>) -> Option<LineNo> {
        let fits = |&number: &LineNo| {
            let line = self.kept.get(number as usize).and_then(Option::as_ref);
            line.is_some_and(|line| line.shape == shape)
        };
        guess.filter(fits).or_else(|| self.numbers.get(&shape).copied())
    }

    /// A line that is in use: numbers never leave the scheduler.
    pub(super) fn get(&self, number: LineNo) -> &ShapedLine {
        self.kept[number as usize].as_ref().expect("a line in use")
    }

    pub(super) fn get_mut(&mut self, number: LineNo) -> &mut ShapedLine {
        self.kept[number as usize].as_mut().expect("a line in use")
    }

    pub(super) fn head(&self, number: LineNo) -> Option<Slot> {
        self.get(number).line.head()
    }

    pub(super) fn remove(&mut self, number: LineNo) {
        if let Some(line) = self.kept[number as usize].take() {
            self.numbers.remove(&line.shape);
            self.free.push(number);
            self.leave_queue(&line);
        }
    }

    fn leave_queue(&mut self, line: &ShapedLine) {
        let Some(beside) = self.by_queue.get_mut(&line.shape.queue) else { return };
        beside.swap_remove(line.beside as usize);
        if let Some(&moved) = beside.get(line.beside as usize) {
            self.get_mut(moved).beside = line.beside;
        } else if beside.is_empty() {
            self.by_queue.remove(&line.shape.queue);
        }
    }

    /// The lines of one queue.
    pub(super) fn of_queue(&self, queue: u32) -> impl Iterator<Item = &ShapedLine> {
        self.by_queue.get(&queue).into_iter().flatten().map(|&number| self.get(number))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LineNo, &ShapedLine)> {
        let all = self.kept.iter().enumerate();
        all.filter_map(|(number, line)| Some((number as LineNo, line.as_ref()?)))
    }
}
