//! The world's own books, which know nothing of how the scheduler decides.

use super::disk::Stored;
use super::world::World;
use crate::job::{
    Change, Class, Deadline, Follows, JobId, KeyLimit, KeyRule, QueueRecord, Requirement, State,
};
use crate::scheduler::{Demand, Entry, Gate, Input, Resource};

/// A key of a user's, or an array.
pub(super) type Name = (u32, String);

/// What a job takes of each limit that it stands under, and what it says of those that jobs set.
fn names(job: &Entry) -> Vec<(Name, u64, Option<u32>)> {
    let Some(limits) = &job.limits else { return Vec::new() };
    let key =
        |limit: &KeyLimit| ((job.owner, limit.key.clone()), 1, Some(limit.max.unwrap_or(u32::MAX)));
    let array = limits.array.zip(job.place);
    let array = array.map(|(max, place)| ((u32::MAX, place.array.to_string()), 1, Some(max)));
    let resource = |(name, amount): (&String, &u64)| ((0, name.clone()), *amount, None);
    let resources = limits.resources.iter().map(resource);
    limits.keys.iter().map(key).chain(array).chain(resources).collect()
}

impl World {
    /// The newest job that comes under a limit decides for all.
    pub(super) fn note_limits(&mut self, input: &Input) {
        let entries: Vec<Entry> = match input {
            Input::Submitted(entries) => {
                let new = entries.iter().filter(|entry| self.scheduler.job(entry.id).is_none());
                new.cloned().collect()
            }
            Input::HandedOver(attempts) => {
                attempts.iter().map(|handed| handed.entry.clone()).collect()
            }
            Input::Committed(Change::Unfolded { array, count }) => {
                let Some(first) = self.scheduler.folded_from(*array) else { return };
                let unfolded = self.disk.range(first..first.after(*count));
                unfolded.map(|(_, stored)| stored.job.clone()).collect()
            }
            Input::Edited { edited, .. } => {
                self.unanswered.remove(&edited.job);
                vec![self.disk[&edited.job].job.clone()]
            }
            _ => return,
        };
        self.note_names(&entries);
    }

    fn note_names(&mut self, entries: &[Entry]) {
        for entry in entries {
            for (name, _, max) in names(entry) {
                let Some(max) = max else { continue };
                let known = self.limits.entry(name).or_insert((entry.id, max));
                if known.0 <= entry.id {
                    *known = (entry.id, max);
                }
            }
        }
    }

    /// A limit is forgotten with the last job under it.
    pub(super) fn forget_limits(&mut self) {
        let live = self.disk.values().filter(|stored| self.scheduler.job(stored.job.id).is_some());
        let named: std::collections::BTreeSet<Name> =
            live.flat_map(|stored| names(self.known(stored))).map(|(name, ..)| name).collect();
        self.limits.retain(|name, _| named.contains(name));
    }

    /// The job as the scheduler knows it: an edit that is on the disk may not have been told.
    fn known<'a>(&'a self, stored: &'a Stored) -> &'a Entry {
        self.unanswered.get(&stored.job.id).unwrap_or(&stored.job)
    }

    /// How much is left of a limit.
    fn left(&self, name: &Name) -> u64 {
        let taken = |id: JobId| {
            let mut names = names(&self.disk[&id].job).into_iter();
            names.find(|(own, ..)| own == name).map_or(0, |(_, amount, _)| amount)
        };
        let taken: u64 = self.placed().map(|(job, _)| taken(job)).sum();
        let resource = |resource: &&Resource| (0, resource.name.clone()) == *name;
        let there = match self.limits.get(name) {
            Some((_, max)) => {
                let rule = self.rule(name).and_then(|rule| rule.max).unwrap_or(u32::MAX);
                u64::from((*max).min(rule))
            }
            None => self.resources.iter().find(resource).map_or(0, |found| found.capacity),
        };
        there.saturating_sub(taken)
    }

    fn limits_admit(&self, job: &Entry) -> bool {
        names(job).iter().all(|(name, amount, _)| *amount <= self.left(name) && self.in_rate(name))
    }

    /// What the settings say of a key; arrays and resources have other owners.
    fn rule(&self, (owner, key): &Name) -> Option<&KeyRule> {
        (1000..1002).contains(owner).then(|| KeyRule::of(&self.keys, key)).flatten()
    }

    fn in_rate(&self, name: &Name) -> bool {
        let Some(rate) = self.rule(name).and_then(|rule| rule.rate) else { return true };
        let starts = self.key_starts.get(name).into_iter().flatten();
        let recent = starts.filter(|&&moment| moment + rate.per() > self.now.boot);
        recent.count() < rate.starts() as usize
    }

    /// A start counts for the rates of the job's keys.
    pub(super) fn note_key_starts(&mut self, job: JobId) {
        for (name, ..) in names(&self.disk[&job].job) {
            if self.rule(&name).is_some_and(|rule| rule.rate.is_some()) {
                self.key_starts.entry(name).or_default().push(self.now.boot);
            }
        }
    }

