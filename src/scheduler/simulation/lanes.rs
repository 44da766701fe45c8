//! The lanes: run what they are given, end it one way or another, report it once.

use std::sync::Arc;
use std::time::Duration;

use super::disk::Pending;
use super::world::World;
use crate::job::{AttemptToken, Change, Failure, JobId, Outcome, Usage};
use crate::scheduler::{Demand, Input, Start};

/// An attempt that a lane runs.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) job: JobId,
    pub(super) demand: Demand,
    /// The named units that it has.
    pub(super) units: Vec<Arc<str>>,
    /// The lane was told to end it.
    pub(super) doomed: bool,
}

impl World {
    pub(super) fn start(&mut self, start: Start) {
        let Start { job, attempt, token, demand, alone } = start;
        assert!(self.tokens.insert((token.life, token.counter)), "token {token} is used twice");
        assert!(self.attempts.values().all(|other| other.job != job), "{job} runs twice at once");
        assert_eq!(
            demand, self.disk[&job].job.demand,
            "{job} got something else than it asked for"
        );
        self.check_alone(job, demand, alone);
        self.check_start(job, demand);
        let queue = self.disk[&job].job.queue.to_string();
        self.started.entry(queue).or_default().push(self.now.boot);
        self.note_key_starts(job);
        let units = self.scheduler.units(job).into_iter().flat_map(|(_, units)| units).collect();
        self.attempts.insert(token.counter, Attempt { job, demand, units, doomed: false });
        self.pending.push_back(Pending::Change(Change::Started {
            job,
            attempt,
            token,
            lane: demand.lane(),
            class: demand.class,
            at: self.now.wall,
        }));
    }

    pub(super) fn abort(&mut self, job: JobId, token: AttemptToken) {
        assert_eq!(token, self.token(token.counter), "a foreign attempt");
        let attempt = self.attempts.get_mut(&token.counter).expect("an attempt that runs");
        assert_eq!(attempt.job, job, "another job's attempt");
        assert!(!attempt.doomed, "{job} is aborted twice");
        attempt.doomed = true;
    }

    pub(super) fn end_some_attempt(&mut self) {
        let counters: Vec<_> = self.attempts.keys().copied().collect();
        let Some(counter) = self.dice.pick(&counters) else { return };
        let doomed = self.attempts[&counter].doomed;
        let outcome = match self.dice.roll(if doomed { 3 } else { 10 }) {
            1 => Outcome::Failed(Failure::Exit(1)),
            0 if doomed => Outcome::Cancelled,
            2 if doomed => Outcome::Succeeded,
            2 => Outcome::TimedOut,
            3 => Outcome::Failed(Failure::NotFound("gone".to_owned())),
            4 => Outcome::Failed(Failure::Signal(9)),
            _ => Outcome::Succeeded,
        };
        if self.dice.chance(10) {
            self.report_something_stale(counter);
        }
        self.end(counter, outcome);
        if self.dice.chance(10) {
            self.report_something_stale(counter);
        }
    }

    pub(super) fn end(&mut self, counter: u64, outcome: Outcome) {
        let Some(attempt) = self.attempts.remove(&counter) else { return };
        let retry_after = self.dice.chance(10).then(|| Duration::from_secs(self.dice.roll(5)));
        let (job, token, usage) = (attempt.job, self.token(counter), Usage::default());
        self.input(Input::Ended { job, token, outcome, usage, retry_after, retryable: true });
    }

    /// An outcome of an attempt that is no longer, or never was.
    fn report_something_stale(&mut self, counter: u64) {
        let mut token = self.token(counter);
        if self.attempts.contains_key(&counter) {
            token.life -= 1;
        }
        let job = self.dice.roll(self.next_id) + 1;
        let job =
            self.attempts.get(&counter).map_or(JobId::new(job).unwrap(), |attempt| attempt.job);
        let (outcome, usage) = (Outcome::Succeeded, Usage::default());
        let written = self.pending.len();
        self.input(Input::Ended { job, token, outcome, usage, retry_after: None, retryable: true });
        assert_eq!(self.pending.len(), written, "a stale outcome of {job} was believed");
    }
}
