//! Lines and the limits in their way: parking, waking, and keeping a place for the overtaken.
//!
//! Owns no state of its own. Invariant between steps: where a limit has room that a parked line may
//! take, an open line of the same group stands under that limit too, so that one wakes after the
//! other and no step ever looks at all of them.

use super::limits::{LimitNo, Units};
use super::lines::{Group, LineNo, Stand, Wait};
use super::queues::Queue;
use super::{SEATS, Scheduler};

/// How many lines are parked or woken in one step. What is left over goes on in the next one, which
/// [`Scheduler::next_deadline`] asks for at once.
const MOST_MOVED: u32 = 1_000;

/// A start costs as much as so many moves: whoever performs it takes some 10 µs, and when room for
/// thousands opens at once, the loop is to hear others in between.
const START: u32 = 4;

/// How many parked lines of a group are looked at for one that a resource has enough for. What is
/// hidden behind so many bigger ones gets its turn when it was overtaken too often.
pub(super) const MOST_LOOKED: usize = 32;

/// How much of what is allowed in one step is left.
#[derive(Debug)]
pub(super) struct Budget(u32);

impl Budget {
    pub(super) fn of_a_step() -> Self {
        Self(MOST_MOVED)
    }

    pub(super) fn take(&mut self) -> bool {
        let some = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        some
    }

