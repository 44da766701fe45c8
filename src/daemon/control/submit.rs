//! Submitting jobs, and bringing final ones back.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::clock;
use super::super::event::{Answer, Draft, Endings, Event, Revival, Submission, Taken};
use super::super::readers::whole_jobs;
use super::super::requests::RequestId;
use super::unique::Sorted;
use super::{Control, Then};
use crate::job::{Change, Class, Job, JobId, Limits, NewJob, Now, Spec, State};
use crate::protocol::{Declined, Error};
use crate::scheduler::{Demand, Entry};
use crate::store::{Edge, Reader};

impl Control {
    /// Gives the jobs their ids and has them written down.
    pub(super) fn on_submit(&mut self, submission: Submission, answer: Answer<Taken>) {
        if let Some(refusal) = self.refuses_jobs() {
            // The session may have gone.
            let _ = answer.send(Err(refusal));
            return;
        }
        let first = self.next_id;
        let folded = submission.fold.map_or(0, |fold| fold.count);
        let count = submission.drafts.len() as u64 + folded;
        if count == 0 || first.get() + count > JobId::MAX {
            let message = "there are no job ids left, or no jobs were given".to_owned();
            let _ = answer.send(Err(Error::LimitReached { limit: "ids".to_owned(), message }));
            return;
        }
        let Submission { owner, drafts, array, fold, continues, endings } = submission;
        let Sorted { drafts, ids, existing } = match self.sort_out(owner, drafts, first) {
            Ok(sorted) => sorted,
            Err(refusal) => {
                let _ = answer.send(Err(refusal));
                return;
            }
        };
        let taken = Taken { new: None, existing };
        if drafts.is_empty() {
            let _ = answer.send(Ok(taken));
            return;
        }
        self.next_id = first.after(drafts.len() as u64 + folded);
        let about = About { owner, array, submission: continues.unwrap_or(first), first };
        let jobs = new_jobs(drafts, &about, &ids, clock::now());
        let then = Then::Submitted(answer, Box::new((taken, endings)));
        self.write(Change::Submitted { jobs, fold }, then);
    }

    /// The scheduler's view of a job that was just written down.
    pub(super) fn entry(&self, job: &NewJob) -> Entry {
        Entry {
            id: job.id,
            owner: job.owner,
            place: job.place,
            state: job.state,
            not_before: job.not_before,
            submitted_at: job.submitted_at,
            turn: None,
            queue: Arc::from(job.spec.queue.as_str()),
            priority: job.spec.priority,
            demand: self.demand(&job.spec.kind, job.spec.class, job.spec.cpus),
            retry: job.spec.retry.clone(),
            attempts: 0,
            pardoned: 0,
            suspicion: None,
            reason: None,
            requires: super::dependencies::unknown(&job.requirements),
            limits: shared_limits(&job.spec),
        }
    }

    pub(super) fn demand(&self, kind: &str, class: Class, cpus: u32) -> Demand {
        self.launcher.demand(kind, class, cpus)
    }

    /// Writes a final job back to queued, or to waiting for what it requires.
    pub(super) fn revive(&mut self, request: RequestId, revival: Revival) {
        let Revival { job, waits } = revival;
        let state = Some(job.state);
        if self.is_live(job.id) || !job.state.is_final() {
            let why = "it has not ended".to_owned();
            return self.requests.decline(request, Declined { id: job.id, state, why });
        }
        if let Some(key) = &job.unique {
            let holder = self.uniques.holder(job.owner, key);
            if let Some(other) = holder.filter(|other| *other != job.id) {
                let why = format!("job {other} has its unique key now: cancel that one first");
                return self.requests.decline(request, Declined { id: job.id, state, why });
            }
            self.uniques.take(job.owner, key, job.id);
        }
        let change = Change::Moved {
            job: job.id,
            from: job.state,
            to: if waits { State::Waiting } else { State::Queued },
            not_before: None,
            reason: None,
            at: clock::now().wall,
        };
        self.write(change, Then::Revived(job.id, request));
    }
}

