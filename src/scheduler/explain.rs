//! Why a job is where it is, as data; [`sentences`](super::sentences) puts it in words.
//!
//! Owns nothing and decides nothing; asks the same questions that starting asks. Invariant: a ready
//! job without gates is one that the next step starts.

use super::dependencies::{Standing, Verdict};
use super::forecast::Forecast;
use super::gate::Gate;
use super::limit_names::LimitName;
use super::limits::LimitNo;
use super::lines::{ShapedLine, Stand};
use super::queues::Queue;
use super::table::{Place, Record, Slot};
use super::{Scheduler, Writing, seat};
use crate::job::{AttemptToken, Class, JobId, Lane, Now, State};

/// Why a job is where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Which job.
    pub job: JobId,
    /// Where it stands.
    pub state: State,
    /// Everything that keeps it from starting right now; the first is the one to look at.
    pub gates: Vec<Gate>,
    /// Its place in its queue, if it is ready.
    pub rank: Option<Rank>,
    /// Its running attempt.
    pub running: Option<(AttemptToken, Lane)>,
    /// When it may be expected to start, if that can be said.
    pub forecast: Option<Forecast>,
}

/// A ready job's place in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// From 1, over all ready jobs of the queue.
    pub place: usize,
    /// How many ready jobs the queue has.
    pub of: usize,
}

/// The most open requirements that are named one by one.
const MOST_REQUIRED: usize = 32;

impl Scheduler {
    /// Why the job is where it is. Costs a look at the chunks of its queue's lines and at what runs,
    /// never at all jobs.
    ///
    /// An element that is no job of its own yet is told of by the last one before it that is, if that
    /// still waits: they are alike.
    pub fn explain(&self, now: Now, job: JobId) -> Option<Explanation> {
        if let Some(slot) = self.jobs.find(job) {
            return Some(self.explained(now, slot, 0));
        }
        let (before, behind) = self.folds.last_before(job)?;
        let slot = self.jobs.find(before)?;
        let waits = matches!(self.jobs.get(slot).place, Place::Ready | Place::Held);
        waits.then(|| Explanation { job, ..self.explained(now, slot, behind) })
    }

    /// Why the job is where it is, or one that stands so many places behind it in the same line.
    fn explained(&self, now: Now, slot: Slot, behind: usize) -> Explanation {
        let record = self.jobs.get(slot);
        let mut told = Explanation {
            job: record.id,
            state: record.state,
            gates: Vec::new(),
            rank: None,
            running: self
                .running
                .get(&slot)
                .map(|running| (running.token, self.demand(slot).lane())),
            forecast: None,
        };
        match record.place {
            Place::Running => return told,
            Place::Writing => told.gates.extend(self.writing_gate(slot)),
            Place::Held if record.state == State::Held => {
                let reason = self.reasons.get(&slot).map(ToString::to_string);
                told.gates.push(Gate::Held { reason });
            }
            Place::Poised => {
                told.gates.extend(self.alone_gate(slot));
                told.gates.extend(self.rate_gates(slot));
                return told;
            }
            Place::Held | Place::Waiting | Place::Ready | Place::Timed => {}
        }
        self.requirement_gates(slot, &mut told.gates);
        if let Some(moment) = self.timers.moment(slot).filter(|moment| !moment.is_due(now))
            && matches!(record.place, Place::Timed | Place::Held | Place::Waiting)
        {
            let left = moment.left(now);
            told.gates.push(Gate::NotBefore { moment, left });
        }
        if record.place == Place::Ready {
            let rank = self.rank(slot);
            told.rank = Some(Rank { place: rank.place + behind, ..rank });
        }
        self.shut_gates(record, &mut told.gates);
        self.limit_gates(slot, &mut told.gates);
        if told.gates.is_empty() {
            told.gates.extend(self.turn_gate(slot, told.rank));
        }
        if let (true, Some(rank)) = (told.gates.is_empty() && behind > 0, told.rank) {
            told.gates.push(Gate::Behind { ahead: rank.place - 1 });
        }
        told.gates.extend(self.alone_gate(slot));
        told.forecast = self.forecast(now, slot, &told);
        told
    }