    pub(super) fn pay_start(&mut self) {
        self.0 = self.0.saturating_sub(START);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

impl Scheduler {
    /// Puts the line where its present head belongs, or drops it when it is empty.
    pub(super) fn rehead(&mut self, number: LineNo) {
        let line = self.lines.get(number);
        let (shape, stand) = (line.shape, line.stand);
        let Some(slot) = line.line.head() else { return self.drop_line(number) };
        let key = self.jobs.key(slot);
        let new = match stand {
            Stand::Open(old) | Stand::Parked(_, old) if old == key => return,
            Stand::Parked(limit, old) => {
                self.limits.unpark(limit, shape.group(), old, number);
                self.limits.park(limit, shape.group(), key, number);
                Stand::Parked(limit, key)
            }
            Stand::Open(_) | Stand::New => {
                let heads = self.queues.get_mut(shape.queue).group(shape.class, shape.permits);
                if let Stand::Open(old) = stand {
                    heads.heads.remove(&(old, number));
                }
                heads.heads.insert((key, number));
                Stand::Open(key)
            }
        };
        self.lines.get_mut(number).stand = new;
    }

    fn drop_line(&mut self, number: LineNo) {
        self.withdraw(number);
        self.stop_waiting(number);
        let shape = self.lines.get(number).shape;
        self.pass_on(shape.limits, shape.group());
        self.queues.get_mut(shape.queue).group(shape.class, shape.permits).lines -= 1;
        self.lines.remove(number);
    }

    /// Takes the line from where it stands.
    fn withdraw(&mut self, number: LineNo) {
        let line = self.lines.get_mut(number);
        let (shape, stand) = (line.shape, line.stand);
        line.stand = Stand::New;
        match stand {
            Stand::Open(key) => {
                let group = self.queues.get_mut(shape.queue).group(shape.class, shape.permits);
                group.heads.remove(&(key, number));
            }
            Stand::Parked(limit, key) => self.limits.unpark(limit, shape.group(), key, number),
            Stand::New => {}
        }
    }

    /// The limit that keeps the line from starting, if one does.
    pub(super) fn blocker(&self, number: LineNo) -> Option<LimitNo> {
        let set = self.limits.of(self.lines.get(number).shape.limits);
        let shut = set.iter().find(|&&(limit, amount)| !self.admits(limit, amount, number));
        shut.map(|&(limit, _)| limit)
    }

    fn admits(&self, limit: LimitNo, amount: u64, line: LineNo) -> bool {
        let favoured = self.favoured == Some(line);
        self.limits.get(limit).is_some_and(|limit| limit.admits(amount, favoured))
    }

    /// Takes a line out of the contest until the limit has room. Whoever waited behind it is looked at
    /// instead: under another limit of its own, or for less of this one.
    pub(super) fn park(&mut self, number: LineNo, limit: LimitNo) {
        let Some(slot) = self.lines.head(number) else { return };
        let key = self.jobs.key(slot);
        self.withdraw(number);
        let line = self.lines.get_mut(number);
        let shape = line.shape;
        line.stand = Stand::Parked(limit, key);
        self.limits.park(limit, shape.group(), key, number);
        if !self.limits.is_about_inside(limit) {
            self.wait_for(number, limit);
        }
        self.pass_on(shape.limits, shape.group());
        self.refresh(shape.queue);
    }

    /// The line has left the contest: what it was woken for may serve another of its group.
    pub(super) fn pass_on(&mut self, set: u32, group: Group) {
        for &(limit, _) in self.limits.of(set) {
            if self.limits.has_parked(limit, group) {
                self.offers.push_back((limit, group));
            }
        }
    }

    /// The limit may have room now: each group that waits for it gets a look.
    pub(super) fn offer(&mut self, limit: LimitNo) {
        if let Some(found) = self.limits.get(limit) {
            self.offers.extend(found.parked.keys().map(|&group| (limit, group)));
        }
    }

    /// A job with these limits has ended.
    pub(super) fn give_back(&mut self, set: u32, units: &Units) {
        self.limits.end(set, units);
        for index in 0..self.limits.of(set).len() {
            self.offer(self.limits.of(set)[index].0);
        }
    }

    /// Wakes the best line of each group that was offered room.
    pub(super) fn wake(&mut self, budget: &mut Budget) {
        while let Some((limit, group)) = self.offers.pop_front() {
            let Some(line) = self.next_parked(limit, group) else { continue };
            if !budget.take() {
                return self.offers.push_front((limit, group));
            }
            match self.blocker(line) {
                Some(other) => {
                    self.park(line, other);
                    self.offers.push_front((limit, group));
                }
                None => self.open(line),
            }
        }
    }

    /// The line of the group that is woken next: the one that something is kept for, or the best that
    /// the limit admits. Of lines that ask for different amounts, the first few are looked at.
    fn next_parked(&self, limit: LimitNo, group: Group) -> Option<LineNo> {
        let favoured = self.favoured.filter(|&line| {
            let line = self.lines.get(line);
            line.shape.group() == group && matches!(line.stand, Stand::Parked(on, _) if on == limit)
        });
        let parked = self.limits.get(limit)?.parked.get(&group)?.iter().map(|&(_, line)| line);
        let admitted = |&line: &LineNo| self.admits(limit, self.amount(line, limit), line);
        favoured.into_iter().chain(parked.take(MOST_LOOKED)).find(admitted)
    }

    /// How much a line's jobs take of a limit.
    pub(super) fn amount(&self, line: LineNo, limit: LimitNo) -> u64 {
        let set = self.limits.of(self.lines.get(line).shape.limits);
        set.iter().find(|(number, _)| *number == limit).map_or(0, |&(_, amount)| amount)
    }

    fn open(&mut self, number: LineNo) {
        self.withdraw(number);
        self.rehead(number);
        self.refresh(self.lines.get(number).shape.queue);
    }

    /// Counts how often a line is kept waiting, and keeps a place for it once that is too often.
    fn wait_for(&mut self, number: LineNo, limit: LimitNo) {
        let turn = self.turns;
        let line = self.lines.get_mut(number);
        if let Some(wait) = &mut line.wait {
            wait.again = wait.again.saturating_add(1);
        } else if let Some(found) = self.limits.get_mut(limit) {
            self.turns += 1;
            line.wait = Some(Box::new(Wait { limit, turn, mark: found.starts, again: 0 }));
            found.waiters.insert((turn, number));
        }
        self.favour_if_overtaken(number);
    }

    /// The line has started a job, or is gone: it has to wait no longer.
    pub(super) fn stop_waiting(&mut self, number: LineNo) {
        if let Some(wait) = self.lines.get_mut(number).wait.take()
            && let Some(limit) = self.limits.get_mut(wait.limit)
        {
            limit.waiters.remove(&(wait.turn, number));
        }
        if self.favoured == Some(number) {
            self.favour_nobody();
        }
    }

    /// A job under these limits started: whoever has waited longest for one of them was overtaken.
    pub(super) fn note_overtaken(&mut self, set: u32) {
        for index in 0..self.limits.of(set).len() {
            let limit = self.limits.get(self.limits.of(set)[index].0);
            if let Some(&(_, oldest)) = limit.and_then(|limit| limit.waiters.first()) {
                self.favour_if_overtaken(oldest);
            }
        }
    }

    fn favour_if_overtaken(&mut self, number: LineNo) {
        if self.favoured.is_some() || !self.may_be_favoured(number) {
            return;
        }
        let line = self.lines.get(number);
        let Some(wait) = line.wait.as_deref() else { return };
        let starts = self.limits.get(wait.limit).map_or(wait.mark, |limit| limit.starts);
        let overtaken = starts - wait.mark + u64::from(wait.again);
        if overtaken < u64::from(self.options.backfill) {
            return;
        }
        self.favoured = Some(number);
        let set = line.shape.limits;
        for index in 0..self.limits.of(set).len() {
            let (limit, amount) = self.limits.of(set)[index];
            if let Some(limit) = self.limits.get_mut(limit) {
                limit.kept = amount;
            }
        }
    }

    /// Places are kept only for what could start if it had them.
    pub(super) fn may_be_favoured(&self, number: LineNo) -> bool {
        let shape = self.lines.get(number).shape;
        let (queue, class, permits) = shape.group();
        let room = self.rooms[class].size;
        debug_assert!(class < SEATS);
        let mut amounts = self.limits.of(shape.limits).iter();
        let there = |&(limit, amount): &(LimitNo, u64)| {
            self.limits
                .get(limit)
                .is_some_and(|limit| amount <= limit.max && limit.shut_until().is_none())
        };
        permits <= room && !Queue::is_paused(self.queues.get(queue)) && amounts.all(there)
    }

    /// Keeps no place any more.
    pub(super) fn favour_nobody(&mut self) {
        let Some(line) = self.favoured.take() else { return };
        let set = self.lines.get(line).shape.limits;
        for index in 0..self.limits.of(set).len() {
            let (number, _) = self.limits.of(set)[index];
            if let Some(limit) = self.limits.get_mut(number) {
                limit.kept = 0;
            }
            self.offer(number);
        }
    }

    /// A setting changed: whoever a place was kept for may not be able to use it any more.
    pub(super) fn review_favour(&mut self) {
        if self.favoured.is_some_and(|line| !self.may_be_favoured(line)) {
            self.favour_nobody();
        }
    }
}
