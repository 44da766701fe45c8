//! Waiting until jobs are final.

use std::collections::BTreeSet;

use tokio::sync::mpsc;

use super::super::event::{Ask, WaiterId, Waiting};
use super::Session;
use super::call::Manner;
use super::connection::Gone;
use super::select::Usual;
use crate::job::JobId;
use crate::protocol::{Error, Finished, IdRange, Wait, WaitReply, finished_to_wire};
use crate::store::{Filter, Selected};

/// The most finished jobs told in one reply.
const TOLD_AT_ONCE: usize = 1_000;

/// A wait that the control loop knows of.
pub(super) struct Watching {
    /// Its name there.
    pub(super) id: WaiterId,
    /// Jobs that had ended already.
    pub(super) ended: Vec<Finished>,
    /// Brings the others.
    pub(super) coming: mpsc::Receiver<Finished>,
    /// How many others.
    pub(super) left: u64,
}

impl Session {
    pub(super) async fn wait(&mut self, wait: Wait, manner: Manner) -> Result<(), Gone> {
        let watching = match self.begin_wait(&wait).await {
            Ok(watching) => watching,
            Err(error) => return self.finish::<WaitReply>(Err(error), manner).await,
        };
        let id = watching.id;
        let result = self.tell_as_they_end(watching, manner).await;
        if result.is_ok() {
            self.untold.clear();
        }
        // The loop is gone only when the daemon is ending, and everything with it.
        let _ = self.hub.tell(Ask::Unwait(id)).await;
        result
    }

    async fn begin_wait(&mut self, wait: &Wait) -> Result<Watching, Error> {
        let found = self.select(&wait.jobs, Usual::Unfinished).await?;
        self.untold = found.iter().map(|job| job.id).collect();
        let (ended, open): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|job| job.state.is_final());
        let ended = ended.iter().map(ended_to_wire);
        let mut watching = self.watch_ends(open.into_iter().map(|job| job.id).collect()).await?;
        watching.ended.extend(ended);
        Ok(watching)
    }

    /// Has the control loop tell when these jobs are final.
    pub(super) async fn watch_ends(&self, jobs: Vec<JobId>) -> Result<Watching, Error> {
        let all = jobs.len();
        loop {
            // As many places as messages will ever come, so that the loop never waits for this client. Each time
            // anew: an end that was told to a wait which is given up would be counted twice.
            let (sink, coming) = mpsc::channel(all.max(1));
            let Waiting { id, gone } =
                self.hub.ask(|answer| Ask::Wait(jobs.clone(), sink, answer)).await?;
            // A reader sees a commit a moment before the loop does: jobs that it does not know yet are asked for
            // again.
            if self.all_have_ended(&gone).await? {
                let left = (all - gone.len()) as u64;
                let ended = self.ends_of(gone).await?;
                return Ok(Watching { id, ended, coming, left });
            }
            self.hub.tell(Ask::Unwait(id)).await?;
        }
    }

    async fn all_have_ended(&self, gone: &[JobId]) -> Result<bool, Error> {
        let ended = self.ends_of(gone.to_vec()).await?;
        Ok(ended.iter().all(|job| job.state.is_final()))
    }

    /// What the loop does not know any more became final meanwhile, and that is in the store.
    async fn ends_of(&self, gone: Vec<JobId>) -> Result<Vec<Finished>, Error> {
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let filter =
            Filter { ids: gone.iter().map(|job| (*job, *job)).collect(), ..Filter::default() };
        let ended = self.hub.readers.query(move |reader| reader.select(&filter)).await?;
        let told = ended.iter().map(ended_to_wire);
        Ok(told.collect())
    }

    async fn tell_as_they_end(&mut self, watching: Watching, manner: Manner) -> Result<(), Gone> {
        let Watching { ended: mut finished, mut coming, mut left, .. } = watching;
        loop {
            if manner.more && (!finished.is_empty() || left == 0) {
                for part in finished.chunks(TOLD_AT_ONCE) {
                    let reply = WaitReply { finished: part.to_vec(), remaining: left };
                    self.reply(&reply, true, manner).await?;
                    for ended in part {
                        self.untold.remove(&ended.id);
                    }
                }
                self.connection.flush().await?;
                finished.clear();
            }
            if left == 0 {
                let reply = WaitReply { finished, remaining: 0 };
                return self.reply(&reply, false, manner).await;
            }
            let taken =
                self.connection.unless_gone(coming.recv_many(&mut finished, TOLD_AT_ONCE)).await?;
            if taken == 0 {
                return Err(Gone);
            }
            left -= taken as u64;
        }
    }
}

/// The ids as ranges.
pub(super) fn ranges(ids: BTreeSet<JobId>) -> Vec<IdRange> {
    let mut ranges: Vec<IdRange> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some(range) if range.last.after(1) == id => range.last = id,
            _ => ranges.push(IdRange { first: id, last: id }),
        }
    }
    ranges
}

fn ended_to_wire(job: &Selected) -> Finished {
    finished_to_wire(job.id, job.state, job.outcome.as_ref(), job.reason.as_deref())
}