    /// What the job still requires of others.
    fn requirement_gates(&self, slot: Slot, gates: &mut Vec<Gate>) {
        if let Verdict::Skipped(why) = self.dependencies.verdict(slot) {
            gates.push(Gate::Lost { why });
        }
        let open =
            || self.dependencies.of(slot).filter(|(_, standing)| *standing == Standing::Open);
        gates.extend(open().take(MOST_REQUIRED).map(|(requirement, _)| {
            let other = self.jobs.find(requirement.job);
            let state = other.map(|other| self.jobs.get(other).state);
            Gate::Requires { requirement, state }
        }));
        let count = open().count();
        if count > MOST_REQUIRED {
            gates.push(Gate::RequiresMore { count: count - MOST_REQUIRED });
        }
    }

    fn writing_gate(&self, slot: Slot) -> Option<Gate> {
        self.writing.get(&slot).map(|writing| match writing {
            Writing::Moved(to) => Gate::Writing { to: *to, refused: false },
            Writing::Edited(editing) => Gate::Writing { to: editing.to, refused: false },
            Writing::Ended { next, again, .. } => {
                Gate::Writing { to: *next, refused: again.is_some() }
            }
        })
    }

    fn rank(&self, slot: Slot) -> Rank {
        let key = self.jobs.key(slot);
        let queue = self.jobs.get(slot).queue;
        let before = |line: &ShapedLine| match line.stand {
            Stand::Open(head) | Stand::Parked(_, head) => line.line.before(&self.jobs, head, key),
            Stand::New => 0,
        };
        let ahead = self.lines.of_queue(queue).map(before).sum::<usize>();
        let counts = self.queues.get(queue).counts;
        let ahead = ahead + self.folded_before(queue, key);
        let held = self.folded_held(&self.queues.get(queue).name);
        Rank { place: ahead + 1, of: (counts.ready + counts.folded - held) as usize }
    }

    /// Switches that somebody has to turn.
    fn shut_gates(&self, record: &Record, gates: &mut Vec<Gate>) {
        let room = self.rooms[seat(record.class())];
        if record.permits() > room.size && record.class() == Class::Cpu {
            gates.push(Gate::TooBig { needed: record.permits(), size: room.size });
        }
        if !self.starts {
            gates.push(Gate::StartsOff);
        }
        let queue = self.queues.get(record.queue);
        gates.extend(self.queue_rate_gate(queue));
        if queue.paused {
            let reason = queue.reason.clone();
            gates.push(Gate::QueuePaused { queue: queue.name.to_string(), reason });
        }
    }

    fn queue_rate_gate(&self, queue: &Queue) -> Option<Gate> {
        let (pace, until) = (queue.pace.as_ref()?, queue.shut_until?);
        let left = until.saturating_sub(self.clock.boot);
        Some(Gate::Rate { queue: queue.name.to_string(), rate: pace.rate(), left })
    }

    /// The rates that keep a job from starting which has everything else.
    fn rate_gates(&self, slot: Slot) -> Vec<Gate> {
        let record = self.jobs.get(slot);
        let limits = self.limits.of(record.limits).iter();
        let keys = limits.filter_map(|(key, _)| self.key_rate_gate(self.limits.get(*key)?));
        self.queue_rate_gate(self.queues.get(record.queue)).into_iter().chain(keys).collect()
    }

