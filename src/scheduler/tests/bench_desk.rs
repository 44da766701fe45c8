//! A desk to put a scheduler on: virtual time, and a disk that answers when the test says so.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{
    AttemptToken, Awaited, Backoff, Change, Class, Condition, Deadline, Failure, JobId, KeyLimit,
    Now, Outcome, QueueRecord, Requirement, RetryPolicy, State, StoreId, Suspicion, Usage,
    WallTime,
};
use crate::scheduler::{
    Action, Decline, Demand, Entry, Input, LaneSizes, Options, Scheduler, Start,
};

/// A scheduler, its time and everything it asked for that was not taken away yet.
pub(in crate::scheduler) struct Desk {
    pub(in crate::scheduler) scheduler: Scheduler,
    pub(in crate::scheduler) now: Now,
    pub(in crate::scheduler) actions: Vec<Action>,
    steps: usize,
}

/// The check looks at every job: with more than these it is made now and then.
const CHECKED_EACH_STEP: usize = 50;

pub(in crate::scheduler) fn id(number: u64) -> JobId {
    JobId::new(number).unwrap()
}

/// A queued job of class `cpu` with one permit in queue `a`.
pub(in crate::scheduler) fn entry(number: u64) -> Entry {
    Entry {
        id: id(number),
        owner: 1000,
        place: None,
        state: State::Queued,
        not_before: None,
        submitted_at: WallTime(0),
        turn: None,
        queue: Arc::from("a"),
        priority: 0,
        demand: Demand { class: Class::Cpu, permits: 1, inside: false },
        retry: RetryPolicy::default(),
        attempts: 0,
        pardoned: 0,
        suspicion: None,
        reason: None,
        requires: Vec::new(),
        limits: None,
    }
}

impl Entry {
    pub(super) fn needs(mut self, permits: u32) -> Self {
        self.demand.permits = permits;
        self
    }

    /// Runs inside the daemon.
    pub(super) fn inside(mut self) -> Self {
        self.demand.inside = true;
        self
    }

    /// Runs inside the daemon, which died so often while it did.
    pub(super) fn suspected(mut self, crashes: u32, alone: u32) -> Self {
        self.suspicion = Some(Suspicion { crashes, alone });
        self.inside()
    }

    pub(super) fn of(mut self, class: Class) -> Self {
        self.demand.class = class;
        self
    }

    pub(super) fn with_key(mut self, key: &str, max: u32) -> Self {
        let mut limits = self.limits.take().map(Arc::unwrap_or_clone).unwrap_or_default();
        limits.keys.push(KeyLimit { key: key.to_owned(), max: Some(max) });
        self.limits = Some(Arc::new(limits));
        self
    }

    pub(super) fn in_queue(mut self, queue: &str) -> Self {
        self.queue = Arc::from(queue);
        self
    }

    pub(super) fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    pub(super) fn after(mut self, on: Condition, job: u64) -> Self {
        self.state = State::Waiting;
        let requirement = Requirement { job: id(job), on };
        self.requires.push(Awaited { requirement, ending: None });
        self
    }

    pub(super) fn retries(mut self, retries: u32, pause: Duration) -> Self {
        let backoff = Backoff::Fixed(pause);
        self.retry = RetryPolicy { retries, backoff, ..RetryPolicy::default() };
        self
    }
}

impl Desk {
    pub(in crate::scheduler) fn new(cpu: u32, io: u32) -> Self {
        Self::with(Options::default(), cpu, io)
    }

    pub(in crate::scheduler) fn with(options: Options, cpu: u32, io: u32) -> Self {
        let lanes = LaneSizes { cpu, io, blocking: 1 };
        let scheduler = Scheduler::new(options, lanes, StoreId::new(7), 3);
        let now = Now { boot: Duration::from_secs(100), wall: WallTime(0) };
        Self { scheduler, now, actions: Vec::new(), steps: 0 }
    }

