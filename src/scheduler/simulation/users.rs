//! The users: submit, change their minds, turn every knob.

use std::sync::Arc;
use std::time::Duration;

use super::disk::Pending;
use super::world::World;
use crate::job::{
    ArrayPlace, Awaited, Backoff, Class, Condition, Fold, JobId, KeyLimit, KeyRule, Limits, Move,
    QueueRecord, Requirement, RetryPolicy, Spec, State,
};
use crate::scheduler::{Begin, Demand, Entry, FoldedEntry, Input, LaneSizes, Resource, Revision};

const QUEUES: [&str; 4] = ["a", "b", "c", "d"];
const KEYS: [&str; 3] = ["mutex", "host:a", "host:b"];
/// More live jobs than this make the checks slow and show nothing new.
const MOST_JOBS: usize = 60;

impl World {
    pub(super) fn submit(&mut self) {
        if self.disk_is_full || self.scheduler.len() >= MOST_JOBS {
            return;
        }
        let count = self.dice.roll(5) + 1;
        let mut entries: Vec<Entry> = (0..count).map(|_| self.new_job()).collect();
        if self.dice.chance(10) {
            return self.submit_array(&entries[0]);
        }
        self.require_some(&mut entries);
        self.pending.push_back(Pending::Submit(entries));
    }

    /// Many jobs like this one, of which the first few are written down one by one.
    fn submit_array(&mut self, like: &Entry) {
        let array = JobId::new(self.next_id).unwrap();
        let state = if self.dice.chance(80) { State::Queued } else { State::Held };
        let (head, at_once) = (self.dice.roll(4) + 1, self.dice.roll(4) + 1);
        let fold = Fold { count: self.dice.roll(12) + 1, step: self.dice.roll(3) + 1 };
        self.next_id += head + fold.count;
        let limits = Limits {
            array: self.dice.chance(40).then_some(2),
            ..like.limits.as_deref().cloned().unwrap_or_default()
        };
        let limits = (!limits.is_empty()).then(|| Arc::new(limits));
        let element = |offset: u64| Entry {
            id: array.after(offset),
            place: Some(ArrayPlace { array, index: offset * fold.step }),
            state,
            not_before: None,
            limits: limits.clone(),
            ..like.clone()
        };
        let entries = (0..head).map(element).collect();
        let folded = FoldedEntry { first: element(head), fold, at_once };
        self.pending.push_back(Pending::SubmitArray(entries, folded));
    }

    /// Some jobs require something of jobs that are on the disk, or of some that come with them; in a
    /// submission those that come later may be required, as long as nobody waits for himself.
    fn require_some(&mut self, entries: &mut [Entry]) {
        let ids: Vec<JobId> = entries.iter().map(|entry| entry.id).collect();
        let backwards = self.dice.chance(30);
        for (place, entry) in entries.iter_mut().enumerate() {
            if self.dice.chance(60) {
                continue;
            }
            let mut others: Vec<JobId> = self.disk.keys().rev().take(12).copied().collect();
            others.extend(if backwards { &ids[place + 1..] } else { &ids[..place] });
            for _ in 0..self.dice.roll(3) {
                let Some(job) = self.dice.pick(&others) else { continue };
                let on = Condition::ALL[self.dice.roll(3) as usize];
                let named = entry.requires.iter().any(|other| other.requirement.job == job);
                if !named {
                    let requirement = Requirement { job, on };
                    entry.requires.push(Awaited { requirement, ending: None });
                }
            }
            if entry.state != State::Held && !entry.requires.is_empty() {
                entry.state = State::Waiting;
            }
        }
    }

