//! The world's own books, which know nothing of how the scheduler decides.

use super::disk::Stored;
use super::world::World;
use crate::job::{Change, Class, JobId, QueueRecord, Requirement, State};
use crate::scheduler::{Demand, Gate};

impl World {
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
        let free = self.room(demand.class).saturating_sub(self.used(demand.class));
        assert!(weight(demand) <= free, "{job} starts over its lane's limit");
        assert_eq!(stored.state, State::Queued, "{job} starts before that is synced");
        // A job that was run again has had its time.
        let first = stored.job.not_before.filter(|_| stored.attempts == 0 && !stored.revived);
        assert!(first.is_none_or(|moment| moment.is_due(self.now)), "{job} starts before its time");
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
        self.check_waiting();
        if !self.daemon_is_open() {
            return;
        }
        let ready: Vec<&Stored> =
            self.disk.values().filter(|stored| self.is_ready(stored)).collect();
        for stored in &ready {
            let demand = stored.job.demand;
            let free = self.room(demand.class).saturating_sub(self.used(demand.class));
            let fits = weight(demand) <= free && self.can_ever_fit(demand);
            if fits && self.queue_is_open(&stored.job.queue) {
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

    fn is_ready(&self, stored: &Stored) -> bool {
        stored.state == State::Queued
            && !self.is_under_way(stored.job.id)
            && self.attempts.values().all(|attempt| attempt.job != stored.job.id)
    }

    /// Room is kept only for a bigger job of the lane, or under a queue's own limit for a better one.
    fn is_kept_from(&self, stored: &Stored, free: u32, ready: &[&Stored]) -> bool {
        let limited = self.settings(&stored.job.queue).max.is_some();
        ready.iter().any(|other| {
            let demand = other.job.demand;
            let waits_for_room = weight(demand) > free
                && demand.class == stored.job.demand.class
                && self.can_ever_fit(demand)
                && self.queue_is_open(&other.job.queue);
            waits_for_room
                || (limited && other.job.queue == stored.job.queue && other.job.id != stored.job.id)
        })
    }
}

fn weight(demand: Demand) -> u32 {
    if demand.class == Class::Cpu { demand.permits } else { 1 }
}
