//! Requests about many jobs that are answered when the last of their changes is written down.

use std::collections::HashMap;

use super::event::Answer;
use crate::job::{Folded, JobId};
use crate::protocol::{ArrayChange, ChangeReply, Declined, DeclinedElements, Error};

/// Names one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestId(u64);

/// The requests that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Requests {
    next: u64,
    open: HashMap<RequestId, Request>,
    /// Who waits for a change of a job that is on its way to the disk.
    by_job: HashMap<JobId, Vec<RequestId>>,
}

#[derive(Debug)]
struct Request {
    left: usize,
    reply: ChangeReply,
    answer: Answer<ChangeReply>,
}

impl Requests {
    /// Opens a request about so many jobs; one about none is answered at once.
    pub(super) fn open(&mut self, jobs: usize, answer: Answer<ChangeReply>) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        if jobs == 0 {
            // Here and below: the client may have gone.
            let _ = answer.send(Ok(ChangeReply::default()));
        } else {
            self.open.insert(id, Request { left: jobs, reply: ChangeReply::default(), answer });
        }
        id
    }

    /// The request waits for the job's change.
    pub(super) fn await_job(&mut self, request: RequestId, job: JobId) {
        self.by_job.entry(job).or_default().push(request);
    }

    /// The job's change, if a request waits for it, was written.
    pub(super) fn job_changed(&mut self, job: JobId) {
        for request in self.by_job.remove(&job).unwrap_or_default() {
            self.changed(request, job);
        }
    }

    /// The job's change, if a request waits for it, was refused.
    pub(super) fn job_declined(&mut self, job: JobId, declined: &Declined) {
        for request in self.by_job.remove(&job).unwrap_or_default() {
            self.decline(request, declined.clone());
        }
    }

    /// One of the request's jobs was changed.
    pub(super) fn changed(&mut self, request: RequestId, job: JobId) {
        self.one_done(request, |reply| reply.changed.push(job));
    }

    /// One of the request's jobs was passed over.
    pub(super) fn decline(&mut self, request: RequestId, declined: Declined) {
        self.one_done(request, |reply| reply.declined.push(declined));
    }

    /// What is folded of an array was changed or not, if a request waits for that.
    pub(super) fn folded_changed(&mut self, folded: Folded, why: Option<&str>) {
        // No job has the id of the first of them.
        for request in self.by_job.remove(&folded.first).unwrap_or_default() {
            self.folded_one(request, folded, why.map(str::to_owned));
        }
    }

    /// What is folded of one of the request's arrays was changed, or was not for this reason.
    pub(super) fn folded_one(&mut self, request: RequestId, folded: Folded, why: Option<String>) {
        let Folded { array, first, count } = folded;
        let change = match why {
            None => ArrayChange { array, changed: count, declined: 0, reasons: Vec::new() },
            Some(why) => {
                let reasons = vec![DeclinedElements { why, count, ids: vec![first] }];
                ArrayChange { array, changed: 0, declined: count, reasons }
            }
        };
        self.one_done(request, |reply| reply.arrays.push(change));
    }

    /// Nothing is folded any more of one of the request's arrays.
    pub(super) fn nothing_folded(&mut self, request: RequestId) {
        self.one_done(request, |_| {});
    }

    fn one_done(&mut self, request: RequestId, note: impl FnOnce(&mut ChangeReply)) {
        let Some(open) = self.open.get_mut(&request) else { return };
        note(&mut open.reply);
        open.left -= 1;
        if open.left == 0
            && let Some(done) = self.open.remove(&request)
        {
            let _ = done.answer.send(Ok(done.reply));
        }
    }

    /// The request can't be met at all.
    pub(super) fn fail(&mut self, request: RequestId, error: &Error) {
        if let Some(open) = self.open.remove(&request) {
            let _ = open.answer.send(Err(error.clone()));
        }
    }

    /// No request can be met any more.
    pub(super) fn fail_all(&mut self, error: &Error) {
        self.by_job.clear();
        for (_, open) in self.open.drain() {
            let _ = open.answer.send(Err(error.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn id(number: u64) -> JobId {
        JobId::new(number).unwrap()
    }

    #[test]
    fn a_request_is_answered_when_its_last_job_is_settled() {
        let mut requests = Requests::default();
        let (answer, mut reply) = oneshot::channel();
        let request = requests.open(3, answer);
        requests.await_job(request, id(1));
        requests.await_job(request, id(2));
        requests.job_changed(id(1));
        requests.decline(request, Declined { id: id(3), state: None, why: String::new() });
        assert!(reply.try_recv().is_err());
        requests.job_changed(id(9));
        requests.job_changed(id(2));
        let reply = reply.try_recv().unwrap().unwrap();
        assert_eq!(reply.changed, [id(1), id(2)]);
        assert_eq!(reply.declined.len(), 1);
        assert!(requests.open.is_empty() && requests.by_job.is_empty());
    }

    #[test]
    fn two_requests_for_one_job_are_both_answered() {
        let mut requests = Requests::default();
        let mut replies = Vec::new();
        for _ in 0..2 {
            let (answer, reply) = oneshot::channel();
            let request = requests.open(1, answer);
            requests.await_job(request, id(1));
            replies.push(reply);
        }
        requests.job_changed(id(1));
        for mut reply in replies {
            assert_eq!(reply.try_recv().unwrap().unwrap().changed, [id(1)]);
        }
    }

    #[test]
    fn a_request_about_no_jobs_is_answered_at_once() {
        let (answer, mut reply) = oneshot::channel();
        Requests::default().open(0, answer);
        assert_eq!(reply.try_recv().unwrap(), Ok(ChangeReply::default()));
    }
}
