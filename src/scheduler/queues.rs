//! The queues: their settings, their lines and how many of their jobs are where.
//!
//! Invariant: a queue is kept while it has settings of its own or jobs that are not finished.

use std::collections::HashMap;
use std::sync::Arc;

use super::SEATS;
use super::contest::Pass;
use super::line::Line;
use super::table::Place;
use crate::job::{Class, QueueRecord};

/// All queues, by number and by name.
#[derive(Debug, Default)]
pub(super) struct Queues {
    kept: Vec<Option<Queue>>,
    free: Vec<u32>,
    numbers: HashMap<Arc<str>, u32>,
}

/// One queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: Arc<str>,
    /// Whether somebody gave it settings; otherwise those below are the defaults.
    pub(super) set: bool,
    pub(super) max: Option<u32>,
    pub(super) weight: u32,
    pub(super) paused: bool,
    pub(super) reason: Option<String>,
    /// One for each shape of demand that its ready jobs have; emptied ones go.
    pub(super) lines: Vec<ShapedLine>,
    /// What it has had of each class.
    pub(super) pass: [Pass; SEATS],
    /// How many of its jobs have overtaken its best one; counted only under a limit of its own.
    pub(super) overtaken: u32,
    pub(super) counts: Counts,
}

/// The ready jobs of one queue that ask for the same.
#[derive(Debug)]
pub(super) struct ShapedLine {
    pub(super) class: Class,
    pub(super) permits: u32,
    pub(super) line: Line,
    /// The pass under which it stands in its class's contest, if it is open.
    pub(super) open: Option<Pass>,
}

/// How many jobs are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) ready: u32,
    pub(super) timed: u32,
    pub(super) held: u32,
    pub(super) waiting: u32,
    pub(super) running: u32,
    pub(super) writing: u32,
}

impl Counts {
    pub(super) fn of(&mut self, place: Place) -> &mut u32 {
        match place {
            Place::Ready => &mut self.ready,
            Place::Timed => &mut self.timed,
            Place::Held => &mut self.held,
            Place::Waiting => &mut self.waiting,
            Place::Running => &mut self.running,
            Place::Writing => &mut self.writing,
        }
    }

    pub(super) fn total(&self) -> u32 {
        self.ready + self.timed + self.held + self.waiting + self.running + self.writing
    }
}

impl Queue {
    fn named(name: Arc<str>) -> Self {
        Self {
            name,
            set: false,
            max: None,
            weight: QueueRecord::DEFAULT_WEIGHT,
            paused: false,
            reason: None,
            lines: Vec::new(),
            pass: [0; SEATS],
            overtaken: 0,
            counts: Counts::default(),
        }
    }

    /// Whether it is at its limit.
    pub(super) fn is_full(&self) -> bool {
        self.max.is_some_and(|max| self.counts.running >= max)
    }

    /// The number of the line for jobs of this shape; made if it is not there.
    pub(super) fn line_for(&mut self, class: Class, permits: u32) -> usize {
        self.line_of(class, permits).unwrap_or_else(|| {
            self.lines.push(ShapedLine { class, permits, line: Line::default(), open: None });
            self.lines.len() - 1
        })
    }

    /// The number of the line for jobs of this shape.
    pub(super) fn line_of(&self, class: Class, permits: u32) -> Option<usize> {
        self.lines.iter().position(|line| line.class == class && line.permits == permits)
    }
}

impl Queues {
    /// The number of the queue with this name; made if it is not there.
    pub(super) fn number(&mut self, name: &Arc<str>) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let queue = Some(Queue::named(Arc::clone(name)));
        let number = if let Some(number) = self.free.pop() {
            self.kept[number as usize] = queue;
            number
        } else {
            self.kept.push(queue);
            self.kept.len() as u32 - 1
        };
        self.numbers.insert(Arc::clone(name), number);
        number
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// A queue that is in use: numbers never leave the scheduler.
    pub(super) fn get(&self, number: u32) -> &Queue {
        self.kept[number as usize].as_ref().expect("a queue in use")
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Queue {
        self.kept[number as usize].as_mut().expect("a queue in use")
    }

    /// Forgets the queue if nothing needs it.
    pub(super) fn tidy(&mut self, number: u32) {
        let queue = self.get(number);
        if !queue.set && queue.counts.total() == 0 {
            let name = Arc::clone(&queue.name);
            self.numbers.remove(&name);
            self.kept[number as usize] = None;
            self.free.push(number);
        }
    }

    /// The numbers of all queues.
    pub(super) fn all(&self) -> Vec<u32> {
        self.iter().map(|(number, _)| number).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Queue)> {
        let all = self.kept.iter().enumerate();
        all.filter_map(|(number, queue)| Some((number as u32, queue.as_ref()?)))
    }
}