    /// Limits that are reached, the smallest first.
    fn limit_gates(&self, slot: Slot, gates: &mut Vec<Gate>) {
        let record = self.jobs.get(slot);
        let mut limits = self.named_gates(slot);
        let queue = self.queues.get(record.queue);
        if let Some(max) = queue.max.filter(|_| queue.is_full()) {
            let running = queue.counts.taken();
            let holders = self.running_where(|other| other.queue == record.queue);
            let queue = queue.name.to_string();
            limits.push((max, Gate::QueueLimit { queue, running, max, holders }));
        }
        if let Some(max) = self.options.max_running.filter(|_| self.is_full()) {
            let (running, holders) = (self.taken() as u32, self.running_where(|_| true));
            limits.push((max, Gate::DaemonLimit { running, max, holders }));
        }
        let room = self.rooms[seat(record.class())];
        let total = room.size.saturating_add(room.lent);
        if record.permits() > room.free() && record.permits() <= room.size.max(1) {
            let gate = if record.class() == Class::Cpu {
                let holders = self.holders();
                Gate::CorePermits { needed: record.permits(), free: room.free(), total, holders }
            } else {
                let class = record.class();
                let holders = self.running_where(|other| other.class() == class);
                Gate::LaneLimit { class, running: room.used, max: total, holders }
            };
            limits.push((total, gate));
        }
        limits.sort_by_key(|&(max, _)| max);
        gates.extend(limits.into_iter().map(|(_, gate)| gate));
    }

    /// Keys and arrays of which as many run as may, with their limits.
    fn named_gates(&self, slot: Slot) -> Vec<(u32, Gate)> {
        let record = self.jobs.get(slot);
        let kept_for = self.favoured.and_then(|line| self.lines.head(line));
        let favoured =
            self.favoured.is_some_and(|line| self.lines.get(line).shape == self.shape(slot));
        let gate = |&(number, needed): &(LimitNo, u64)| {
            let limit = self.limits.get(number).filter(|limit| !limit.admits(needed, favoured))?;
            let (running, max) = (small(limit.used), small(limit.max));
            if let Some(gate) = self.key_rate_gate(limit).or_else(|| self.apart_gate(limit)) {
                return Some((max, gate));
            }
            let free = limit.max.saturating_sub(limit.used);
            let gate = match (&limit.name, kept_for) {
                (LimitName::Resource(name), _) if needed > limit.max => {
                    let (name, capacity) = (name.to_string(), limit.max);
                    Gate::ResourceTooSmall { name, needed, capacity }
                }
                (name, Some(slot)) if needed <= free => {
                    Gate::PlaceKept { limit: name.to_string(), job: self.jobs.get(slot).id }
                }
                (LimitName::Inside, _) => return None,
                (LimitName::Key(_, key), _) => {
                    let (key, origin) = (key.to_string(), limit.origin());
                    let holders = self.holders_of(number);
                    Gate::KeyLimit { key, running, max, origin, holders }
                }
                (LimitName::Resource(name), _) => {
                    let (name, capacity) = (name.to_string(), limit.max);
                    let holders = self.holders_of(number);
                    Gate::Resource { name, needed, free, capacity, holders }
                }
                (LimitName::Array(array), _) => {
                    let holders = self.holders_of(number);
                    Gate::ArrayLimit { array: *array, running, max, holders }
                }
            };
            Some((max, gate))
        };
        self.limits.of(record.limits).iter().filter_map(gate).collect()
    }

    /// Everything is open and there is room: then others go first.
    fn turn_gate(&self, slot: Slot, rank: Option<Rank>) -> Option<Gate> {
        let record = self.jobs.get(slot);
        let class = seat(record.class());
        if let Some(number) = self.only_group(record.queue) {
            let group = &self.queues.get(record.queue).groups[number];
            let head = self.lines.head(group.heads.first()?.1)?;
            let best = self.jobs.get(head);
            if best.id != record.id {
                return Some(Gate::KeptFor { job: best.id, needed: best.permits() });
            }
        }
        let top = self.top_slot(class)?;
        let best = self.jobs.get(top);
        if best.id == record.id {
            return None;
        }
        if best.permits() > self.rooms[class].free() {
            return Some(Gate::KeptFor { job: best.id, needed: best.permits() });
        }
        if best.queue != record.queue {
            let queue = self.queues.get(best.queue).name.to_string();
            return Some(Gate::OtherQueue { queue });
        }
        rank.map(|rank| Gate::Behind { ahead: rank.place - 1 })
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
