//! What holds after every step, checked the slow way.
//!
//! Looks at everything: for tests and simulations, not for the loop.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::dependencies::Verdict;
use super::limits::{Limit, LimitNo};
use super::lines::{Group, LineNo, ShapedLine, Stand};
use super::parking::MOST_LOOKED;
use super::queues::Counts;
use super::table::{Place, Slot};
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
        self.check_alone()?;
        self.check_lines()?;
        self.check_stands()?;
        self.check_limits()?;
        self.check_keys()?;
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
                Place::Poised => {
                    let poised = self.alone.poised().map(|(poised, _)| poised);
                    record.state == State::Queued && poised == Some(slot)
                }
                Place::Running => record.state == State::Running,
                Place::Writing => match writing {
                    Some(Writing::Ended { next, .. }) => {
                        record.state == State::Running && record.state.may_become(*next)
                    }
                    Some(Writing::Edited(editing)) => {
                        record.state != State::Running
                            && record.state.may_be_edited_into(editing.to)
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
        for (array, first, count) in self.folds.iter() {
            let number = self.queues.find(&first.queue);
            hold(number.is_some(), "a folded array's queue is kept", array)?;
            counted.entry(number.unwrap_or_default()).or_default().folded += count as u32;
            let ready = |slot| self.jobs.get(slot).place == Place::Ready;
            hold(self.folds.goes_on(array, ready), "a folded array goes on", array)?;
            hold(self.jobs.find(first.id).is_none(), "what is folded is no job", first.id)?;
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
        let poised = self.alone.poised().map(|(slot, _)| slot);
        for &slot in self.running.keys().chain(&poised) {
            let record = self.jobs.get(slot);
            used[seat(record.class())] += record.permits();
        }
        let taken = self.rooms.map(|room| room.used);
        hold(
            used == taken,
            "what is taken is what running jobs hold",
            format!("{used:?} {taken:?}"),
        )
    }

    /// A suspect runs alone inside the daemon, and nobody waits for one that is not there.
    fn check_alone(&self) -> Result<(), Violation> {
        let inside = |slot: &Slot| self.limits.is_inside(self.jobs.get(*slot).limits);
        let running = self.running.keys().filter(|slot| inside(slot)).count();
        let taken = self.alone.taken();
        for slot in self.running.keys().filter(|&&slot| self.is_suspect(slot)) {
            let alone = taken == Some((*slot, true)) && running == 1;
            hold(alone, "a suspect runs alone", self.jobs.get(*slot).id)?;
        }
        if let Some((slot, runs)) = taken {
            let record = self.jobs.get(slot);
            let place = match record.place {
                Place::Poised => !runs,
                place => runs && matches!(place, Place::Running | Place::Writing),
            };
            let there = self.is_suspect(slot) && place;
            hold(there, "only a suspect has the inside to itself", record.id)?;
            let waits = running > 0 || !self.rates_let_start(slot);
            let waits = runs || (waits && self.starts);
            hold(waits, "a poised suspect waits for somebody", record.id)?;
        }
        let known = self.alone.suspects().all(|slot| self.jobs.iter().any(|(own, _)| own == slot));
        hold(known, "who is suspected is here", "")
    }

    /// A queue finds its own lines and no others.
    fn check_lines_of_queues(&self) -> Result<(), Violation> {
        let queues: BTreeSet<u32> =
            self.lines.iter().map(|(_, shaped)| shaped.shape.queue).collect();
        let mut found = 0;
        for &queue in &queues {
            let own = self.lines.of_queue(queue).all(|shaped| shaped.shape.queue == queue);
            hold(own, "a queue's lines are its own", queue)?;
            found += self.lines.of_queue(queue).count();
        }
        hold(found == self.lines.iter().count(), "each line is found by its queue", found)
    }

    /// Lines are sorted and hold exactly the ready jobs.
    fn check_lines(&self) -> Result<(), Violation> {
        self.check_lines_of_queues()?;
        let mut lined = 0;
        for (_, shaped) in self.lines.iter() {
            let shape = shaped.shape;
            let slots: Vec<_> = shaped.line.iter().collect();
            let sorted = slots.is_sorted_by(|&a, &b| self.jobs.key(a) < self.jobs.key(b));
            hold(sorted, "a line is sorted", format!("{shape:?}"))?;
            hold(slots.len() == shaped.line.len(), "a line knows its length", slots.len())?;
            hold(!slots.is_empty(), "an empty line is dropped", format!("{shape:?}"))?;
            for &slot in &slots {
                let record = self.jobs.get(slot);
                let same = (record.queue, record.class(), record.permits(), record.limits)
                    == (shape.queue, shape.class, shape.permits, shape.limits);
                let alike = same && record.place == Place::Ready;
                hold(alike, "a line's jobs are alike and ready", format!("{record:?}"))?;
            }
            lined += slots.len();
        }
        let ready = self.jobs.iter().filter(|(_, record)| record.place == Place::Ready).count();
        hold(lined == ready, "every ready job stands in a line", format!("{lined} of {ready}"))
    }

    /// Each line stands where it says, under its head's key.
    fn check_stands(&self) -> Result<(), Violation> {
        let (mut open, mut parked) = (0, 0);
        let mut lines: HashMap<Group, u32> = HashMap::new();
        for (number, shaped) in self.lines.iter() {
            let (shape, group) = (shaped.shape, shaped.shape.group());
            let key = self.lines.head(number).map(|slot| self.jobs.key(slot));
            let stands = match shaped.stand {
                Stand::New => false,
                Stand::Open(under) => {
                    open += 1;
                    let queue = self.queues.get(shape.queue);
                    let index = queue.group_of(shape.class, shape.permits);
                    let there = |index: usize| queue.groups[index].heads.contains(&(under, number));
                    Some(under) == key && index.is_some_and(there)
                }
                Stand::Parked(limit, under) => {
                    parked += 1;
                    let limit = self.limits.get(limit);
                    let lines = limit.and_then(|limit| limit.parked.get(&group));
                    Some(under) == key
                        && lines.is_some_and(|lines| lines.contains(&(under, number)))
                }
            };
            hold(stands, "a line stands under its head's key", format!("{shaped:?}"))?;
            *lines.entry(group).or_default() += 1;
        }
        let groups = || self.queues.iter().flat_map(|(_, queue)| &queue.groups);
        let heads: usize = groups().map(|group| group.heads.len()).sum();
        let waiting = |limit: &Limit| limit.parked.values().map(BTreeSet::len).sum::<usize>();
        let all: usize = self.limits.iter().map(|(_, limit)| waiting(limit)).sum();
        hold((open, parked) == (heads, all), "no line stands twice", format!("{open} {parked}"))?;
        for (number, queue) in self.queues.iter() {
            for group in &queue.groups {
                let counted = lines.remove(&(number, seat(group.class), group.permits));
                hold(counted == Some(group.lines), "a group counts its lines", &queue.name)?;
            }
        }
        hold(lines.is_empty(), "each line's group is kept", lines.len())
    }

    /// No limit is exceeded but by having shrunk, and no parked line is forgotten where there is room.
    fn check_limits(&self) -> Result<(), Violation> {
        let mut used: HashMap<LimitNo, u64> = HashMap::new();
        let mut held: HashMap<LimitNo, BTreeSet<Arc<str>>> = HashMap::new();
        let running = self.running.iter().map(|(&slot, running)| (slot, &running.units));
        for (slot, units) in running.chain(self.alone.poised()) {
            for &(limit, amount) in self.limits.of(self.jobs.get(slot).limits) {
                *used.entry(limit).or_default() += amount;
            }
            for (limit, units) in units {
                let held = held.entry(*limit).or_default();
                let fresh = units.iter().all(|unit| held.insert(Arc::clone(unit)));
                hold(fresh, "no unit is held twice", format!("{units:?}"))?;
            }
        }
        for (number, limit) in self.limits.iter() {
            let known = held.remove(&number).unwrap_or_default();
            hold(
                known == limit.held,
                "held units are those of running jobs",
                format!("{limit:?}"),
            )?;
            let counted = used.remove(&number).unwrap_or_default();
            hold(counted == limit.used, "a limit counts what runs", format!("{limit:?}"))?;
            let kept = self.favoured.map_or(0, |line| self.amount(line, number));
            hold(kept == limit.kept, "places are kept for one line", format!("{limit:?}"))?;
            for &(turn, line) in &limit.waiters {
                let wait = self.lines.get(line).wait.as_deref();
                let known = wait.is_some_and(|wait| (wait.limit, wait.turn) == (number, turn));
                hold(known, "who waits for a limit knows it", format!("{limit:?}"))?;
            }
            for (group, lines) in limit.parked.iter().filter(|_| self.unfinished.is_none()) {
                let open = |line: LineNo, shaped: &ShapedLine| {
                    shaped.shape.group() == *group
                        && matches!(shaped.stand, Stand::Open(_))
                        && self.is_under(line, number)
                };
                let may =
                    lines.iter().take(MOST_LOOKED).any(|&(_, line)| self.blocker(line).is_none());
                let awake = self.lines.iter().any(|(line, shaped)| open(line, shaped));
                hold(!may || awake, "room under a limit is offered", format!("{limit:?}"))?;
            }
        }
        hold(used.is_empty(), "the limits of what runs are kept", used.len())?;
        hold(
            self.unfinished.is_some() || self.offers.is_empty(),
            "every offer is looked at",
            self.offers.len(),
        )
    }

    /// A key is shut as its rate says, opens in time, and is kept while its starts count.
    fn check_keys(&self) -> Result<(), Violation> {
        let mut shut = 0;
        for (number, limit) in self.limits.iter() {
            let pace = limit.ruled.as_ref().and_then(|ruled| ruled.pace.as_ref());
            let by_rate = pace.and_then(|pace| pace.shut_until(self.clock.boot));
            let until = limit.shut_until();
            hold(until == by_rate, "a rate shuts its key", format!("{limit:?}"))?;
            let opens =
                until.is_none_or(|until| self.limits.rules.opening.contains(&(until, number)));
            hold(opens, "a shut key opens in time", format!("{limit:?}"))?;
            shut += usize::from(until.is_some());
            let kept = limit.counts_until();
            let kept = kept.is_some_and(|until| self.limits.rules.kept.contains(&(until, number)));
            let wanted = limit.is_used() || kept;
            hold(wanted, "no limit is kept for nothing", format!("{limit:?}"))?;
        }
        let opening = self.limits.rules.opening.len();
        hold(shut == opening, "only shut keys open", format!("{shut} {opening}"))
    }

    fn is_under(&self, line: LineNo, limit: LimitNo) -> bool {
        self.amount(line, limit) > 0
    }

    /// Exactly the open groups compete, and an open group's queue may start something.
    fn check_contests(&self) -> Result<(), Violation> {
        let mut open = [0usize; SEATS];
        for (number, queue) in self.queues.iter() {
            let by_rate = queue.pace.as_ref().and_then(|pace| pace.shut_until(self.clock.boot));
            hold(queue.shut_until == by_rate, "a rate shuts its queue", &queue.name)?;
            let only = self.only_group(number);
            for (index, group) in queue.groups.iter().enumerate() {
                let class = seat(group.class);
                let may = !queue.is_shut()
                    && !group.heads.is_empty()
                    && group.permits <= self.rooms[class].size
                    && only.is_none_or(|only| only == index);
                hold(group.open.is_some() == may, "a group is open when it may be", &queue.name)?;
                let Some(pass) = group.open else { continue };
                open[class] += 1;
                hold(pass == queue.pass[class], "a group stands under its pass", &queue.name)?;
                let there = self.contests[class].contains(group.permits, pass, number);
                hold(there, "an open group competes", &queue.name)?;
            }
        }
        let standing: [usize; SEATS] = std::array::from_fn(|class| self.contests[class].len());
        hold(open == standing, "only open groups compete", format!("{open:?} {standing:?}"))
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
        let (put, places) = self.jobs.all_put();
        hold(put.len() == places, "no place beside a job is taken twice", places)?;
        let there = |&(slot, beside): &(_, _)| self.jobs.beside(slot) == beside;
        hold(put.iter().all(there), "who was put beside another stands there", places)?;
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
