//! Submitting jobs, and bringing final ones back.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::clock;
use super::super::event::{Answer, Draft, Event, Submission};
use super::super::readers::whole_jobs;
use super::super::requests::RequestId;
use super::{Control, Then};
use crate::job::{Change, Class, Job, JobId, Limits, NewJob, Spec, State};
use crate::protocol::{ChangeReply, Declined, Error};
use crate::scheduler::{Demand, Entry, Input};

impl Control {
    /// Gives the jobs their ids and has them written down.
    pub(super) fn on_submit(&mut self, submission: Submission, answer: Answer<(JobId, JobId)>) {
        if let Some(refusal) = self.refuses_jobs() {
            // The session may have gone.
            let _ = answer.send(Err(refusal));
            return;
        }
        let first = self.next_id;
        let count = submission.drafts.len() as u64;
        if count == 0 || first.get() + count > JobId::MAX {
            let message = "there are no job ids left, or no jobs were given".to_owned();
            let _ = answer.send(Err(Error::LimitReached { limit: "ids".to_owned(), message }));
            return;
        }
        self.next_id = first.after(count);
        let jobs = new_jobs(submission, first, clock::now().wall);
        self.write(Change::Submitted { jobs }, Then::Submitted(answer));
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
            queue: Arc::from(job.spec.queue.as_str()),
            priority: job.spec.priority,
            demand: self.demand(&job.spec.kind, job.spec.class, job.spec.cpus),
            retry: job.spec.retry.clone(),
            attempts: 0,
            limits: shared_limits(&job.spec),
        }
    }

    fn demand(&self, kind: &str, class: Class, cpus: u32) -> Demand {
        self.launcher.demand(kind, class, cpus)
    }

    /// Writes final jobs back to queued.
    pub(super) fn on_retry(&mut self, jobs: Vec<Job>, answer: Answer<ChangeReply>) {
        if let Some(refusal) = self.refuses_jobs() {
            let _ = answer.send(Err(refusal));
            return;
        }
        let request = self.requests.open(jobs.len(), answer);
        for job in jobs {
            if self.is_live(job.id) || !job.state.is_final() {
                let why = "it has not ended".to_owned();
                self.requests
                    .decline(request, Declined { id: job.id, state: Some(job.state), why });
                continue;
            }
            let change = Change::Moved {
                job: job.id,
                from: job.state,
                to: State::Queued,
                not_before: None,
                reason: None,
                at: clock::now().wall,
            };
            self.write(change, Then::Revived(job.id, request));
        }
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
            let found = readers.query_patiently(move |reader| whole_jobs(reader, &ids)).await;
            // The loop is gone only when the daemon has ended.
            let _ = own.send(Event::Revived { wanted, found }).await;
        });
    }

    /// Lets the scheduler know of jobs that came back to life.
    pub(super) fn on_revived(&mut self, wanted: &[(JobId, RequestId)], found: &[Job]) {
        let entry = |job: &Job| {
            let demand = self.launcher.demand(&job.spec.kind, job.spec.class, job.spec.cpus);
            revived(job, demand)
        };
        let entries = found.iter().map(entry).collect();
        self.step(Input::Submitted(entries));
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
        self.ask_deferred();
    }
}

fn new_jobs(submission: Submission, first: JobId, at: crate::job::WallTime) -> Vec<NewJob> {
    let Submission { owner, drafts, array, continues } = submission;
    let numbered = drafts.into_iter().zip(0..);
    let job = |(draft, offset): (Draft, u64)| NewJob {
        id: first.after(offset),
        owner,
        submission: continues.unwrap_or(first),
        place: if array { draft.place(first) } else { None },
        submitted_at: at,
        state: if draft.hold { State::Held } else { State::Queued },
        not_before: None,
        spec: draft.spec,
        context: draft.context,
    };
    numbered.map(job).collect()
}

fn shared_limits(spec: &Spec) -> Option<Arc<Limits>> {
    spec.limits.as_deref().cloned().map(Arc::new)
}

fn revived(job: &Job, demand: Demand) -> Entry {
    Entry {
        id: job.id,
        owner: job.owner,
        place: job.place,
        state: State::Queued,
        not_before: None,
        submitted_at: job.submitted_at,
        queue: Arc::from(job.spec.queue.as_str()),
        priority: job.spec.priority,
        demand,
        // The retries count from here: those of before are spent.
        retry: crate::job::RetryPolicy {
            retries: job.spec.retry.retries.saturating_add(job.attempts),
            ..job.spec.retry.clone()
        },
        attempts: job.attempts,
        limits: shared_limits(&job.spec),
    }
}
