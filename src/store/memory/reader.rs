//! Reading a store in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::job::{AttemptRecord, Job, JobId, State};
use crate::store::{Edge, Filter, Page, Reader, Selected, StoreError, Work};

use super::{Boot, Kept, MemoryDisk};

/// Reads beside a [`MemoryStore`](super::MemoryStore).
#[derive(Debug)]
pub(super) struct MemoryReader {
    pub(super) disk: MemoryDisk,
    pub(super) boot: Boot,
}

impl Reader for MemoryReader {
    fn page(&mut self, filter: &Filter, page: Page) -> Result<Vec<Job>, StoreError> {
        let content = self.disk.content();
        let mut jobs: Vec<_> = content
            .found(filter)
            .filter(|kept| {
                page.after.is_none_or(|after| {
                    if page.newest_first { kept.job.id < after } else { kept.job.id > after }
                })
            })
            .map(|kept| kept.told(&self.boot))
            .collect();
        if page.newest_first {
            jobs.reverse();
        }
        jobs.truncate(page.limit as usize);
        Ok(jobs)
    }

    fn select(&mut self, filter: &Filter) -> Result<Vec<Selected>, StoreError> {
        let selected = |kept: &Kept| Selected {
            id: kept.job.id,
            owner: kept.job.owner,
            state: kept.job.state,
            outcome: kept.job.outcome.clone(),
            reason: kept.job.reason.clone(),
        };
        Ok(self.disk.content().found(filter).map(selected).collect())
    }

    fn job(&mut self, id: JobId) -> Result<Option<(Job, Vec<AttemptRecord>)>, StoreError> {
        let content = self.disk.content();
        Ok(content.jobs.get(&id).map(|kept| (kept.told(&self.boot), kept.attempts.clone())))
    }

    fn specs(&mut self, ids: &[JobId]) -> Result<Vec<Work>, StoreError> {
        let content = self.disk.content();
        let work = |kept: &Kept| Work {
            id: kept.job.id,
            place: kept.job.place,
            spec: Arc::clone(&kept.job.spec),
            context: Arc::clone(&kept.job.context),
        };
        Ok(ids.iter().filter_map(|id| content.jobs.get(id)).map(work).collect())
    }

    fn requirements(&mut self, ids: &[JobId]) -> Result<Vec<Edge>, StoreError> {
        let content = self.disk.content();
        let asked: BTreeSet<&JobId> = ids.iter().collect();
        let all = asked.into_iter().filter_map(|id| content.jobs.get(id));
        Ok(all.flat_map(|kept| kept.edges(&content)).collect())
    }

    fn dependents(&mut self, ids: &[JobId]) -> Result<Vec<Edge>, StoreError> {
        let content = self.disk.content();
        let all = content.jobs.values().flat_map(|kept| kept.edges(&content));
        Ok(all.filter(|edge| ids.contains(&edge.awaited.requirement.job)).collect())
    }

    fn counts(&mut self) -> Result<Vec<(String, State, u64)>, StoreError> {
        let content = self.disk.content();
        let mut counts = Vec::new();
        let queues: BTreeSet<_> =
            content.jobs.values().map(|kept| kept.job.spec.queue.clone()).collect();
        for queue in queues {
            for state in State::ALL {
                let here = |kept: &&Kept| kept.job.spec.queue == queue && kept.job.state == state;
                match content.jobs.values().filter(here).count() {
                    0 => {}
                    jobs => counts.push((queue.clone(), state, jobs as u64)),
                }
            }
        }
        Ok(counts)
    }
}

/// Whether a job fits every field of a filter but `last`.
pub(super) fn fits(job: &Job, filter: &Filter) -> bool {
    let Filter { ids, elements, owner, last: _, states, outcomes, queues, names, kinds, .. } =
        filter;
    let id = (ids.is_empty() && elements.is_empty())
        || ids.iter().any(|(from, to)| (from..=to).contains(&&job.id))
        || elements.iter().any(|(array, from, to)| {
            job.place.is_some_and(|at| at.array == *array && (*from..=*to).contains(&at.index))
        });
    let word = job.outcome.as_ref().map(crate::job::Outcome::word);
    let failed_so =
        job.state == State::Failed && outcomes.iter().any(|outcome| word == Some(outcome.as_str()));
    let state =
        (states.is_empty() && outcomes.is_empty()) || states.contains(&job.state) || failed_so;
    let name = |pattern: &String| {
        job.spec.name.as_deref().is_some_and(|name| matches(pattern.as_bytes(), name.as_bytes()))
    };
    let finished = filter
        .finished_before
        .is_none_or(|moment| job.finished_at.is_some_and(|finished| finished < moment));
    id && state
        && finished
        && owner.is_none_or(|owner| job.owner == owner)
        && (queues.is_empty() || queues.contains(&job.spec.queue))
        && (kinds.is_empty() || kinds.contains(&job.spec.kind))
        && (filter.schedules.is_empty()
            || job
                .run
                .as_ref()
                .is_some_and(|run| filter.schedules.iter().any(|n| **n == *run.name)))
        && (names.is_empty() || names.iter().any(name))
}

/// Whether a name fits a pattern in which `*` stands for any characters.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        ([want, pattern @ ..], [have, name @ ..]) => want == have && matches(pattern, name),
        _ => false,
    }
}
