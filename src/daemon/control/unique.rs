//! Submitting jobs of which there may be only one.

use std::sync::Arc;

use super::super::event::{Conflict, Draft};
use super::Control;
use crate::job::{JobId, NewJob, State};
use crate::protocol::{Error, Existing};
use crate::scheduler::Input;

/// Why a job was replaced, as the replaced one shows it.
const REPLACED: &str = "replaced by a newer job with the same unique key";

/// Drafts that become jobs, and the ids of all that were asked for.
pub(super) struct Sorted {
    /// Those that become jobs, in order.
    pub(super) drafts: Vec<Draft>,
    /// The id of each draft that was given, the jobs that were there already included.
    pub(super) ids: Vec<JobId>,
    /// Drafts for which there was a job already.
    pub(super) existing: Vec<Existing>,
}

impl Control {
    /// Decides which drafts become jobs, the first of them with the id `first`. Changes nothing if any is
    /// refused; otherwise replaced jobs are cancelled in the batch that takes the new ones.
    pub(super) fn sort_out(
        &mut self,
        owner: u32,
        drafts: Vec<Draft>,
        first: JobId,
    ) -> Result<Sorted, Error> {
        let mut sorted = Sorted { drafts: Vec::new(), ids: Vec::new(), existing: Vec::new() };
        let mut replaced = Vec::new();
        let mut taken: Vec<(Arc<str>, JobId)> = Vec::new();
        for (index, draft) in (0u64..).zip(drafts) {
            let mut id = first.after(sorted.drafts.len() as u64);
            if let Some((key, conflict)) = &draft.unique {
                let beside = taken.iter().find(|(other, _)| other == key).map(|(_, job)| *job);
                match beside.or_else(|| self.uniques.holder(owner, key)) {
                    None => taken.push((Arc::clone(key), id)),
                    Some(job) if *conflict == Conflict::Skip => {
                        sorted.existing.push(Existing { index, id: job });
                        id = job;
                    }
                    Some(job) if *conflict == Conflict::Replace && self.is_replaceable(job) => {
                        replaced.push(job);
                        taken.push((Arc::clone(key), id));
                    }
                    Some(job) => return Err(self.not_unique(index, key, job)),
                }
            }
            if sorted.existing.last().is_none_or(|existing| existing.index != index) {
                sorted.drafts.push(draft);
            }
            sorted.ids.push(id);
        }
        for job in replaced {
            self.step(Input::Cancel { job, reason: Some(REPLACED.to_owned()) });
        }
        // Ahead of the new jobs: the store must see the keys free again.
        self.perform();
        for (key, job) in taken {
            self.uniques.take(owner, &key, job);
        }
        Ok(sorted)
    }

    /// Jobs that were not taken have no keys.
    pub(super) fn give_keys_back(&mut self, jobs: &[NewJob]) {
        for job in jobs {
            self.uniques.give_back(job.id);
        }
    }

    /// Whether the job waits for something and can be cancelled in the next batch.
    fn is_replaceable(&self, job: JobId) -> bool {
        self.scheduler.job(job).is_some_and(|live| !live.writing && live.state != State::Running)
    }

    fn not_unique(&self, index: u64, key: &str, id: JobId) -> Error {
        let is = match self.live_state(id) {
            Some(state) => format!("is {state}"),
            None => "is on its way".to_owned(),
        };
        let message = format!(
            "job {id} has the unique key {key:?} and {is}: cancel it, wait for it, or take it with --on-conflict skip"
        );
        Error::NotUnique { index, id, message }
    }
}
