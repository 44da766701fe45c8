//! What holds after every step, checked the slow way.
//!
//! Looks at everything: for tests and simulations, not for the loop.

use std::collections::HashMap;

use super::dependencies::Verdict;
use super::queues::Counts;
use super::table::Place;
use super::{SEATS, Scheduler, Writing, seat};
use crate::job::State;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {found}")]
pub struct Violation {
    /// What should hold.
    pub rule: &'static str,
    /// What was found.
    pub found: String,
}

impl Scheduler {
    /// Checks everything that must hold after every step.
    pub fn check_invariants(&self) -> Result<(), Violation> {
        self.check_places()?;
        self.check_counts()?;
        self.check_permits()?;
        self.check_lines()?;
        self.check_contests()?;
        self.check_dependencies()?;
        self.check_rest()
    }

    /// Each job is in one place, and that place knows it.
    fn check_places(&self) -> Result<(), Violation> {
        let mut counted = [0usize; 3];
        for (slot, record) in self.jobs.iter() {
            let id = record.id;
            hold(self.jobs.find(id) == Some(slot), "an id leads to its job", id)?;
            hold(!record.state.is_final(), "a finished job is forgotten", id)?;
            let (running, writing) = (self.running.contains_key(&slot), self.writing.get(&slot));
            let fits = match record.place {
                Place::Ready => record.state == State::Queued,
                Place::Timed => record.state == State::Scheduled && self.timers.is_armed(slot),
                Place::Held => record.state == State::Held,
                Place::Waiting => record.state == State::Waiting,
                Place::Running => record.state == State::Running,
                Place::Writing => match writing {
                    Some(Writing::Ended { next, .. }) => {
                        record.state == State::Running && record.state.may_become(*next)
                    }
                    Some(Writing::Moved(to)) => {
                        record.state != State::Running && record.state.may_become(*to)
                    }
                    None => false,
                },
            };
            hold(fits, "a job's place fits its state", format!("{record:?}"))?;
            hold(running == (record.place == Place::Running), "what runs has a token", id)?;
            hold(
                writing.is_some() == (record.place == Place::Writing),
                "what is written waits",
                id,
            )?;
            counted[0] += usize::from(running);
            counted[1] += usize::from(writing.is_some());
            counted[2] += usize::from(self.timers.is_armed(slot));
        }
        let (armed, moments) = self.timers.lens();
        hold(armed <= moments, "an armed timer has a moment", armed)?;
        let kept = [self.running.len(), self.writing.len(), armed];
        hold(counted == kept, "no table knows a job that is gone", format!("{counted:?} {kept:?}"))
    }

    /// The counts of the queues are those of their jobs.
    fn check_counts(&self) -> Result<(), Violation> {
        let mut counted: HashMap<u32, Counts> = HashMap::new();
        for (_, record) in self.jobs.iter() {
            *counted.entry(record.queue).or_default().of(record.place) += 1;
        }
        for (number, queue) in self.queues.iter() {
            let counts = counted.remove(&number).unwrap_or_default();
            hold(
                counts == queue.counts,
                "a queue counts its jobs",
                format!("{queue:?} {counts:?}"),
            )?;
            hold(queue.set || counts.total() > 0, "an unused queue is forgotten", &queue.name)?;
        }
        hold(counted.is_empty(), "each job's queue is kept", counted.len())
    }

    /// No permit is lost or doubled.
    fn check_permits(&self) -> Result<(), Violation> {
        let mut used = [0u32; SEATS];
        for &slot in self.running.keys() {
            let record = self.jobs.get(slot);
            used[seat(record.class)] += record.permits;
        }
        let taken = self.rooms.map(|room| room.used);
        hold(
            used == taken,
            "what is taken is what running jobs hold",
            format!("{used:?} {taken:?}"),
        )
    }

