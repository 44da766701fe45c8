//! Requests about many jobs, done some at a time.
//!
//! Owns the requests that go on. Invariant: what is done of them in one turn, and what of them stands in one commit, is
//! bounded, so that who comes meanwhile waits for a part of them and not for all.

use std::vec::IntoIter;

use super::super::event::{Answer, JobChange, Revival};
use super::super::requests::RequestId;
use super::Control;
use crate::job::{Change, JobId};
use crate::protocol::ChangeReply;

/// The most jobs changed in one turn of the loop: a few milliseconds.
const AT_ONCE: usize = 1_000;

/// While changes of so many jobs wait for the writer, no more are made: each commit takes some milliseconds.
const WRITTEN_AT_ONCE: usize = 1_000;

/// A request, and what is still to be done of it.
#[derive(Debug)]
pub(super) struct Bulk {
    request: RequestId,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    Change(JobChange, IntoIter<JobId>),
    Remove(IntoIter<JobId>),
    Retry(IntoIter<Revival>),
}

impl Rest {
    fn jobs(&self) -> usize {
        match self {
            Self::Change(_, jobs) | Self::Remove(jobs) => jobs.len(),
            Self::Retry(jobs) => jobs.len(),
        }
    }
}

impl Control {
    /// Asks the scheduler for the same change of each job.
    pub(super) fn on_change(
        &mut self,
        change: JobChange,
        jobs: Vec<JobId>,
        answer: Answer<ChangeReply>,
    ) {
        self.begin(Rest::Change(change, jobs.into_iter()), answer);
    }

    /// Forgets final jobs; the caller has looked at their states and owners.
    pub(super) fn on_remove(&mut self, jobs: Vec<JobId>, answer: Answer<ChangeReply>) {
        self.begin(Rest::Remove(jobs.into_iter()), answer);
    }

    /// Has final jobs run again.
    pub(super) fn on_retry(&mut self, jobs: Vec<Revival>, answer: Answer<ChangeReply>) {
        if let Some(refusal) = self.refuses_jobs() {
            // The session may have gone.
            let _ = answer.send(Err(refusal));
            return;
        }
        self.begin(Rest::Retry(jobs.into_iter()), answer);
    }

    fn begin(&mut self, rest: Rest, answer: Answer<ChangeReply>) {
        let request = self.requests.open(rest.jobs(), answer);
        if rest.jobs() > 0 {
            self.state.bulk.push_back(Bulk { request, rest });
        }
    }

    /// Whether a part of a request about many jobs can be done now. While nothing can be written, each is refused.
    pub(super) fn has_bulk(&self) -> bool {
        let jobs = |change: &Change| match change {
            Change::Removed { jobs } => jobs.len(),
            _ => 1,
        };
        let waiting = || self.state.batch.iter().map(jobs).sum::<usize>();
        !self.state.bulk.is_empty() && (self.state.full.is_some() || waiting() < WRITTEN_AT_ONCE)
    }

    /// Does the next part of the oldest request about many jobs.
    pub(super) fn go_on_with_bulk(&mut self) {
        if !self.has_bulk() {
            return;
        }
        let Some(Bulk { request, mut rest }) = self.state.bulk.pop_front() else { return };
        match &mut rest {
            Rest::Change(change, jobs) => {
                for job in jobs.take(AT_ONCE) {
                    self.change_one(request, change, job);
                }
            }
            Rest::Remove(jobs) => self.remove_some(request, jobs.take(AT_ONCE)),
            Rest::Retry(jobs) => {
                for revival in jobs.take(AT_ONCE) {
                    self.revive(request, revival);
                }
            }
        }
        if rest.jobs() > 0 {
            // Behind the others, so that a small request need not wait for a big one.
            self.state.bulk.push_back(Bulk { request, rest });
        }
    }
}
