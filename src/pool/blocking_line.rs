//! The line of closures that were declared blocking: they run on pool threads without a core permit.
//!
//! Owns the line and the number of places. Never decides about permits. Invariant: at most `places` of them run at once,
//! and while one waits and a place is free, a thread is on its way or about to look here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::job::JobRef;
use super::parker::BLOCKING;
use super::shared::{Count, Shared};
use super::sync::lock;

/// See the module. A mutex is right here: what goes through this line ends in a system call that waits.
#[derive(Debug)]
pub(super) struct BlockingLine {
    line: Mutex<Line>,
    waiting: Count,
}

#[derive(Debug)]
struct Line {
    queue: VecDeque<JobRef>,
    places: usize,
    running: usize,
    /// A thread was called and has not looked yet: one call at a time, or a burst of tiny closures would wake them all.
    calling: bool,
}

impl Line {
    fn take_place(&mut self) -> bool {
        let free = self.running < self.places;
        self.running += usize::from(free);
        free
    }

    /// Whether one more thread should be called; takes its place.
    fn calls(&mut self) -> bool {
        let call = !self.queue.is_empty() && !self.calling && self.take_place();
        self.calling |= call;
        call
    }
}

impl BlockingLine {
    /// A line of `places` places; at least one, or nothing would ever run.
    pub(super) fn new(places: usize) -> Self {
        let line =
            Line { queue: VecDeque::new(), places: places.max(1), running: 0, calling: false };
        Self { line: Mutex::new(line), waiting: Count::default() }
    }

    /// How many wait.
    pub(super) fn queued(&self) -> usize {
        self.waiting.get()
    }

    /// How many run.
    pub(super) fn running(&self) -> usize {
        lock(&self.line).running
    }

    /// Queues a closure and calls a thread if a place is free.
    pub(super) fn push(&self, shared: &Arc<Shared>, job: JobRef) {
        let mut line = lock(&self.line);
        line.queue.push_back(job);
        self.waiting.add(1);
        let call = line.calls();
        drop(line);
        if call {
            self.call(shared);
        }
    }

    /// Whether a worker that has nothing else to do could serve this line.
    pub(super) fn has_place_and_work(&self) -> bool {
        if self.waiting.get() == 0 {
            return false;
        }
        let line = lock(&self.line);
        !line.queue.is_empty() && line.running < line.places
    }

    /// Takes a place for a worker that came by itself.
    pub(super) fn take_place(&self) -> bool {
        if self.waiting.get() == 0 {
            return false;
        }
        let mut line = lock(&self.line);
        !line.queue.is_empty() && line.take_place()
    }

    /// The next closure for a worker that has a place; `None` gives the place up.
    pub(super) fn next(&self, shared: &Arc<Shared>) -> Option<JobRef> {
        let mut line = lock(&self.line);
        line.calling = false;
        let job = if line.running > line.places { None } else { line.queue.pop_front() };
        let Some(job) = job else {
            line.running -= 1;
            return None;
        };
        self.waiting.sub(1);
        let call = line.calls();
        drop(line);
        if call {
            self.call(shared);
        }
        Some(job)
    }

    /// Changes the number of places.
    pub(super) fn resize(&self, shared: &Arc<Shared>, places: usize) {
        let mut line = lock(&self.line);
        line.places = places.max(1);
        let call = line.calls();
        drop(line);
        if call {
            self.call(shared);
        }
    }

    /// Gives up all that wait.
    pub(super) fn abandon_all(&self) {
        let queue = std::mem::take(&mut lock(&self.line).queue);
        self.waiting.sub(queue.len());
        queue.into_iter().for_each(JobRef::abandon);
    }

    fn call(&self, shared: &Arc<Shared>) {
        shared.watch.ring();
        while !shared.rouse(BLOCKING) {
            // No thread to be had: whoever finishes something next looks here before it sleeps. One that lay down while
            // the place was taken has seen none free, so sleepers are looked for once more.
            let mut line = lock(&self.line);
            line.running -= 1;
            line.calling = false;
            if shared.sleep.sleeping() == 0 || !line.calls() {
                return;
            }
        }
    }
}