    fn new_job(&mut self) -> Entry {
        let id = JobId::new(self.next_id).unwrap();
        self.next_id += 1;
        let class =
            [Class::Cpu, Class::Cpu, Class::Io, Class::Blocking][self.dice.roll(4) as usize];
        let permits =
            if class == Class::Cpu { [1, 1, 1, 2, 3, 6][self.dice.roll(6) as usize] } else { 0 };
        let state = [State::Queued, State::Queued, State::Queued, State::Scheduled, State::Held]
            [self.dice.roll(5) as usize];
        let pause = Duration::from_secs(self.dice.roll(3));
        Entry {
            id,
            owner: 1000 + self.dice.small(2),
            place: id
                .get()
                .is_multiple_of(3)
                .then(|| ArrayPlace { array: JobId::new(1).unwrap(), index: id.get() }),
            state,
            not_before: match state {
                State::Scheduled => Some(self.deadline(20)),
                State::Held if self.dice.chance(30) => Some(self.deadline(20)),
                _ => None,
            },
            submitted_at: self.now.wall,
            turn: None,
            queue: Arc::from(self.dice.pick(&QUEUES).unwrap()),
            priority: self.dice.small(5) as i32 - 2,
            demand: Demand { class, permits, inside: self.dice.chance(40) },
            retry: RetryPolicy {
                retries: self.dice.small(3),
                backoff: Backoff::Fixed(pause),
                retry_on: ["1,signal", "timeout", "1-255,signal,timeout"]
                    [self.dice.roll(3) as usize]
                    .parse()
                    .unwrap(),
            },
            attempts: 0,
            pardoned: 0,
            suspicion: None,
            reason: None,
            requires: Vec::new(),
            limits: self.some_limits(id),
        }
    }

    /// Some stand under limits that they share, some under several, one user's beside another's.
    fn some_limits(&mut self, id: JobId) -> Option<Arc<Limits>> {
        let mut limits = Limits::default();
        for key in KEYS {
            if self.dice.chance(25) {
                let max = if key == "mutex" { 1 } else { self.dice.small(3) + 1 };
                let max = Some(max).filter(|_| self.dice.chance(80));
                limits.keys.push(KeyLimit { key: key.to_owned(), max });
            }
        }
        for (name, most) in [("gpu", 2), ("license", 4)] {
            if self.dice.chance(20) {
                limits.resources.insert(name.to_owned(), self.dice.roll(most) + 1);
            }
        }
        limits.array = (id.get().is_multiple_of(3) && self.dice.chance(60)).then_some(2);
        (!limits.is_empty()).then(|| Arc::new(limits))
    }

    /// A request about some job, sensible or not.
    pub(super) fn ask_something(&mut self) {
        let back = self.dice.roll(40).min(self.next_id - 1);
        let anybody = JobId::new(self.next_id - back).unwrap();
        let job = self.some_live_job().filter(|_| self.dice.chance(80)).unwrap_or(anybody);
        let reason = self.dice.chance(30).then(|| "because".to_owned());
        if self.dice.chance(10) {
            let from = self.dice.roll(self.folds.len() as u64 + 1) as usize;
            let Some(folded) = self.folds.get(from) else { return };
            let array = folded.first.place.unwrap().array;
            let through = folded.first.id.after(self.dice.roll(6));
            return match self.dice.roll(6) {
                0 => self.input(Input::MoveFolded { array, to: State::Cancelled, reason }),
                1 => self.input(Input::MoveFolded { array, to: State::Held, reason }),
                2 => self.input(Input::MoveFolded { array, to: State::Queued, reason }),
                _ => self.input(Input::Unfold { array, through }),
            };
        }
        match self.dice.roll(8) {
            5.. => self.edit(job),
            0 | 1 => self.input(Input::Cancel { job, reason }),
            2 => self.input(Input::Hold { job, reason }),
            3 => self.input(Input::Release { job }),
            _ => self.retry(job),
        }
    }

