//! What sessions ask, each handed to the one who knows. An answer that nobody takes is no error: the
//! client has gone.

use tokio::sync::{mpsc, oneshot};

use super::super::event::{Ask, Waiting};
use super::{Control, schedule};
use crate::job::JobId;
use crate::protocol::Finished;

impl Control {
    pub(super) fn on_ask(&mut self, ask: Ask) {
        self.state.counters.calls += 1;
        match ask {
            Ask::Submit(submission, answer) => self.on_submit(submission, answer),
            Ask::Change(change, jobs, answer) => self.on_change(change, jobs, answer),
            Ask::ChangeFolded(change, arrays, answer) => {
                self.on_change_folded(&change, arrays, answer);
            }
            Ask::RetryFolded(folds, answer) => self.on_retry_folded(folds, answer),
            Ask::RemoveFolded(folds, answer) => self.on_remove_folded(folds, answer),
            Ask::UnfoldEnded(elements, answer) => self.on_unfold_ended(elements, answer),
            Ask::Unfold(wanted, answer) => self.on_unfold(wanted, answer),
            Ask::Retry(jobs, answer) => self.on_retry(jobs, answer),
            Ask::Remove(jobs, answer) => self.on_remove(jobs, answer),
            Ask::Wait(jobs, sink, answer) => self.on_wait(jobs, sink, answer),
            Ask::Unwait(waiter) => self.waiters.remove(waiter),
            Ask::SetQueue(change, answer) => self.on_set_queue(change, answer),
            Ask::RemoveQueue(name, answer) => self.on_remove_queue(name, answer),
            Ask::AddSchedule(planned, answer) => self.on_add_schedule(*planned, answer),
            Ask::ChangeSchedule(name, change, answer) => {
                self.on_change_schedule(schedule::Asked { name, change, answer });
            }
            Ask::SetLanes(change, answer) => self.on_set_lanes(change, answer),
            Ask::Drain(on, answer) => self.on_drain(on, answer),
            Ask::Stop(at_once, answer) => self.on_stop(at_once, answer),
            Ask::Restart(at_once, answer) => self.on_restart(at_once, Some(answer)),
            Ask::Reload(answer) => {
                let result = self.reload();
                let _ = answer.send(result);
            }
            reading => self.on_reading_ask(reading),
        }
    }

    /// Asks that change nothing.
    fn on_reading_ask(&mut self, ask: Ask) {
        match ask {
            Ask::Explain(job, answer) => {
                let explanation = self.scheduler.explain(super::super::clock::now(), job);
                let _ = answer.send(explanation.map(|told| self.with_drain(told)));
            }
            Ask::Lend(token, answer) => {
                let _ = answer.send(self.lanes.lending(token));
            }
            Ask::Attempts(answer) => {
                let _ = answer.send(self.lanes.attempts().collect());
            }
            Ask::Progress(jobs, answer) => {
                let _ = answer.send(self.progress(&jobs));
            }
            Ask::Queues(answer) => {
                let _ = answer.send(self.queues_reply());
            }
            Ask::Schedules(owner, answer) => {
                let _ = answer.send(self.schedules_reply(owner));
            }
            Ask::ShowSchedule(name, answer) => {
                let _ = answer.send(self.schedule_reply(&name));
            }
            Ask::Lanes(answer) => {
                let _ = answer.send(self.lanes_reply());
            }
            Ask::Stats(answer) => {
                let _ = answer.send(self.stats_reply());
            }
            Ask::Status(answer) => {
                let _ = answer.send(self.status_reply());
            }
            Ask::Config(answer) => {
                let _ = answer.send(self.settings.config_reply());
            }
            changing => unreachable!("{changing:?} changes something and was handled before"),
        }
    }

    fn on_wait(
        &mut self,
        jobs: Vec<JobId>,
        sink: mpsc::Sender<Finished>,
        answer: oneshot::Sender<Waiting>,
    ) {
        let (live, gone): (Vec<JobId>, Vec<JobId>) =
            jobs.into_iter().partition(|job| self.is_live(*job));
        let id = self.waiters.add(live, sink);
        if answer.send(Waiting { id, gone }).is_err() {
            self.waiters.remove(id);
        }
    }
}
