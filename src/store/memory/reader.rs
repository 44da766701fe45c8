//! Reading a store in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::job::{AttemptRecord, Job, JobId, State};
use crate::store::fold::{self, FoldedElements};
use crate::store::{ArrayTally, Edge, Filter, Page, Reader, Selected, StoreError, Work};

use super::{Boot, Content, Kept, MemoryDisk};

/// Reads beside a [`MemoryStore`](super::MemoryStore).
#[derive(Debug)]
pub(super) struct MemoryReader {
    pub(super) disk: MemoryDisk,
    pub(super) boot: Boot,
}

impl Reader for MemoryReader {
    fn page(&mut self, filter: &Filter, page: Page) -> Result<Vec<Job>, StoreError> {
        if page.collapse {
            return fold::collapsed(page, &mut Glimpse { reader: self, filter });
        }
        let content = self.disk.content();
        let folds: Vec<FoldedElements> = content.folds.values().cloned().collect();
        let latest = content.latest(filter.owner).map(|(submission, _)| submission);
        let mut jobs: Vec<_> = content
            .found(filter)
            .filter(|kept| page.after.is_none_or(|after| page.goes_on(after, kept.job.id)))
            .map(|kept| kept.told(&self.boot))
            .collect();
        if page.newest_first {
            jobs.reverse();
        }
        jobs.truncate(page.limit as usize);
        Ok(fold::merged(jobs, &folds, filter, page, latest))
    }

    fn arrays(&mut self, arrays: &[JobId]) -> Result<Vec<ArrayTally>, StoreError> {
        let content = self.disk.content();
        Ok(arrays.iter().filter_map(|array| content.tally(*array)).collect())
    }

    fn select(&mut self, filter: &Filter) -> Result<Vec<Selected>, StoreError> {
        let selected = |kept: &Kept| Selected {
            id: kept.job.id,
            owner: kept.job.owner,
            place: kept.job.place,
            state: kept.job.state,
            outcome: kept.job.outcome.clone(),
            reason: kept.job.reason.clone(),
        };
        Ok(self.disk.content().found(filter).map(selected).collect())
    }

    fn folds(&mut self, filter: &Filter) -> Result<Vec<FoldedElements>, StoreError> {
        let content = self.disk.content();
        let latest = content.latest(filter.owner).map(|(submission, _)| submission);
        let meant = |folded: &&FoldedElements| folded.are_meant(filter, latest);
        Ok(content.folds.values().filter(meant).cloned().collect())
    }

    fn job(&mut self, id: JobId) -> Result<Option<(Job, Vec<AttemptRecord>)>, StoreError> {
        let content = self.disk.content();
        let folded = || content.folds.values().find_map(|folded| folded.job(id));
        let kept = content.jobs.get(&id);
        let kept = kept.map(|kept| (kept.told(&self.boot), kept.attempts.clone()));
        Ok(kept.or_else(|| Some((folded()?, Vec::new()))))
    }

    fn specs(&mut self, ids: &[JobId]) -> Result<Vec<Work>, StoreError> {
        let content = self.disk.content();
        let work = |kept: &Kept| Work {
            id: kept.job.id,
            place: kept.job.place,
            edits: kept.job.edits,
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
        let folds = &content.folds;
        let specs = content.jobs.values().map(|kept| &kept.job.spec);
        let specs = specs.chain(folds.values().map(|folded| &folded.first.spec));
        let queues: BTreeSet<_> = specs.map(|spec| spec.queue.clone()).collect();
        for queue in queues {
            for state in State::ALL {
                let here = |kept: &&Kept| kept.job.spec.queue == queue && kept.job.state == state;
                let folded = folds.values().filter(|folded| {
                    folded.first.spec.queue == queue && folded.first.state == state
                });
                let folded = folded.map(|folded| folded.fold.count).sum::<u64>();
                match content.jobs.values().filter(here).count() as u64 + folded {
                    0 => {}
                    jobs => counts.push((queue.clone(), state, jobs)),
                }
            }
        }
        Ok(counts)
    }
}

struct Glimpse<'a> {
    reader: &'a mut MemoryReader,
    filter: &'a Filter,
}

impl fold::Glimpse<StoreError> for Glimpse<'_> {
    fn read(&mut self, page: Page) -> Result<Vec<Job>, StoreError> {
        self.reader.page(self.filter, page)
    }

    fn array_of(&mut self, job: JobId) -> Result<Option<JobId>, StoreError> {
        Ok(self.reader.job(job)?.and_then(|(job, _)| Some(job.place?.array)))
    }

    fn end_of(&mut self, array: JobId) -> Result<JobId, StoreError> {
        Ok(self.reader.disk.content().end_of(array).unwrap_or(array))
    }
}

impl Content {
    fn elements(&self, array: JobId) -> impl Iterator<Item = &Job> {
        let jobs = self.jobs.values().map(|kept| &kept.job);
        jobs.filter(move |job| job.place.is_some_and(|place| place.array == array))
    }

    /// The last id of an array.
    fn end_of(&self, array: JobId) -> Option<JobId> {
        let folded = self.folds.get(&array).map(FoldedElements::last);
        folded.or_else(|| self.elements(array).map(|job| job.id).last())
    }

    fn tally(&self, array: JobId) -> Option<ArrayTally> {
        let folded = self.folds.get(&array);
        let indexes = || self.elements(array).filter_map(|job| Some(job.place?.index));
        let ends = folded.map(FoldedElements::last_index);
        let first = folded.and_then(|folded| folded.first.place).map(|place| place.index);
        let counts = State::ALL.into_iter().map(|state| {
            let rows = self.elements(array).filter(|job| job.state == state).count() as u64;
            let folded = folded.filter(|folded| folded.first.state == state);
            (state, rows + folded.map_or(0, |folded| folded.fold.count))
        });
        Some(ArrayTally {
            array,
            first: indexes().chain(first).min()?,
            last: indexes().chain(ends).max()?,
            counts: counts.filter(|(_, jobs)| *jobs > 0).collect(),
        })
    }
}
