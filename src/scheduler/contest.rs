//! Who competes for the room of one class: the open lines, by size and by what their queues have had.
//!
//! Owns the weighted fairness between queues (stride scheduling: a queue's *pass* grows by what it
//! takes divided by its weight; the least pass goes first). Never looks into a line.
//! Invariant: exactly the open lines stand here, each under its queue's present pass.

use std::collections::{BTreeMap, BTreeSet};

/// How much a queue has had of a class, for its weight.
pub(super) type Pass = u128;

/// One permit at weight 1. The largest weight still pays for each permit, so no queue is free.
const ONE: Pass = 1 << 32;

/// The open lines of one class.
#[derive(Debug, Default)]
pub(super) struct Contest {
    /// By permits asked for, then pass, then queue.
    lines: BTreeMap<u32, BTreeSet<(Pass, u32)>>,
    /// The pass of the latest start in its turn: where a queue begins that had nothing to run, so
    /// that it can't save up turns.
    pub(super) level: Pass,
    /// How many have overtaken the top since something in its turn started.
    pub(super) overtaken: u32,
}

impl Contest {
    /// What a start costs a queue.
    pub(super) fn price(permits: u32, weight: u32) -> Pass {
        Pass::from(permits) * ONE / Pass::from(weight.max(1))
    }

    pub(super) fn enter(&mut self, permits: u32, pass: Pass, queue: u32) {
        self.lines.entry(permits).or_default().insert((pass, queue));
    }

    pub(super) fn leave(&mut self, permits: u32, pass: Pass, queue: u32) {
        if let Some(lines) = self.lines.get_mut(&permits) {
            lines.remove(&(pass, queue));
            if lines.is_empty() {
                self.lines.remove(&permits);
            }
        }
    }

    /// The queue whose turn it is among those with an open line of at most so many permits.
    pub(super) fn top(&self, most: u32) -> Option<u32> {
        let firsts = self.lines.range(..=most).filter_map(|(_, lines)| lines.first());
        firsts.min().map(|&(_, queue)| queue)
    }

    pub(super) fn contains(&self, permits: u32, pass: Pass, queue: u32) -> bool {
        self.lines.get(&permits).is_some_and(|lines| lines.contains(&(pass, queue)))
    }

    pub(super) fn len(&self) -> usize {
        self.lines.values().map(BTreeSet::len).sum()
    }
}
