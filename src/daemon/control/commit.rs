//! What follows when the writer has finished a batch.

use super::super::event::{Answer, Endings, Taken};
use super::super::happening::Happening;
use super::super::writer::Written;
use super::{Control, Then};
use crate::job::{Change, Failure, Fold, JobId, NewJob, Outcome, Usage};
use crate::protocol::{Declined, Error, finished_to_wire};
use crate::scheduler::Input;
use crate::store::{Refusal, StoreError, Work};

impl Control {
    /// Lets everything happen that waited for the batch; `Err` when the store can't go on.
    pub(super) fn on_written(&mut self, written: Written) -> Result<(), StoreError> {
        self.writer.came_back();
        let Written { batch, answers, aside, took } = written;
        let then = std::mem::take(&mut self.state.flying);
        self.state.aside = aside;
        match answers {
            Ok(answers) => {
                self.state.counters.committed(&batch, took);
                self.back_to_health();
                for ((change, then), answer) in batch.into_iter().zip(then).zip(answers) {
                    self.settle(change, then, answer);
                }
                self.ask_deferred();
                self.ask_schedules_again();
                Ok(())
            }
            Err(error @ (StoreError::Full(_) | StoreError::Locked(_))) => {
                self.no_room(batch, then, error);
                Ok(())
            }
            Err(error) => {
                tracing::error!(
                    "the store failed, ending so that the next start recovers: {error}"
                );
                self.fail_all(then, &Error::StorageFailed { message: error.to_string() });
                Err(error)
            }
        }
    }

    fn settle(&mut self, change: Change, then: Then, answer: Result<(), Refusal>) {
        if answer.is_ok() {
            self.publish(&change);
        }
        match (then, change) {
            (Then::Submitted(back, about), Change::Submitted { jobs, fold }) => {
                self.submitted(jobs, fold, (back, *about), answer);
            }
            (Then::Started, change) => self.started(&change, answer),
            (Then::Scheduled, change) => self.scheduled(change, answer),
            (Then::Revived(job, request), _) => match answer {
                Ok(()) => {
                    self.state.reviving.insert(job);
                    self.state.revived.push((job, request));
                }
                Err(refusal) => {
                    // Another retry may have been taken.
                    if !self.is_live(job) && !self.state.reviving.contains(&job) {
                        self.uniques.give_back(job);
                    }
                    self.requests.decline(request, declined(job, &refusal));
                }
            },
            (Then::Folded(request, elements), change) => {
                self.folded_settled(request, &elements, &change, &answer);
            }
            (Then::Drain(back), Change::DrainSet(drain)) => self.drained(drain, back, answer),
            (Then::Queue(back), change) => self.queue_changed(change, back, answer),
            (Then::Schedule(schedule, back), _) => self.schedule_changed(schedule, back, answer),
            (Then::Turned, Change::ScheduleTurned(turn)) => self.turned(*turn, answer),
            (Then::Removed(request), Change::Removed { jobs }) => {
                self.removed(jobs, request, &answer);
            }
            (
                Then::Nothing
                | Then::Probe
                | Then::Submitted(..)
                | Then::Removed(_)
                | Then::Turned
                | Then::Drain(_),
                _,
            ) => {}
        }
    }

    fn submitted(
        &mut self,
        jobs: Vec<NewJob>,
        fold: Option<Fold>,
        (back, (taken, endings)): (Answer<Taken>, (Taken, Endings)),
        answer: Result<(), Refusal>,
    ) {
        if let Err(refusal) = answer {
            self.give_keys_back(&jobs);
            let _ = back.send(Err(match refusal {
                // It was removed after the session had looked.
                Refusal::NoSuchJob(id) => super::super::refuse::no_such_job(id),
                other => Error::Internal { message: other.to_string() },
            }));
            return;
        }
        let entries = jobs.iter().map(|job| self.entry(job)).collect();
        let folded = jobs.last().zip(fold).map(|(last, fold)| self.folded_behind(last, fold));
        if let (Some(first), Some(last)) = (jobs.first(), jobs.last()) {
            let last = last.id.after(fold.map_or(0, |fold| fold.count));
            self.state.entered_below = last.get() + 1;
            // The client may have gone; its jobs are accepted all the same.
            let _ = back.send(Ok(Taken { new: Some((first.id, last)), ..taken }));
        }
        self.works.keep(jobs.into_iter().map(|job| Work {
            id: job.id,
            place: job.place,
            edits: 0,
            spec: job.spec,
            context: job.context,
        }));
        self.enter(entries, &endings);
        if let Some(folded) = folded {
            self.enter_folded(folded);
        }
    }

    fn started(&mut self, change: &Change, answer: Result<(), Refusal>) {
        let Change::Started { job, token, .. } = change else { return };
        let Err(refusal) = answer else {
            return self.start_is_written(*job);
        };
        tracing::error!("a start could not be written down: {refusal}");
        self.state.starting.remove(job);
        self.lanes.end(*token, crate::lanes::Cause::Cancelled);
        self.step(Input::Ended {
            job: *job,
            token: *token,
            outcome: Outcome::Failed(Failure::Error(refusal.to_string())),
            usage: Usage::default(),
            retryable: false,
            retry_after: None,
        });
    }