    pub(in crate::scheduler) fn step(&mut self, input: Input) {
        self.scheduler.step(self.now, input, &mut self.actions);
        self.steps += 1;
        if self.scheduler.len() <= CHECKED_EACH_STEP || self.steps.is_multiple_of(CHECKED_EACH_STEP)
        {
            self.scheduler.check_invariants().unwrap();
        }
    }

    pub(super) fn submit(&mut self, entries: impl IntoIterator<Item = Entry>) {
        self.step(Input::Submitted(entries.into_iter().collect()));
    }

    pub(super) fn pass(&mut self, span: Duration) {
        self.now.boot += span;
        self.now.wall = self.now.wall.plus(span);
        self.step(Input::Tick);
    }

    /// Takes away the starts that were asked for.
    pub(super) fn take_starts(&mut self) -> Vec<Start> {
        let (starts, rest) = self
            .actions
            .drain(..)
            .partition::<Vec<_>, _>(|action| matches!(action, Action::Start(_)));
        self.actions = rest;
        let start = |action| match action {
            Action::Start(start) => start,
            other => unreachable!("{other:?} is no start"),
        };
        starts.into_iter().map(start).collect()
    }

    /// Takes away the starts; their ids.
    pub(super) fn started(&mut self) -> Vec<u64> {
        self.take_starts().into_iter().map(|start| start.job.get()).collect()
    }

    /// Takes away the changes that are to be written.
    pub(super) fn take_writes(&mut self) -> Vec<Change> {
        let (writes, rest) = self
            .actions
            .drain(..)
            .partition::<Vec<_>, _>(|action| matches!(action, Action::Write(_)));
        self.actions = rest;
        let change = |action| match action {
            Action::Write(change) => change,
            other => unreachable!("{other:?} is no write"),
        };
        writes.into_iter().map(change).collect()
    }

    /// Takes the one change that is to be written.
    pub(super) fn take_write(&mut self) -> Change {
        let mut writes = self.take_writes();
        assert_eq!(writes.len(), 1, "{writes:?}");
        writes.remove(0)
    }

    /// Syncs everything that is to be written.
    pub(super) fn commit(&mut self) {
        for change in self.take_writes() {
            self.step(Input::Committed(change));
        }
    }

    pub(super) fn token(&self, number: u64) -> AttemptToken {
        self.scheduler.job(id(number)).unwrap().token.unwrap()
    }

    pub(super) fn end(&mut self, number: u64, outcome: Outcome) {
        let (job, token) = (id(number), self.token(number));
        let usage = Usage::default();
        self.step(Input::Ended { job, token, outcome, usage, retry_after: None, retryable: true });
    }

    pub(super) fn succeed(&mut self, number: u64) {
        self.end(number, Outcome::Succeeded);
        self.commit();
    }

    pub(super) fn state(&self, number: u64) -> Option<State> {
        self.scheduler.job(id(number)).map(|job| job.state)
    }

    pub(super) fn declined(&mut self) -> Vec<(u64, Decline)> {
        let declined = |action: &Action| match action {
            Action::Declined { job, why } => Some((job.get(), *why)),
            _ => None,
        };
        let all = self.actions.iter().filter_map(declined).collect();
        self.actions.retain(|action| declined(action).is_none());
        all
    }

    pub(super) fn queue(&mut self, name: &str, change: impl FnOnce(&mut QueueRecord)) {
        let mut record = QueueRecord::named(name);
        change(&mut record);
        self.step(Input::QueueSet(record));
    }

    pub(super) fn aborts(&self) -> usize {
        self.actions.iter().filter(|action| matches!(action, Action::Abort { .. })).count()
    }

    pub(super) fn settled(&mut self) -> Vec<(u64, State)> {
        let settled = |action: &Action| match action {
            Action::Settled { job, state } => Some((job.get(), *state)),
            _ => None,
        };
        let all = self.actions.iter().filter_map(settled).collect();
        self.actions.retain(|action| settled(action).is_none());
        all
    }

    pub(super) fn in_secs(&self, secs: u64) -> Deadline {
        Deadline::after(self.now, Duration::from_secs(secs))
    }
}

pub(super) fn exit(code: i32) -> Outcome {
    Outcome::Failed(Failure::Exit(code))
}
