//! The place in its queue that a user gives a job.
//!
//! A job's place follows from when it came. One that is put beside another counts as having come with
//! that one, and carries an offset that says how far ahead of it or behind it; so a move writes down
//! one job, whatever the length of the queue. Invariant: no two jobs have one place.

use super::table::{Beside, Slot};
use super::{Decline, Misplaced, Scheduler};
use crate::job::{Came, JobId, Move, Now, Spec, State, Turn, WallTime};

/// The offset of the first job that is put beside another.
const FAR: i64 = 1 << 44;

/// The distance kept from the job beyond: moves to one place, one after the other, then all find room.
const NEAR: i64 = 1 << 20;

/// How many jobs are looked at for the first of a priority.
const MOST_LOOKED: usize = 20_000;

impl Scheduler {
    /// The turn that a user wants for a job, and when it then counts as having come.
    pub(super) fn new_turn(
        &self,
        now: Now,
        slot: Slot,
        spec: &Spec,
        wanted: Move,
    ) -> Result<(Turn, i64), Decline> {
        let id = self.jobs.get(slot).id;
        let last = || {
            let boot = i64::try_from(now.boot.as_micros()).unwrap_or(i64::MAX);
            let born = boot.max(self.latest.saturating_add(1));
            let moment = WallTime(now.wall.0.saturating_add(born.saturating_sub(boot)));
            (Turn { came: Came::At(moment), beside: id, offset: 0 }, born)
        };
        match wanted {
            Move::Last => Ok(last()),
            Move::First => match self.first_of(slot, spec).map_err(Decline::Misplaced)? {
                Some(other) => self.put_first(other),
                // Nobody is there: its own place is as good as any.
                None => Ok(last()),
            },
            Move::Before(other) => self.put(self.beside_whom(id, spec, other)?, false),
            Move::Behind(other) => self.put(self.beside_whom(id, spec, other)?, true),
        }
    }

    /// The job that another is to stand beside.
    fn beside_whom(&self, job: JobId, spec: &Spec, other: JobId) -> Result<Slot, Decline> {
        let wrong = |why| Err(Decline::Misplaced(why));
        if other == job {
            return wrong(Misplaced::Itself);
        }
        let Some(slot) = self.jobs.find(other) else { return wrong(Misplaced::Gone(other)) };
        let record = self.jobs.get(slot);
        if self.writing.contains_key(&slot) {
            return Err(Decline::Busy);
        }
        if record.state == State::Running {
            return wrong(Misplaced::Gone(other));
        }
        if *self.queues.get(record.queue).name != *spec.queue {
            return wrong(Misplaced::OtherQueue(other));
        }
        if record.priority != spec.priority {
            return wrong(Misplaced::OtherPriority(other));
        }
        Ok(slot)
    }

    /// A free place right ahead of a job, or right behind it.
    fn put(&self, other: Slot, behind: bool) -> Result<(Turn, i64), Decline> {
        let record = self.jobs.get(other);
        let (beside, at) = self.jobs.beside(other);
        let (ahead_of, behind_of) = self.jobs.neighbours((beside, at));
        let room = if behind {
            between(at, behind_of.unwrap_or(i64::MAX)).map(|room| match behind_of {
                None => at.saturating_add(FAR),
                Some(next) => next - room,
            })
        } else {
            between(ahead_of.unwrap_or(i64::MIN), at).map(|room| match ahead_of {
                None => at.saturating_sub(FAR),
                Some(next) => next + room,
            })
        };
        let full = Decline::Misplaced(Misplaced::NoRoom(record.id));
        let offset = room.filter(|offset| *offset != at).ok_or(full)?;
        Ok((Turn { came: Came::With(record.id), beside, offset }, record.born))
    }

    /// A free place ahead of a job that is the first in line, and of those that are being put there.
    fn put_first(&self, other: Slot) -> Result<(Turn, i64), Decline> {
        let record = self.jobs.get(other);
        let (beside, at) = self.jobs.beside(other);
        let first = self.jobs.first_beside(beside).map_or(at, |first| first.min(at));
        let full = Decline::Misplaced(Misplaced::NoRoom(record.id));
        let offset = first.checked_sub(NEAR).ok_or(full)?;
        Ok((Turn { came: Came::With(record.id), beside, offset }, record.born))
    }

    /// The first ready job of the queue and priority, but for this one.
    fn first_of(&self, slot: Slot, spec: &Spec) -> Result<Option<Slot>, Misplaced> {
        let Some(queue) = self.queues.find(&spec.queue) else { return Ok(None) };
        let mut looked = 0;
        let mut first = None;
        for line in self.lines.of_queue(queue) {
            for other in line.line.iter() {
                looked += 1;
                if looked > MOST_LOOKED {
                    return Err(Misplaced::TooDeep);
                }
                if other != slot && self.jobs.get(other).priority == spec.priority {
                    let key = (self.jobs.key(other), other);
                    first = Some(first.map_or(key, |best: (_, _)| best.min(key)));
                    break;
                }
            }
        }
        Ok(first.map(|(_, slot)| slot))
    }

    /// Gives the job, which stands in no line, its new turn; returns the old one.
    pub(super) fn take_turn(&mut self, slot: Slot, turn: Turn, born: i64) -> (i64, Beside) {
        let was = (self.jobs.get(slot).born, self.jobs.beside(slot));
        self.latest = self.latest.max(born);
        self.take_turn_back(slot, (born, (turn.beside, turn.offset)));
        was
    }

    /// Gives the job, which stands in no line, the turn that it had.
    pub(super) fn take_turn_back(&mut self, slot: Slot, (born, beside): (i64, Beside)) {
        let record = self.jobs.get_mut(slot);
        record.born = born;
        let own = (record.id, 0);
        self.jobs.put_beside(slot, Some(beside).filter(|beside| *beside != own));
    }
}

/// How far from the far end a new place between two is; none if they stand next to each other.
fn between(low: i64, high: i64) -> Option<i64> {
    let gap = high.checked_sub(low).unwrap_or(i64::MAX);
    (gap > 1).then(|| (gap / 2).min(NEAR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_place_lies_between_its_neighbours() {
        assert_eq!(between(0, 1), None);
        assert_eq!(between(0, 2), Some(1));
        assert_eq!(between(-FAR, 0), Some(NEAR));
        assert_eq!(between(i64::MIN, i64::MAX), Some(NEAR));
    }
}