    fn scheduled(&mut self, change: Change, answer: Result<(), Refusal>) {
        let job = change.job();
        let moved = match &change {
            Change::FoldMoved { folded, .. } => Some(*folded),
            _ => None,
        };
        if let Some(folded) = moved {
            self.folded_moved(folded, &answer);
        }
        match answer {
            Ok(()) => {
                if let Some(job) = job {
                    self.requests.job_changed(job);
                }
                let unfolded = moved.is_some() || matches!(change, Change::Unfolded { .. });
                match change {
                    Change::Edited(edited) => self.edited(edited, &Endings::new()),
                    change => self.step(Input::Committed(change)),
                }
                if unfolded {
                    self.unfolded();
                }
            }
            Err(refusal) => {
                tracing::warn!("the store refused a change: {refusal}");
                if let Some(job) = job {
                    self.requests.job_declined(job, &declined(job, &refusal));
                }
                self.step(Input::Refused(change));
            }
        }
    }

    fn queue_changed(&mut self, change: Change, back: Answer<()>, answer: Result<(), Refusal>) {
        if let Change::QueueSet(record) = &change
            && self.state.queues_coming.get(&record.name) == Some(record)
        {
            self.state.queues_coming.remove(&record.name);
        }
        let result = match (answer, change) {
            (Ok(()), Change::QueueSet(record)) => {
                self.queues.insert(record.name.clone(), record.clone());
                self.step(Input::QueueSet(record));
                Ok(())
            }
            (Ok(()), Change::QueueRemoved { name }) => {
                self.queues.remove(&name);
                self.step(Input::QueueRemoved(name));
                Ok(())
            }
            (Err(Refusal::QueueInUse(queue)), _) => {
                let message = Refusal::QueueInUse(queue.clone()).to_string();
                Err(Error::QueueInUse { queue, message })
            }
            (Err(refusal), _) => Err(Error::Internal { message: refusal.to_string() }),
            (Ok(()), _) => Ok(()),
        };
        self.publish_bounds();
        let _ = back.send(result);
    }

    fn removed(
        &mut self,
        jobs: Vec<JobId>,
        request: super::RequestId,
        answer: &Result<(), Refusal>,
    ) {
        for job in &jobs {
            match answer {
                Ok(()) => self.requests.changed(request, *job),
                Err(refusal) => self.requests.decline(request, declined(*job, refusal)),
            }
        }
        if answer.is_ok() {
            super::super::retention::remove_outputs(self.captured.clone(), jobs);
        }
    }

    /// Tells those who wait for the job and those who watch.
    fn publish(&mut self, change: &Change) {
        self.state.counters.took(change);
        let finished = match change {
            Change::Ended { job, outcome, next, .. } if next.is_final() => {
                Some(finished_to_wire(*job, *next, Some(outcome), None))
            }
            Change::Moved { job, to, reason, .. } if to.is_final() => {
                Some(finished_to_wire(*job, *to, None, reason.as_deref()))
            }
            _ => None,
        };
        if let Some(finished) = &finished {
            self.waiters.finished(finished);
            self.works.take(finished.id);
            self.uniques.give_back(finished.id);
            self.agenda.ended(finished.id);
        }
        let told = !matches!(
            change,
            Change::Unfolded { .. } | Change::EndedUnfolded { .. } | Change::FoldRemoved { .. }
        );
        if told && self.happenings.receiver_count() > 0 {
            let owner = match change {
                // What had ended is told of by whoever asked for its return.
                Change::FoldMoved { from, .. } if from.is_final() => return,
                Change::FoldMoved { folded, .. } => self.scheduler.folded_owner(folded.array),
                _ => change.job().and_then(|job| self.scheduler.job(job)).map(|live| live.owner),
            };
            let schedule = match change {
                Change::ScheduleTurned(turn) => self.agenda.get(turn.schedule),
                Change::ScheduleRemoved { schedule } => self.agenda.get(*schedule),
                _ => None,
            };
            let schedule = schedule.map(|planned| &planned.record);
            self.tell(|| Happening::of(change, owner, schedule));
        }
    }

    /// Answers those that asked for a change which will not be written; gives back what must be.
    pub(super) fn refused(&mut self, then: Then, error: &Error) -> Option<Then> {
        match then {
            Then::Submitted(answer, _) => {
                let _ = answer.send(Err(error.clone()));
            }
            Then::Queue(answer) | Then::Drain(answer) => {
                let _ = answer.send(Err(error.clone()));
            }
            Then::Schedule(schedule, back) => self.schedule_refused(schedule, back, error.clone()),
            // Another probe follows.
            Then::Probe => {}
            Then::Folded(request, elements) => {
                self.state.folds_reviving.remove(&elements.folded().array);
                self.requests.fail(request, error);
            }
            Then::Revived(_, request) | Then::Removed(request) => {
                self.requests.fail(request, error);
            }
            keep @ (Then::Started | Then::Scheduled | Then::Turned | Then::Nothing) => {
                return Some(keep);
            }
        }
        None
    }

    /// Tells everybody that nothing more will be written.
    pub(super) fn fail_all(&mut self, flying: Vec<Then>, error: &Error) {
        let then = std::mem::take(&mut self.state.then);
        for then in flying.into_iter().chain(then) {
            self.refused(then, error);
        }
        self.requests.fail_all(error);
        self.fail_namings(error);
    }
}

fn declined(id: JobId, refusal: &Refusal) -> Declined {
    Declined { id, state: None, why: refusal.to_string() }
}
