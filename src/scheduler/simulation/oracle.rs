//! The world's own books, which know nothing of how the scheduler decides.

use super::disk::Stored;
use super::world::World;
use crate::job::{Class, JobId, QueueRecord, State};
use crate::scheduler::{Demand, Entry, Input};

/// A key of a user's, or an array.
pub(super) type Name = (u32, String);

/// The limits that a job stands under, and what it says of them.
fn names(job: &Entry) -> Vec<(Name, u32)> {
    let Some(limits) = &job.limits else { return Vec::new() };
    let keys = limits.keys.iter().map(|limit| ((job.owner, limit.key.clone()), limit.max));
    let array = limits.array.zip(job.place);
    let array = array.map(|(max, place)| ((u32::MAX, place.array.to_string()), max));
    keys.chain(array).collect()
}

impl World {
    /// The newest job that comes under a limit decides for all.
    pub(super) fn note_limits(&mut self, input: &Input) {
        let Input::Submitted(entries) = input else { return };
        for entry in entries.iter().filter(|entry| self.scheduler.job(entry.id).is_none()) {
            for (name, max) in names(entry) {
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
            live.flat_map(|stored| names(&stored.job)).map(|(name, _)| name).collect();
        self.limits.retain(|name, _| named.contains(name));
    }

    /// How many more jobs may start under the tightest of the job's limits.
    fn places(&self, job: &Entry) -> u32 {
        let left = |(name, _): (Name, u32)| {
            let under = |id: JobId| names(&self.disk[&id].job).iter().any(|(own, _)| *own == name);
            let running = self.attempts.values().filter(|attempt| under(attempt.job)).count();
            self.limits[&name].1.saturating_sub(running as u32)
        };
        names(job).into_iter().map(left).min().unwrap_or(u32::MAX)
    }

    fn room(&self, class: Class) -> u32 {
        match class {
            Class::Io => self.lanes.io,
            Class::Blocking => self.lanes.blocking,
            Class::Cpu | Class::Auto => self.lanes.cpu + self.lent,
        }
    }

    fn used(&self, class: Class) -> u32 {
        let same = self.attempts.values().filter(|attempt| attempt.demand.class == class);
        same.map(|attempt| weight(attempt.demand)).sum()
    }

    fn settings(&self, queue: &str) -> QueueRecord {
        self.queues.get(queue).cloned().unwrap_or_else(|| QueueRecord::named(queue))
    }

    fn queue_is_open(&self, queue: &str) -> bool {
        let settings = self.settings(queue);
        let jobs =
            self.attempts.values().filter(|attempt| &*self.disk[&attempt.job].job.queue == queue);
        !settings.paused && settings.max.is_none_or(|max| (jobs.count() as u32) < max)
    }

    fn daemon_is_open(&self) -> bool {
        self.starts && self.max_running.is_none_or(|max| (self.attempts.len() as u32) < max)
    }

    /// A start breaks no limit, and the job is on the disk as queued with nothing under way.
    pub(super) fn check_start(&self, job: JobId, demand: Demand) {
        let stored = &self.disk[&job];
        assert!(self.daemon_is_open(), "{job} starts over the daemon's limit");
        assert!(self.queue_is_open(&stored.job.queue), "{job} starts over its queue's limit");
        assert!(self.places(&stored.job) > 0, "{job} starts over the limit of a key or array");
        let free = self.room(demand.class).saturating_sub(self.used(demand.class));
        assert!(weight(demand) <= free, "{job} starts over its lane's limit");
        assert_eq!(stored.state, State::Queued, "{job} starts before that is synced");
        assert!(
            !self.pending.iter().any(|pending| matches!(
                pending,
                super::disk::Pending::Change(change) if change.job() == Some(job)
            )),
            "{job} starts while a change of it is being written"
        );
    }

    /// The lanes and the scheduler agree, and no room stands idle beside a job that fits it.
    pub(super) fn check_books(&self) {
        for class in self.scheduler.classes() {
            assert_eq!(class.used, self.used(class.class), "{:?} in use", class.class);
        }
        assert_eq!(self.scheduler.running(), self.attempts.len());
        if !self.daemon_is_open() {
            return;
        }
        let ready: Vec<&Stored> =
            self.disk.values().filter(|stored| self.is_ready(stored)).collect();
        for stored in &ready {
            let demand = stored.job.demand;
            let free = self.room(demand.class).saturating_sub(self.used(demand.class));
            let fits = weight(demand) <= free && self.can_ever_fit(demand);
            if fits && self.queue_is_open(&stored.job.queue) && self.places(&stored.job) > 0 {
                assert!(
                    self.is_kept_from(stored, free, &ready),
                    "{stored:?} fits and does not start"
                );
                let told = self.scheduler.explain(self.now, stored.job.id).expect("a live job");
                assert!(!told.gates.is_empty(), "{told}");
            }
        }
    }

    fn can_ever_fit(&self, demand: Demand) -> bool {
        demand.class != Class::Cpu || demand.permits <= self.lanes.cpu
    }

    fn is_ready(&self, stored: &Stored) -> bool {
        stored.state == State::Queued
            && !self.is_under_way(stored.job.id)
            && self.attempts.values().all(|attempt| attempt.job != stored.job.id)
    }

    /// Room is kept only for a bigger job of the lane, or under a queue's own limit for a better one,
    /// and the last place under a key or array for one that shares it.
    fn is_kept_from(&self, stored: &Stored, free: u32, ready: &[&Stored]) -> bool {
        let limited = self.settings(&stored.job.queue).max.is_some();
        let own = names(&stored.job);
        let last = self.places(&stored.job) == 1;
        ready.iter().any(|other| {
            let demand = other.job.demand;
            let waits_for_room = weight(demand) > free
                && self.places(&other.job) > 0
                && demand.class == stored.job.demand.class
                && self.can_ever_fit(demand)
                && self.queue_is_open(&other.job.queue);
            let shares = |(name, _): &(Name, u32)| own.iter().any(|(own, _)| own == name);
            let under =
                last && other.job.id != stored.job.id && names(&other.job).iter().any(shares);
            waits_for_room
                || under
                || (limited && other.job.queue == stored.job.queue && other.job.id != stored.job.id)
        })
    }
}

fn weight(demand: Demand) -> u32 {
    if demand.class == Class::Cpu { demand.permits } else { 1 }
}
