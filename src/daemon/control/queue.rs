//! Queues and the sizes of the lanes.

use super::super::event::{Answer, QueueChange, RateChange};
use super::super::settings::Sizes;
use super::super::systemd;
use super::{Control, Then};
use crate::job::{Change, QueueRecord, Spec};
use crate::protocol::{Error, LanesReply, ReloadReply, SetLanes};
use crate::scheduler::Input;

impl Control {
    /// Makes or changes a queue.
    pub(super) fn on_set_queue(&mut self, change: QueueChange, answer: Answer<()>) {
        // Built on what is on its way to the disk, or two changes at once would lose one of them.
        let coming = self.state.queues_coming.get(&change.name);
        let known = coming.or_else(|| self.queues.get(&change.name)).cloned();
        let Some(mut record) = known.or_else(|| {
            let may = change.create || change.name == Spec::DEFAULT_QUEUE;
            may.then(|| QueueRecord::named(&change.name))
        }) else {
            let _ = answer.send(Err(self.unknown_queue(&change.name)));
            return;
        };
        if let Some(max) = change.max {
            record.max = (max > 0).then_some(max);
        }
        record.rate = match change.rate {
            RateChange::Keep => record.rate,
            RateChange::Off => None,
            RateChange::To(rate) => Some(rate),
        };
        record.weight = change.weight.unwrap_or(record.weight);
        if let Some((paused, reason)) = change.paused {
            (record.paused, record.reason) = (paused, reason);
        }
        self.state.queues_coming.insert(record.name.clone(), record.clone());
        self.write(Change::QueueSet(record), Then::Queue(answer));
    }

    /// Drops a queue's settings.
    pub(super) fn on_remove_queue(&mut self, name: String, answer: Answer<()>) {
        if !self.queues.contains_key(&name) {
            let _ = answer.send(Err(self.unknown_queue(&name)));
        } else if name == Spec::DEFAULT_QUEUE {
            let message = "the default queue can't be removed: jobs that name none stand in it";
            let error = Error::InvalidValue { field: "queue".into(), message: message.into() };
            let _ = answer.send(Err(error));
        } else {
            self.write(Change::QueueRemoved { name }, Then::Queue(answer));
        }
    }

    pub(super) fn unknown_queue(&self, name: &str) -> Error {
        let known = self.queues.keys().map(String::as_str);
        super::super::refuse::unknown_queue(name, known)
    }

    /// Changes the sizes while everything runs.
    pub(super) fn on_set_lanes(&mut self, change: SetLanes, answer: Answer<LanesReply>) {
        let sizes = match self.settings.resized(&change) {
            Ok(sizes) => sizes,
            Err(error) => {
                let _ = answer.send(Err(error));
                return;
            }
        };
        self.apply_sizes(sizes);
        let _ = answer.send(Ok(self.lanes_reply()));
    }

    /// Puts sizes in force: the pool first, so that what the scheduler starts finds room.
    pub(super) fn apply_sizes(&mut self, sizes: Sizes) {
        if let Err(error) = self.pool.resize(sizes.cpu as usize, sizes.blocking as usize) {
            tracing::warn!("the pool could not be resized whole: {error}");
        }
        self.step(Input::Lanes(sizes.into()));
        self.publish_bounds();
    }

    /// Lets sessions know what they check submissions against.
    pub(super) fn publish_bounds(&self) {
        let bounds = self.settings.bounds(&self.queues);
        self.bounds.send_if_modified(|old| {
            let differs = *old != bounds;
            *old = bounds;
            differs
        });
    }

    /// Reads the config again and applies what can change while the daemon runs.
    pub(super) fn reload(&mut self) -> Result<ReloadReply, Error> {
        systemd::reloading();
        let before: Vec<QueueRecord> = self.settings.queues().collect();
        let reply = self.settings.reload();
        systemd::ready("the config was read again");
        let reply = reply?;
        tracing::info!(changed = ?reply.changed, needs_restart = ?reply.needs_restart, "the config was read again");
        self.launcher.grace = self.settings.settings().command.grace;
        self.step(Input::MaxRunning(self.settings.settings().scheduler.max_running));
        let resources = super::super::resources::of_settings(self.settings.settings());
        self.step(Input::Resources(resources));
        self.step(Input::Keys(self.settings.settings().limits.rules()));
        let fresh: Vec<QueueRecord> = self.settings.queues().collect();
        for record in fresh {
            // What somebody set by hand outweighs the config.
            let by_hand = |known: &QueueRecord| !before.contains(known);
            if !self.queues.get(&record.name).is_some_and(by_hand) {
                self.queues.insert(record.name.clone(), record.clone());
                self.step(Input::QueueSet(record));
            }
        }
        self.apply_sizes(self.settings.sizes());
        Ok(reply)
    }
}
