//! The queues: their settings, their lines and how many of their jobs are where.
//!
//! Invariant: a queue is kept while it has settings of its own or jobs that are not finished.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::SEATS;
use super::contest::Pass;
use super::forecast::Recent;
use super::lines::LineNo;
use super::pace::Pace;
use super::table::{Key, Place};
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
    /// How many of its jobs may start in a span of time.
    pub(super) pace: Option<Pace>,
    /// The moment before which its rate lets nothing start.
    pub(super) shut_until: Option<Duration>,
    pub(super) paused: bool,
    pub(super) reason: Option<String>,
    /// One for each class and number of permits that its ready jobs ask for; emptied ones go.
    pub(super) groups: Vec<Group>,
    /// What it has had of each class.
    pub(super) pass: [Pass; SEATS],
    /// How many of its jobs have overtaken its best one; counted only under a limit of its own.
    pub(super) overtaken: u32,
    pub(super) counts: Counts,
    /// How long its latest attempts took.
    pub(super) recent: Recent,
}

/// The lines of one queue that ask for the same class and permits; they differ in their limits.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) class: Class,
    pub(super) permits: u32,
    /// How many lines there are, parked ones included.
    pub(super) lines: u32,
    /// The heads of those that are open, best first.
    pub(super) heads: BTreeSet<(Key, LineNo)>,
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
    pub(super) poised: u32,
    pub(super) running: u32,
    pub(super) writing: u32,
    /// Elements of arrays that are not jobs of their own yet.
    pub(super) folded: u32,
}

impl Counts {
    pub(super) fn of(&mut self, place: Place) -> &mut u32 {
        match place {
            Place::Ready => &mut self.ready,
            Place::Timed => &mut self.timed,
            Place::Held => &mut self.held,
            Place::Waiting => &mut self.waiting,
            Place::Poised => &mut self.poised,
            Place::Running => &mut self.running,
            Place::Writing => &mut self.writing,
        }
    }

    pub(super) fn total(&self) -> u32 {
        let there = self.ready + self.timed + self.held + self.waiting;
        there + self.taken() + self.writing + self.folded
    }

    /// How many places of the queue's own limit are taken.
    pub(super) fn taken(&self) -> u32 {
        self.running + self.poised
    }
}

impl Queue {
    fn named(name: Arc<str>) -> Self {
        Self {
            name,
            set: false,
            max: None,
            weight: QueueRecord::DEFAULT_WEIGHT,
            pace: None,
            shut_until: None,
            paused: false,
            reason: None,
            groups: Vec::new(),
            pass: [0; SEATS],
            overtaken: 0,
            counts: Counts::default(),
            recent: Recent::default(),
        }
    }

    /// Whether nothing of it may start at present.
    pub(super) fn is_shut(&self) -> bool {
        self.paused || self.is_full() || self.shut_until.is_some()
    }

    /// Whether it is at its limit.
    pub(super) fn is_full(&self) -> bool {
        self.max.is_some_and(|max| self.counts.taken() >= max)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// The group for jobs of this class and size; made if it is not there.
    pub(super) fn group(&mut self, class: Class, permits: u32) -> &mut Group {
        let index = self.group_of(class, permits).unwrap_or_else(|| {
            let heads = BTreeSet::new();
            self.groups.push(Group { class, permits, lines: 0, heads, open: None });
            self.groups.len() - 1
        });
        &mut self.groups[index]
    }

    /// Where the group for jobs of this class and size is.
    pub(super) fn group_of(&self, class: Class, permits: u32) -> Option<usize> {
        self.groups.iter().position(|group| group.class == class && group.permits == permits)
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