    /// A user edits a job: a little, or all of it.
    fn edit(&mut self, job: JobId) {
        let Some(stored) = self.disk.get(&job).cloned() else { return };
        let later = self.dice.chance(30);
        let other = self.new_job();
        self.next_id -= 1;
        let mut entry = Entry { place: stored.job.place, ..stored.job.clone() };
        if self.dice.chance(60) {
            (entry.priority, entry.retry) = (other.priority, other.retry.clone());
        }
        if !later && self.dice.chance(50) {
            (entry.queue, entry.limits) = (other.queue, other.limits);
            entry.demand = Demand { inside: entry.demand.inside, ..other.demand };
        }
        let begin = match self.dice.roll(6) {
            0 if !later => Begin::Now,
            1 if !later => Begin::NotBefore(self.deadline(20)),
            _ => Begin::Kept,
        };
        let requires = self.dice.chance(20).then(|| self.some_requirements(job));
        let turn = self.some_move();
        self.stands.wanted = turn.filter(|_| !later);
        let edits = stored.edits + u32::from(self.dice.chance(5));
        let (context, demand, place) = (Arc::default(), entry.demand, entry.place);
        let revision = Revision {
            edits,
            spec: Arc::new(spec(&entry)),
            context,
            demand,
            place,
            begin,
            requires: requires.filter(|_| !later),
            turn: turn.filter(|_| !later),
            later,
        };
        self.input(Input::Edit { job, revision: Box::new(revision) });
    }

    fn some_move(&mut self) -> Option<Move> {
        let others: Vec<JobId> = self.disk.keys().rev().take(20).copied().collect();
        let other = self.dice.pick(&others)?;
        match self.dice.roll(8) {
            0 => Some(Move::First),
            1 => Some(Move::Last),
            2 => Some(Move::Before(other)),
            3 => Some(Move::Behind(other)),
            _ => None,
        }
    }

    /// What an edited job is to require. What waits for it through jobs that have ended is not chosen,
    /// as the daemon does not; what waits for it itself may be.
    fn some_requirements(&mut self, job: JobId) -> Arc<[Requirement]> {
        let mut others: Vec<JobId> = self.disk.keys().rev().take(12).copied().collect();
        let waits = self.scheduler.waits_for(job);
        if !waits.is_empty() && self.dice.chance(50) {
            others.clone_from(&waits);
        }
        let mut all = Vec::new();
        for _ in 0..self.dice.roll(3) {
            let Some(other) = self.dice.pick(&others) else { continue };
            if other != job && (waits.contains(&other) || !self.leads_to(other, job)) {
                let on = Condition::ALL[self.dice.roll(3) as usize];
                all.push(Requirement { job: other, on });
            }
        }
        all.sort_unstable();
        all.dedup_by_key(|requirement| requirement.job);
        all.into()
    }

    /// A job that runs, or one that waits.
    fn some_live_job(&mut self) -> Option<JobId> {
        let running: Vec<_> = self.attempts.values().map(|attempt| attempt.job).collect();
        let live = self.disk.values().filter(|stored| !stored.state.is_final());
        let live: Vec<_> = live.map(|stored| stored.job.id).collect();
        let from = if self.dice.chance(40) { running } else { live };
        self.dice.pick(&from)
    }

    /// A finished job is to be run again; the daemon asks the disk, not the scheduler.
    fn retry(&mut self, job: JobId) {
        let finished = self.disk.get(&job).is_some_and(|stored| stored.state.is_final());
        if finished && self.scheduler.job(job).is_none() && !self.is_under_way(job) {
            self.pending.push_back(Pending::Revive(job));
        }
    }

    pub(super) fn change_a_setting(&mut self) {
        match self.dice.roll(11) {
            0..=3 => self.change_a_queue(),
            9 | 10 => self.change_keys(),
            8 => {
                let (gpus, licenses) = (self.dice.roll(4), self.dice.roll(6));
                self.set_resources(gpus, licenses);
            }
            4 => {
                let (cpu, io, blocking) =
                    (self.dice.small(7), self.dice.small(4), self.dice.small(3));
                self.set_lanes(LaneSizes { cpu, io, blocking });
            }
            5 => {
                self.lent = self.dice.small(3);
                self.input(Input::Lent(self.lent));
            }
            6 => {
                self.max_running = self.dice.chance(40).then(|| self.dice.small(5));
                self.input(Input::MaxRunning(self.max_running));
            }
            _ if self.disk_is_full => {}
            _ => {
                let starts = self.dice.chance(70);
                self.set_starts(starts);
            }
        }
    }

