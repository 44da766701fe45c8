//! Calls that change jobs.

use std::collections::HashSet;
use std::time::Duration;

use super::super::clock;
use super::super::event::{Ask, JobChange, Revival};
use super::super::readers::whole_jobs;
use super::Session;
use super::arrays::{Folds, grouped, pass_over};
use super::call::Manner;
use super::connection::Gone;
use super::select::{Usual, some_are_named};
use crate::job::{Job, JobId, State, WallTime, parse_duration};
use crate::protocol::{ChangeReply, Declined, Error, Prune, PruneReply, Request, Selector};
use crate::store::{Filter, Reader, Selected};

impl Session {
    pub(super) async fn change_jobs(
        &mut self,
        request: Request,
        manner: Manner,
    ) -> Result<(), Gone> {
        let result = match request {
            Request::Cancel(cancel) => {
                let change = JobChange::Cancel(cancel.reason);
                self.change(&cancel.jobs, change, Usual::Unfinished).await
            }
            Request::Hold(hold) => {
                self.change(&hold.jobs, JobChange::Hold(hold.reason), Usual::Unfinished).await
            }
            Request::Release(release) => {
                self.change(&release.jobs, JobChange::Release, Usual::Held).await
            }
            Request::Edit(edit) => self.edit(edit).await,
            Request::Retry(retry) => self.retry(&retry.jobs, retry.dependents).await,
            Request::Remove(remove) => self.remove(&remove.jobs).await,
            Request::Prune(prune) => {
                let result = self.prune(prune).await;
                return self.finish(result, manner).await;
            }
            _ => return Ok(()),
        };
        self.finish(result, manner).await
    }

    async fn change(
        &self,
        jobs: &Selector,
        change: JobChange,
        usual: Usual,
    ) -> Result<ChangeReply, Error> {
        some_are_named(jobs)?;
        let filter = self.filter(jobs, usual)?;
        let folds = self.folds(&filter).await?;
        let mut reply = ChangeReply::default();
        // What is folded goes first, or more and more of it would become jobs as others leave the line.
        if !folds.live.is_empty() {
            let live = folds.live.iter().map(|elements| elements.folded().array).collect();
            let change = change.clone();
            reply = self.hub.request(|answer| Ask::ChangeFolded(change, live, answer)).await?;
        }
        pass_over(&mut reply, &folds.ended, &format!("can't be {}", change.done()));
        let found = self.found_beside(jobs, filter, &folds).await?;
        let rows = ids(&found);
        let rows = self.hub.request(|answer| Ask::Change(change, rows, answer)).await?;
        reply.append(rows);
        Ok(grouped(jobs, &found, reply))
    }

    /// The jobs of their own that are meant beside what is folded; ids of which none is there are an error.
    pub(super) async fn found_beside(
        &self,
        jobs: &Selector,
        filter: Filter,
        folds: &Folds,
    ) -> Result<Vec<Selected>, Error> {
        let found = self.find_beside(jobs, filter, &folds.arrays()).await?;
        if found.is_empty() && folds.is_empty() {
            self.some_are_there(jobs).await?;
        }
        Ok(found)
    }

    async fn retry(&self, jobs: &Selector, dependents: bool) -> Result<ChangeReply, Error> {
        some_are_named(jobs)?;
        let filter = self.filter(jobs, Usual::Failed)?;
        let folds = self.folds(&filter).await?;
        let found = self.found_beside(jobs, filter, &folds).await?;
        let (ended, others): (Vec<_>, Vec<_>) =
            found.iter().cloned().partition(|job| job.state.is_final());
        let mut ended = ids(&ended);
        if dependents {
            self.add_skipped(&mut ended).await?;
        }
        let ended = self.revivals(ended).await?;
        let reply = self.hub.request(|answer| Ask::Retry(ended, answer)).await?;
        let mut reply = with_declined(reply, others, "it has not ended");
        pass_over(&mut reply, &folds.live, "has not ended");
        if !folds.ended.is_empty() {
            let ended = folds.ended;
            let folded = self.hub.request(|answer| Ask::RetryFolded(ended, answer)).await?;
            reply.append(folded);
        }
        Ok(grouped(jobs, &found, reply))
    }

