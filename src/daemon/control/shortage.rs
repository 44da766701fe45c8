//! While the store takes nothing: the disk is full, or another program holds the file.
//!
//! Nothing new starts and new jobs are refused. What runs goes on; how it ends is kept in memory to be written when there is
//! room, and in the side journal, so that a crash meanwhile does not lose it. It heals by itself.

use std::time::Duration;

use super::super::event::Event;
use super::super::systemd;
use super::{Control, Then};
use crate::job::{Change, Spec};
use crate::protocol::Error;
use crate::scheduler::Input;
use crate::store::StoreError;

/// How long to wait before a batch that found no room is tried again.
const ROOM_AGAIN: Duration = Duration::from_secs(1);

impl Control {
    /// A batch found no room: those that asked are refused, what must be written is kept.
    pub(super) fn no_room(&mut self, batch: Vec<Change>, then: Vec<Then>, error: StoreError) {
        if self.state.full.is_none() {
            tracing::error!("degraded: {error}");
            systemd::status(&format!("degraded: {error}"));
            self.step(Input::Starts(false));
        }
        let refusal = Error::StorageFull { message: error.to_string() };
        self.state.full = Some(error);
        self.state.queues_coming.clear();
        self.fail_deferred(&refusal);
        self.fail_schedules(&refusal);
        self.fail_namings(&refusal);
        let newer = std::mem::take(&mut self.state.batch);
        let then_newer = std::mem::take(&mut self.state.then);
        self.keep(batch, then, &refusal);
        // The writer has offered these to the side journal.
        self.state.offered = self.state.batch.len();
        self.keep(newer, then_newer, &refusal);
        // Their changes are kept and follow when there is room; nobody is kept waiting for that.
        self.requests.fail_all(&refusal);
        self.retry_later();
    }

    /// Puts back into the batch what must be written.
    fn keep(&mut self, changes: Vec<Change>, then: Vec<Then>, refusal: &Error) {
        for (change, then) in changes.into_iter().zip(then) {
            if let Some(then) = self.refused(then, refusal) {
                self.write(change, then);
            } else if let Change::Submitted { jobs, .. } = change {
                self.give_keys_back(&jobs);
            }
        }
    }

    /// Offers to the side journal what came to the batch since it was last offered.
    pub(super) fn offer_ends(&mut self) {
        if self.writer.is_busy() || self.state.offered >= self.state.batch.len() {
            return;
        }
        let fresh = self.state.batch[self.state.offered..].iter();
        let ends =
            fresh.filter(|change| matches!(change, Change::Started { .. } | Change::Ended { .. }));
        let ends: Vec<Change> = ends.cloned().collect();
        if ends.is_empty() || self.writer.note(ends) {
            self.state.offered = self.state.batch.len();
        }
    }

    pub(super) fn on_noted(&mut self, aside: usize) {
        self.writer.came_back();
        self.state.aside = aside;
    }

    /// Has the loop woken when it is time to look for room again.
    fn retry_later(&self) {
        let own = self.own.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ROOM_AGAIN).await;
            // The loop is gone only when the daemon has ended.
            let _ = own.send(Event::RetryWrite).await;
        });
    }

    /// Tries again what found no room. When nothing had to be kept, a change that changes nothing is
    /// written, or nobody would ever find out that there is room.
    pub(super) fn retry_write(&mut self) {
        if self.state.full.is_none() {
            return;
        }
        if self.writer.is_busy() {
            return self.retry_later();
        }
        if self.state.batch.is_empty()
            && let Some(queue) = self.queues.get(Spec::DEFAULT_QUEUE)
        {
            self.write(Change::QueueSet(queue.clone()), Then::Probe);
        }
        self.hand_over();
    }

    pub(super) fn back_to_health(&mut self) {
        if self.state.full.take().is_some() {
            tracing::info!("there is room again: running as before");
            systemd::status("running");
            self.allow_starts();
        }
    }

    /// What is wrong, if the store takes nothing, and what becomes of running jobs meanwhile.
    pub(super) fn shortage(&self) -> Option<String> {
        let error = self.state.full.as_ref()?;
        Some(match self.state.aside {
            0 => error.to_string(),
            1 => format!("{error}; the end of 1 job is kept in the side journal"),
            ends => format!("{error}; the ends of {ends} jobs are kept in the side journal"),
        })
    }
}