    fn change_keys(&mut self) {
        let mut rules = Vec::new();
        for pattern in ["mutex", "host:*", "host:a", "*"] {
            let max = self.dice.chance(50).then(|| self.dice.small(3) + 1);
            let rates = ["1/2s", "3/5s", "2/500ms"];
            let rate = self.dice.chance(50).then(|| self.dice.pick(&rates).unwrap());
            let rate = rate.map(|rate| rate.parse().unwrap());
            if self.dice.chance(40) {
                rules.push(KeyRule { pattern: pattern.to_owned(), max, rate });
            }
        }
        self.set_keys(rules);
    }

    /// A rate that changes begins to count anew.
    pub(super) fn set_keys(&mut self, rules: Vec<KeyRule>) {
        let old = std::mem::replace(&mut self.keys, rules.clone());
        let rate =
            |rules: &[KeyRule], key: &str| KeyRule::of(rules, key).and_then(|rule| rule.rate);
        self.key_starts.retain(|(_, key), _| rate(&old, key) == rate(&rules, key));
        self.input(Input::Keys(rules));
    }

    fn change_a_queue(&mut self) {
        let name = self.dice.pick(&QUEUES).unwrap();
        let in_use =
            self.disk.values().any(|stored| &*stored.job.queue == name && !stored.state.is_final());
        if self.dice.chance(15) && !in_use {
            self.queues.remove(name);
            self.started.remove(name);
            return self.input(Input::QueueRemoved(name.to_owned()));
        }
        let paused = self.dice.chance(25);
        let max = self.dice.chance(40).then(|| self.dice.small(4));
        let weight = self.dice.small(300) + 1;
        let reason = paused.then(|| "maintenance".to_owned());
        let rates = ["1/2s", "3/5s", "2/500ms"];
        let rate = self.dice.chance(30).then(|| self.dice.pick(&rates).unwrap().parse().unwrap());
        self.set_queue(QueueRecord { name: name.to_owned(), max, weight, rate, paused, reason });
    }

    pub(super) fn set_queue(&mut self, record: QueueRecord) {
        let old = self.queues.insert(record.name.clone(), record.clone());
        if old.and_then(|old| old.rate) != record.rate {
            self.started.remove(&record.name);
        }
        self.input(Input::QueueSet(record));
    }

    /// GPUs have names, licences do not; sometimes the first GPU is another one.
    pub(super) fn set_resources(&mut self, gpus: u64, licenses: u64) {
        let first = self.dice.roll(2);
        let units = (first..first + gpus).map(|unit| Arc::from(unit.to_string())).collect();
        let gpu = Resource { name: "gpu".to_owned(), capacity: gpus, units };
        let (name, units) = ("license".to_owned(), Vec::new());
        self.resources = vec![gpu, Resource { name, capacity: licenses, units }];
        self.input(Input::Resources(self.resources.clone()));
    }

    pub(super) fn set_lanes(&mut self, lanes: LaneSizes) {
        self.lanes = lanes;
        self.input(Input::Lanes(lanes));
    }
}

/// The spec that says what an entry says.
fn spec(entry: &Entry) -> Spec {
    Spec {
        class: entry.demand.class,
        cpus: entry.demand.permits.max(1),
        queue: entry.queue.to_string(),
        priority: entry.priority,
        retry: entry.retry.clone(),
        limits: entry.limits.as_deref().cloned().map(Box::new),
        ..Spec::default()
    }
}