    /// Adds the jobs that were skipped because of these, and because of those.
    async fn add_skipped(&self, jobs: &mut Vec<JobId>) -> Result<(), Error> {
        let mut known: HashSet<JobId> = jobs.iter().copied().collect();
        let mut newest = jobs.clone();
        while !newest.is_empty() {
            let edges = self.hub.readers.query(move |reader| reader.dependents(&newest)).await?;
            let skipped = edges.iter().filter(|edge| edge.state == State::Skipped && !edge.passed);
            newest = skipped.map(|edge| edge.job).filter(|job| known.insert(*job)).collect();
            jobs.extend(&newest);
        }
        Ok(())
    }

    /// The jobs with their specs, and whether they have to wait for others again.
    async fn revivals(&self, ids: Vec<JobId>) -> Result<Vec<Revival>, Error> {
        let read = move |reader: &mut dyn Reader| {
            Ok((whole_jobs(reader, &ids)?, reader.requirements(&ids)?))
        };
        let (jobs, edges) = self.hub.readers.query(read).await?;
        let open = edges.iter().filter(|edge| !edge.passed);
        let waiting: HashSet<JobId> = open.map(|edge| edge.job).collect();
        let revival = |job: Job| Revival { waits: waiting.contains(&job.id), job };
        Ok(jobs.into_iter().map(revival).collect())
    }

    async fn remove(&self, jobs: &Selector) -> Result<ChangeReply, Error> {
        some_are_named(jobs)?;
        let filter = self.filter(jobs, Usual::Final)?;
        let folds = self.folds(&filter).await?;
        let found = self.found_beside(jobs, filter, &folds).await?;
        let (ended, others): (Vec<_>, Vec<_>) =
            found.iter().cloned().partition(|job| job.state.is_final());
        let ended = ids(&ended);
        let reply = self.hub.request(|answer| Ask::Remove(ended, answer)).await?;
        let mut reply = with_declined(reply, others, "it has not ended: cancel it first");
        pass_over(&mut reply, &folds.live, "has not ended: cancel it first");
        if !folds.ended.is_empty() {
            let ended = folds.ended;
            let folded = self.hub.request(|answer| Ask::RemoveFolded(ended, answer)).await?;
            reply.append(folded);
        }
        Ok(grouped(jobs, &found, reply))
    }

    async fn prune(&self, prune: Prune) -> Result<PruneReply, Error> {
        let age = prune.older_than.as_deref().map_or(Ok(Duration::ZERO), parse_duration).map_err(
            |error| Error::InvalidValue {
                field: "older_than".to_owned(),
                message: error.to_string(),
            },
        )?;
        let mut filter = self.filter(&prune.jobs, Usual::Final)?;
        let now = clock::now().wall;
        let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        // What ended this very microsecond has ended.
        filter.finished_before = Some(WallTime(now.0.saturating_sub(micros).saturating_add(1)));
        let folds = self.folds(&filter).await?.ended;
        let found = self.hub.readers.query(move |reader| reader.select(&filter)).await?;
        let found: Vec<JobId> =
            found.iter().filter(|job| job.state.is_final()).map(|job| job.id).collect();
        let folded = folds.iter().map(|elements| elements.fold.count).sum::<u64>();
        if prune.dry_run || (found.is_empty() && folds.is_empty()) {
            return Ok(PruneReply { removed: found.len() as u64 + folded });
        }
        let reply = self.hub.request(|answer| Ask::Remove(found, answer)).await?;
        let folded = self.hub.request(|answer| Ask::RemoveFolded(folds, answer)).await?;
        let folded = folded.arrays.iter().map(|change| change.changed).sum::<u64>();
        Ok(PruneReply { removed: reply.changed.len() as u64 + folded })
    }
}

fn ids(jobs: &[Selected]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

pub(super) fn with_declined(
    mut reply: ChangeReply,
    others: Vec<Selected>,
    why: &str,
) -> ChangeReply {
    reply.declined.extend(others.into_iter().map(|job| Declined {
        id: job.id,
        state: Some(job.state),
        why: why.to_owned(),
    }));
    reply
}