    /// Each unit that a job gets is one of those there are, and nobody else has it.
    fn check_units(&self, job: &Entry) {
        let granted = self.scheduler.units(job.id);
        let wanted = job.limits.as_ref().and_then(|limits| limits.resources.get("gpu"));
        let units: Vec<_> = granted.into_iter().flat_map(|(_, units)| units).collect();
        assert_eq!(units.len() as u64, wanted.copied().unwrap_or(0), "{} got {units:?}", job.id);
        let there = &self.resources.iter().find(|resource| resource.name == "gpu");
        for unit in &units {
            assert!(there.is_some_and(|gpu| gpu.units.contains(unit)), "{unit} is no GPU any more");
            let held = |other: &super::lanes::Attempt| other.units.contains(unit);
            assert!(!self.attempts.values().any(held), "unit {unit} is handed out twice");
        }
    }

    fn room(&self, class: Class) -> u32 {
        match class {
            Class::Io => self.lanes.io,
            Class::Blocking => self.lanes.blocking,
            Class::Cpu | Class::Auto => self.lanes.cpu + self.lent,
        }
    }

    fn used(&self, class: Class) -> u32 {
        let same = self.placed().filter(|(_, demand)| demand.class == class);
        same.map(|(_, demand)| weight(demand)).sum()
    }

    /// Who has a place: what runs, and the suspect that is about to.
    fn placed(&self) -> impl Iterator<Item = (JobId, Demand)> {
        let running = self.attempts.values().map(|attempt| (attempt.job, attempt.demand));
        let poised = self.scheduler.poised();
        running.chain(poised.map(|job| (job, self.disk[&job].job.demand)))
    }

    fn settings(&self, queue: &str) -> QueueRecord {
        self.queues.get(queue).cloned().unwrap_or_else(|| QueueRecord::named(queue))
    }

    fn queue_is_open(&self, queue: &str) -> bool {
        let settings = self.settings(queue);
        let jobs = self.placed().filter(|(job, _)| &*self.disk[job].job.queue == queue);
        let in_rate = self.queue_is_in_rate(queue);
        in_rate && !settings.paused && settings.max.is_none_or(|max| (jobs.count() as u32) < max)
    }

    fn queue_is_in_rate(&self, queue: &str) -> bool {
        let started = self.started.get(queue).into_iter().flatten();
        self.settings(queue).rate.is_none_or(|rate| {
            let recent = started.filter(|&&moment| moment + rate.per() > self.now.boot);
            recent.count() < rate.starts() as usize
        })
    }

    /// Whether all rates let the job start.
    pub(super) fn is_in_rate(&self, job: &Entry) -> bool {
        self.queue_is_in_rate(&job.queue) && names(job).iter().all(|(name, ..)| self.in_rate(name))
    }

    fn daemon_is_open(&self) -> bool {
        self.starts && self.max_running.is_none_or(|max| (self.placed().count() as u32) < max)
    }

    /// A start breaks no limit, and the job is on the disk as queued with nothing under way.
    pub(super) fn check_start(&self, job: JobId, demand: Demand) {
        let stored = &self.disk[&job];
        self.check_units(&stored.job);
        assert!(self.is_in_rate(&stored.job), "{job} starts over a rate");
        if self.had_place != Some(job) {
            assert!(self.daemon_is_open(), "{job} starts over the daemon's limit");
            assert!(self.queue_is_open(&stored.job.queue), "{job} starts over its queue's limit");
            assert!(self.limits_admit(&stored.job), "{job} starts over a limit or resource");
            self.check_turn(job);
            let free = self.room(demand.class).saturating_sub(self.used(demand.class));
            assert!(weight(demand) <= free, "{job} starts over its lane's limit");
        }
        assert_eq!(stored.state, State::Queued, "{job} starts before that is synced");
        let first = Self::first_time(stored).filter(|moment| moment.follows == Follows::Boot);
        assert!(first.is_none_or(|moment| moment.is_due(self.now)), "{job} starts before its time");
        assert!(
            !self.pending.iter().any(|pending| matches!(
                pending,
                super::disk::Pending::Change(change) if change.job() == Some(job)
            )),
            "{job} starts while a change of it is being written"
        );
    }

    /// The time before which a job does not start; one that was run again has had its time.
    fn first_time(stored: &Stored) -> Option<Deadline> {
        stored.job.not_before.filter(|_| stored.attempts == 0 && !stored.revived)
    }

    /// A time is over by its own clock when a job goes on; what that clock does afterwards is all one.
    pub(super) fn check_time(&mut self, change: &Change) {
        if let Change::Moved { job, to: State::Queued, .. } = change {
            let stored = &self.disk[job];
            let first = Self::first_time(stored).filter(|_| !stored.state.is_final());
            let over = first.is_none_or(|moment| moment.is_due(self.now));
            // One whose move was refused does not wait for its time again.
            assert!(over || self.had_time.contains(job), "{job} goes on before its time");
            self.had_time.insert(*job);
        }
    }

