//! Cancelling, holding, releasing and forgetting jobs.

use super::super::event::JobChange;
use super::super::requests::RequestId;
use super::{Control, Then};
use crate::job::{Change, JobId};
use crate::protocol::{Declined, Error};
use crate::scheduler::{Action, Decline, Input};

impl Control {
    /// Asks again for what met a change on its way to the disk.
    pub(super) fn ask_deferred(&mut self) {
        for (request, change, job) in std::mem::take(&mut self.state.deferred) {
            self.change_one(request, &change, job);
        }
        self.ask_folds_deferred();
    }

    /// Gives up on what met a change that can't be written for now.
    pub(super) fn fail_deferred(&mut self, error: &Error) {
        for (request, ..) in std::mem::take(&mut self.state.deferred) {
            self.requests.fail(request, error);
        }
        self.fail_folds_deferred(error);
    }

    pub(super) fn change_one(&mut self, request: RequestId, change: &JobChange, job: JobId) {
        let seen = self.state.actions.len();
        self.step(match change.clone() {
            JobChange::Cancel(reason) => Input::Cancel { job, reason },
            JobChange::Hold(reason) => Input::Hold { job, reason },
            JobChange::Release => Input::Release { job },
            JobChange::Edit(edition) => match self.revision(&edition, job) {
                Some(revision) => Input::Edit { job, revision },
                None => {
                    return self
                        .requests
                        .decline(request, self.declined(job, change, Decline::Unknown));
                }
            },
        });
        let declined = self.state.actions[seen..].iter().position(
            |action| matches!(action, Action::Declined { job: declined, .. } if *declined == job),
        );
        let decline = declined.map(|at| self.state.actions.remove(seen + at));
        match decline {
            // A reader sees a commit a moment before this loop does.
            Some(Action::Declined { why: Decline::Unknown, .. }) if self.is_entering(job) => {
                self.state.deferred.push((request, change.clone(), job));
            }
            Some(Action::Declined { why: Decline::Busy, .. }) => {
                self.state.deferred.push((request, change.clone(), job));
            }
            Some(Action::Declined { why, .. }) => {
                self.requests.decline(request, self.declined(job, change, why));
            }
            _ => self.await_change(request, job, seen),
        }
    }

    /// Whether the job is in the store as unfinished and the scheduler is about to hear of it.
    pub(super) fn is_entering(&self, job: JobId) -> bool {
        let submitted = job.get() >= self.state.entered_below && job < self.next_id;
        submitted || self.state.reviving.contains(&job)
    }

    /// The answer waits for the job's change, or comes at once when there is nothing to write.
    fn await_change(&mut self, request: RequestId, job: JobId, seen: usize) {
        let writes = self.state.actions[seen..]
            .iter()
            .any(|action| matches!(action, Action::Write(change) if change.job() == Some(job)));
        if writes {
            self.requests.await_job(request, job);
        } else {
            self.requests.changed(request, job);
        }
    }

    fn declined(&self, job: JobId, change: &JobChange, why: Decline) -> Declined {
        let verb = change.done();
        if let (JobChange::Edit(_), Some(text)) = (change, super::edit::declined(job, why)) {
            return Declined { id: job, state: self.live_state(job), why: text };
        }
        let (state, why) = match why {
            Decline::State(state) => (Some(state), format!("it is {state} and can't be {verb}")),
            _ => (self.live_state(job), format!("it has ended and can't be {verb}")),
        };
        Declined { id: job, state, why }
    }

    /// Forgets final jobs; the caller has looked at their states and owners.
    pub(super) fn remove_some(&mut self, request: RequestId, jobs: impl Iterator<Item = JobId>) {
        let (live, gone): (Vec<JobId>, Vec<JobId>) = jobs.partition(|job| self.is_live(*job));
        for id in live {
            let why = "it has not ended: cancel it first".to_owned();
            self.requests.decline(request, Declined { id, state: self.live_state(id), why });
        }
        let mut free = Vec::with_capacity(gone.len());
        for id in gone {
            match self.is_awaited(id) {
                Some(declined) => self.requests.decline(request, declined),
                None => free.push(id),
            }
        }
        if !free.is_empty() {
            self.write(Change::Removed { jobs: free }, Then::Removed(request));
        }
    }
}