impl Control {
    /// Reads again what came back to life: since its session read it, it may have been retried and have ended once
    /// more, and its attempts must go on from there.
    pub(super) fn read_revived(&mut self) {
        if self.state.revived.is_empty() {
            return;
        }
        let wanted = std::mem::take(&mut self.state.revived);
        let (readers, own) = (self.readers.clone(), self.own.clone());
        tokio::spawn(async move {
            let ids: Vec<JobId> = wanted.iter().map(|(id, _)| *id).collect();
            let read = move |reader: &mut dyn Reader| {
                Ok((whole_jobs(reader, &ids)?, reader.requirements(&ids)?))
            };
            let (found, edges) = readers.query_patiently(read).await;
            // The loop is gone only when the daemon has ended.
            let _ = own.send(Event::Revived { wanted, found, edges }).await;
        });
    }

    /// Lets the scheduler know of jobs that came back to life.
    pub(super) fn on_revived(
        &mut self,
        wanted: &[(JobId, RequestId)],
        found: &[Job],
        edges: &[Edge],
    ) {
        for job in found {
            if let Some(run) = &job.run {
                self.agenda.revived(run.schedule, job.id);
            }
        }
        let entry = |job: &Job| {
            let demand = self.launcher.demand(&job.spec.kind, job.spec.class, job.spec.cpus);
            Entry { requires: super::dependencies::of(job, edges), ..revived(job, demand) }
        };
        let entries = found.iter().map(entry).collect();
        let read: HashSet<JobId> = found.iter().map(|job| job.id).collect();
        for (job, request) in wanted {
            self.state.reviving.remove(job);
            if read.contains(job) {
                self.requests.changed(*request, *job);
            } else {
                let why = "it can't be read: it runs when the daemon is started again".to_owned();
                let state = Some(State::Queued);
                self.requests.decline(*request, Declined { id: *job, state, why });
            }
        }
        self.enter(entries, &Endings::new());
        self.ask_deferred();
    }
}

/// What the jobs of a submission have in common.
struct About {
    owner: u32,
    array: bool,
    submission: JobId,
    first: JobId,
}

fn new_jobs(drafts: Vec<Draft>, about: &About, ids: &[JobId], now: Now) -> Vec<NewJob> {
    let &About { owner, array, submission, first } = about;
    let numbered = drafts.into_iter().zip(0..);
    let job = |(draft, offset): (Draft, u64)| NewJob {
        id: first.after(offset),
        owner,
        submission,
        place: if array { draft.place(first) } else { None },
        submitted_at: now.wall,
        state: match draft.hold {
            true => State::Held,
            false if draft.requires_something() => State::Waiting,
            false if draft.begin.is_some() => State::Scheduled,
            false => State::Queued,
        },
        not_before: draft.begin.map(|begin| begin.deadline(now)),
        requirements: draft.requirements_among(ids),
        unique: draft.unique.map(|(key, _)| key),
        run: None,
        spec: draft.spec,
        context: draft.context,
    };
    numbered.map(job).collect()
}

fn shared_limits(spec: &Spec) -> Option<Arc<Limits>> {
    spec.limits.as_deref().cloned().map(Arc::new)
}

pub(super) fn revived(job: &Job, demand: Demand) -> Entry {
    Entry {
        id: job.id,
        owner: job.owner,
        place: job.place,
        state: if job.state == State::Waiting { State::Waiting } else { State::Queued },
        not_before: None,
        submitted_at: job.submitted_at,
        turn: None,
        queue: Arc::from(job.spec.queue.as_str()),
        priority: job.spec.priority,
        demand,
        retry: job.spec.retry.clone(),
        attempts: job.attempts,
        // The retries count from here: those of before are spent.
        pardoned: job.pardoned,
        suspicion: None,
        reason: None,
        requires: Vec::new(),
        limits: shared_limits(&job.spec),
    }
}