    /// The lanes and the scheduler agree, and no room stands idle beside a job that fits it.
    pub(super) fn check_books(&self) {
        for class in self.scheduler.classes() {
            assert_eq!(class.used, self.used(class.class), "{:?} in use", class.class);
        }
        assert_eq!(self.scheduler.running(), self.attempts.len());
        self.check_poised();
        self.check_waiting();
        if !self.daemon_is_open() {
            return;
        }
        let ready: Vec<&Stored> =
            self.disk.values().filter(|stored| self.is_ready(stored)).collect();
        let shut = self.inside_is_shut();
        for stored in ready.iter().filter(|stored| !(shut && stored.job.demand.inside)) {
            let demand = stored.job.demand;
            let free = self.room(demand.class).saturating_sub(self.used(demand.class));
            let fits = weight(demand) <= free && self.can_ever_fit(demand);
            if fits && self.queue_is_open(&stored.job.queue) && self.limits_admit(&stored.job) {
                assert!(
                    self.is_kept_from(stored, free, &ready),
                    "{stored:?} fits and does not start"
                );
                let told = self.scheduler.explain(self.now, stored.job.id).expect("a live job");
                assert!(!told.gates.is_empty(), "{told}");
            }
        }
    }

    /// A job goes on or is skipped for a reason that the disk knows, unless one of those it requires is
    /// being changed this moment.
    pub(super) fn check_requirements(&self, change: &Change) {
        let Change::Moved { job, from: State::Waiting | State::Held, to, reason, .. } = change
        else {
            return;
        };
        let stored = &self.disk[job];
        let requires = stored.job.requires.iter().map(|awaited| awaited.requirement);
        let open: Vec<Requirement> = requires.filter(|_| !stored.passed).collect();
        let moving = |other: &Requirement| self.is_under_way(other.job);
        let met = |other: &Requirement| other.on.is_met_by(self.disk[&other.job].state);
        match to {
            State::Queued | State::Scheduled => {
                let justified = open.iter().all(|other| met(other) || moving(other));
                assert!(justified, "{job} goes on before what it requires came true: {open:?}");
            }
            State::Skipped => {
                let ended = |other: &Requirement| self.disk[&other.job].state.is_final();
                let lost = |other: &Requirement| ended(other) && !met(other);
                let justified = open.iter().any(|other| lost(other) || moving(other));
                assert!(justified, "{job} is skipped although all may come true: {open:?}");
                assert!(reason.is_some(), "{job} is skipped without a reason");
            }
            _ => {}
        }
    }

    /// No job waits any longer than for what it requires.
    fn check_waiting(&self) {
        let waits = |stored: &&Stored| {
            let id = stored.job.id;
            stored.state == State::Waiting && !self.is_under_way(id) && !self.put_off.contains(&id)
        };
        for stored in self.disk.values().filter(waits) {
            let open = stored.job.requires.iter().any(|awaited| {
                let other = awaited.requirement.job;
                !self.disk[&other].state.is_final() || self.is_under_way(other)
            });
            assert!(open, "{stored:?} waits for nothing");
            let told = self.scheduler.explain(self.now, stored.job.id).expect("a live job");
            let named = told.gates.iter().any(|gate| matches!(gate, Gate::Requires { .. }));
            assert!(named, "{told}");
        }
    }

    fn can_ever_fit(&self, demand: Demand) -> bool {
        demand.class != Class::Cpu || demand.permits <= self.lanes.cpu
    }

    pub(super) fn is_ready(&self, stored: &Stored) -> bool {
        stored.state == State::Queued
            && !self.is_under_way(stored.job.id)
            && self.attempts.values().all(|attempt| attempt.job != stored.job.id)
            && self.scheduler.poised() != Some(stored.job.id)
    }

    /// Room is kept only for a bigger job of the lane, or under a queue's own limit for a better one,
    /// and what is left of a limit for one that shares it.
    fn is_kept_from(&self, stored: &Stored, free: u32, ready: &[&Stored]) -> bool {
        let limited = self.settings(&stored.job.queue).max.is_some();
        let own = names(&stored.job);

        ready.iter().any(|other| {
            let demand = other.job.demand;
            let waits_for_room = weight(demand) > free
                && self.limits_admit(&other.job)
                && demand.class == stored.job.demand.class
                && self.can_ever_fit(demand)
                && self.queue_is_open(&other.job.queue);
            let kept = |(name, amount, _): &(Name, u64, Option<u32>)| {
                let own = own.iter().find(|(own, ..)| own == name);
                own.is_some_and(|(_, own, _)| self.left(name) < own + amount)
            };
            let under = other.job.id != stored.job.id && names(&other.job).iter().any(kept);
            waits_for_room
                || under
                || (limited && other.job.queue == stored.job.queue && other.job.id != stored.job.id)
        })
    }
}

fn weight(demand: Demand) -> u32 {
    if demand.class == Class::Cpu { demand.permits } else { 1 }
}
