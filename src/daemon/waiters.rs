//! Who waits for which jobs.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::mpsc;

use super::event::WaiterId;
use crate::job::JobId;
use crate::protocol::Finished;

/// The waits under way. Each has room for as many messages as it has jobs, so telling never waits.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: u64,
    waits: HashMap<WaiterId, Wait>,
    by_job: BTreeSet<(JobId, WaiterId)>,
}

#[derive(Debug)]
struct Wait {
    jobs: Vec<JobId>,
    /// How many of them have not ended.
    left: usize,
    sink: mpsc::Sender<Finished>,
}

impl Waiters {
    /// Begins a wait for `jobs`.
    pub(super) fn add(&mut self, jobs: Vec<JobId>, sink: mpsc::Sender<Finished>) -> WaiterId {
        let id = WaiterId(self.next);
        self.next += 1;
        self.by_job.extend(jobs.iter().map(|job| (*job, id)));
        if !jobs.is_empty() {
            let left = jobs.len();
            self.waits.insert(id, Wait { jobs, left, sink });
        }
        id
    }

    /// Gives a wait up.
    pub(super) fn remove(&mut self, id: WaiterId) {
        if let Some(wait) = self.waits.remove(&id) {
            for job in wait.jobs {
                self.by_job.remove(&(job, id));
            }
        }
    }

    /// Whether somebody waits for the end of nothing but this job.
    pub(super) fn end_with(&self, job: JobId) -> bool {
        let all = (job, WaiterId(0))..=(job, WaiterId(u64::MAX));
        let mut waits = self.by_job.range(all).filter_map(|(_, id)| self.waits.get(id));
        waits.any(|wait| wait.left <= 1)
    }

    /// Tells everyone who waits for the job.
    pub(super) fn finished(&mut self, finished: &Finished) {
        let all = (finished.id, WaiterId(0))..=(finished.id, WaiterId(u64::MAX));
        let waiting: Vec<WaiterId> = self.by_job.range(all).map(|(_, id)| *id).collect();
        for id in waiting {
            self.by_job.remove(&(finished.id, id));
            if let Some(wait) = self.waits.get_mut(&id) {
                wait.left = wait.left.saturating_sub(1);
                // Full can't be; closed means that the client has gone and will be removed.
                let _ = wait.sink.try_send(finished.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::State;
    use crate::protocol::finished_to_wire;

    fn id(number: u64) -> JobId {
        JobId::new(number).unwrap()
    }

    fn end(waiters: &mut Waiters, number: u64) {
        waiters.finished(&finished_to_wire(id(number), State::Succeeded, None, None));
    }

    #[test]
    fn each_waiter_is_told_once_of_each_of_its_jobs() {
        let mut waiters = Waiters::default();
        let (sink, mut told) = mpsc::channel(2);
        waiters.add(vec![id(1), id(2)], sink);
        let (other, mut told_other) = mpsc::channel(1);
        waiters.add(vec![id(2)], other);
        assert!(waiters.end_with(id(2)) && !waiters.end_with(id(1)));
        for number in [3, 2, 2, 1] {
            end(&mut waiters, number);
        }
        let ids: Vec<JobId> =
            std::iter::from_fn(|| told.try_recv().ok()).map(|finished| finished.id).collect();
        assert_eq!(ids, [id(2), id(1)]);
        assert_eq!(told_other.try_recv().unwrap().id, id(2));
        assert!(told_other.try_recv().is_err());
    }

    #[test]
    fn a_wait_that_was_given_up_leaves_nothing_behind() {
        let mut waiters = Waiters::default();
        let (sink, _told) = mpsc::channel(2);
        let waiter = waiters.add(vec![id(1), id(2)], sink);
        end(&mut waiters, 1);
        waiters.remove(waiter);
        assert!(waiters.by_job.is_empty() && waiters.waits.is_empty());
    }
}
