//! Queues and sizes change; what runs is never taken back.

use std::sync::Arc;

use super::pace::Pace;
use super::{Action, CancelWish, LaneSizes, Resource, Scheduler};
use crate::job::QueueRecord;

impl Scheduler {
    pub(super) fn on_queue_set(&mut self, record: QueueRecord) {
        let number = self.queues.number(&Arc::from(record.name.as_str()));
        let queue = self.queues.get_mut(number);
        queue.set = true;
        queue.max = record.max;
        let paused = record.paused;
        queue.weight = record.weight;
        queue.paused = record.paused;
        queue.reason = record.reason;
        if queue.pace.as_ref().map(Pace::rate) != record.rate {
            queue.pace = record.rate.map(Pace::new);
        }
        if queue.max.is_none() {
            queue.overtaken = 0;
        }
        self.review_favour();
        self.look_at_pace(number);
        self.refresh(number);
        if paused {
            self.step_back_where(|record| record.queue == number);
        }
    }

    /// Shuts the queue until its rate lets something start again.
    pub(super) fn look_at_pace(&mut self, number: u32) {
        let queue = self.queues.get_mut(number);
        let until = queue.pace.as_ref().and_then(|pace| pace.shut_until(self.clock.boot));
        if let Some(old) = std::mem::replace(&mut queue.shut_until, until) {
            self.paces.remove(&(old, number));
        }
        self.paces.extend(until.map(|until| (until, number)));
    }

    /// Opens the queues whose rates let something start again.
    pub(super) fn open_paces(&mut self) {
        while let Some(&(moment, number)) = self.paces.first()
            && moment <= self.clock.boot
        {
            self.look_at_pace(number);
            self.refresh(number);
        }
    }

    pub(super) fn on_starts_forgotten(&mut self) {
        self.limits.rules.since = Some(self.clock.boot);
        for number in self.queues.all() {
            if let Some(pace) = &mut self.queues.get_mut(number).pace {
                pace.spread(self.clock.boot);
            }
            self.look_at_pace(number);
            self.refresh(number);
        }
    }

    /// The queue goes on with default settings as long as jobs stand in it.
    pub(super) fn on_queue_removed(&mut self, name: &str) {
        if let Some(number) = self.queues.find(name) {
            self.on_queue_set(QueueRecord::named(name));
            self.queues.get_mut(number).set = false;
            self.queues.tidy(number);
        }
    }

    /// Lines of jobs that are bigger than the lane close; those that fit again open.
    pub(super) fn on_lanes(&mut self, sizes: LaneSizes) {
        for (room, size) in self.rooms.iter_mut().zip([sizes.io, sizes.cpu, sizes.blocking]) {
            room.size = size;
        }
        self.review_favour();
        for number in self.queues.all() {
            self.refresh(number);
        }
    }

    /// What runs keeps what it has; lines that fit again are woken.
    pub(super) fn on_resources(&mut self, resources: &[Resource]) {
        for limit in self.limits.configure(resources) {
            self.offer(limit);
        }
        self.review_favour();
    }

    /// When starts stop, the disk may be unable to take a cancellation: those under way act at once.
    pub(super) fn on_starts(&mut self, allowed: bool, actions: &mut Vec<Action>) {
        self.starts = allowed;
        if !allowed {
            self.step_back_where(|_| true);
            let asked = |(slot, running): (_, &super::Running)| {
                (running.cancel == CancelWish::Asked).then_some((running.counter, slot))
            };
            let mut waiting: Vec<_> = self
                .running
                .iter()
                .map(|(&slot, running)| (slot, running))
                .filter_map(asked)
                .collect();
            waiting.sort_unstable();
            for (_, slot) in waiting {
                self.abort(slot, actions);
            }
        }
    }
}