    /// Lines are sorted and hold exactly the ready jobs.
    fn check_lines(&self) -> Result<(), Violation> {
        let mut lined = 0;
        for (number, queue) in self.queues.iter() {
            for shaped in &queue.lines {
                let slots: Vec<_> = shaped.line.iter().collect();
                let sorted = slots.is_sorted_by(|&a, &b| self.jobs.key(a) < self.jobs.key(b));
                hold(sorted, "a line is sorted", &queue.name)?;
                hold(slots.len() == shaped.line.len(), "a line knows its length", slots.len())?;
                hold(!slots.is_empty(), "an empty line is dropped", &queue.name)?;
                for &slot in &slots {
                    let record = self.jobs.get(slot);
                    let same = (record.queue, record.class, record.permits, record.place)
                        == (number, shaped.class, shaped.permits, Place::Ready);
                    hold(same, "a line's jobs are alike and ready", format!("{record:?}"))?;
                }
                lined += slots.len();
            }
        }
        let ready = self.jobs.iter().filter(|(_, record)| record.place == Place::Ready).count();
        hold(lined == ready, "every ready job stands in a line", format!("{lined} of {ready}"))
    }

    /// Exactly the open lines compete, and an open line's queue may start something.
    fn check_contests(&self) -> Result<(), Violation> {
        let mut open = [0usize; SEATS];
        for (number, queue) in self.queues.iter() {
            let only = self.only_line(number);
            for (index, shaped) in queue.lines.iter().enumerate() {
                let class = seat(shaped.class);
                let may = !queue.paused
                    && !queue.is_full()
                    && shaped.permits <= self.rooms[class].size
                    && only.is_none_or(|only| only == index);
                hold(shaped.open.is_some() == may, "a line is open when it may be", &queue.name)?;
                let Some(pass) = shaped.open else { continue };
                open[class] += 1;
                hold(pass == queue.pass[class], "a line stands under its pass", &queue.name)?;
                let there = self.contests[class].contains(shaped.permits, pass, number);
                hold(there, "an open line competes", &queue.name)?;
            }
        }
        let standing: [usize; SEATS] = std::array::from_fn(|class| self.contests[class].len());
        hold(open == standing, "only open lines compete", format!("{open:?} {standing:?}"))
    }

    /// Both ways between jobs and what they require say the same, and no waiting job is forgotten.
    fn check_dependencies(&self) -> Result<(), Violation> {
        let (slots, is_moved, (pairs, wanted)) = self.dependencies.check();
        hold(pairs == wanted, "requirements are known both ways", format!("{pairs} {wanted}"))?;
        let mut known = 0;
        for slot in slots {
            known += 1;
            let right = self.dependencies.is_counted_right(slot);
            hold(right, "open requirements are counted", slot)?;
        }
        let mut found = 0;
        for (slot, record) in self.jobs.iter() {
            let id = record.id;
            let requires = self.dependencies.of(slot).next().is_some();
            let may = matches!(record.place, Place::Held | Place::Waiting | Place::Writing);
            found += usize::from(requires);
            hold(!requires || may, "what is passed is forgotten", id)?;
            let waits = self.dependencies.verdict(slot) == Verdict::Waits;
            let moves = record.place == Place::Waiting && !waits && self.may_fire();
            hold(!moves || is_moved(slot), "a decided job is moved on", id)?;
            let strange = is_moved(slot) && (record.place != Place::Waiting || waits);
            hold(!strange, "only decided jobs are moved on", id)?;
        }
        hold(
            found == known,
            "requirements belong to a job that is here",
            format!("{found} {known}"),
        )
    }

    fn check_rest(&self) -> Result<(), Violation> {
        let mut policies = std::collections::BTreeSet::new();
        for (_, record) in self.jobs.iter() {
            policies.insert(record.policy);
        }
        policies.remove(&0);
        hold(
            policies.len() == self.policies.len(),
            "a policy is kept for its jobs",
            policies.len(),
        )?;
        let held = |slot| matches!(self.jobs.get(slot).place, Place::Held | Place::Writing);
        hold(self.reasons.keys().all(|&slot| held(slot)), "a reason belongs to a hold", "")
    }
}

#[expect(clippy::needless_pass_by_value, reason = "callers read better without references")]
fn hold(holds: bool, rule: &'static str, found: impl ToString) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { rule, found: found.to_string() }) }
}
