//! Where closures from outside wait in the order they came: the injector, and the line it is poured into.
//!
//! Owns both. Never blocks: whoever finds another one pouring looks elsewhere. Invariant: what is in the line is older
//! than what is in the injector, and only the one who holds the spout puts anything in the line.
//!
//! The injector alone would do, with the taker keeping all it got. But then a closure may lie in the deque of a worker with
//! a long closure in hand while another worker runs younger ones: its wait doubles, and so does the pool's p99.

#![allow(unsafe_code)] // Pushing on the injector vouches for the life of the job.

use std::sync::Mutex;

use crossbeam_deque::{Steal, Stealer, Worker as Deque};

use super::injector::Injector;
use super::job::{Header, JobRef};

/// At most so many closures go from the line to a worker's own deque at once: the cost of the crossing is then shared by
/// enough of them to vanish.
const MOST_AT_ONCE: usize = 32;

/// See the module.
pub(super) struct Intake {
    injector: Injector<Header>,
    line: Stealer<JobRef>,
    /// The other end of the line.
    spout: Mutex<Deque<JobRef>>,
}

/// What a worker took out: one closure to run, and how many more went into its deque.
#[derive(Debug)]
pub(super) struct Taken {
    /// The oldest closure.
    pub(super) first: JobRef,
    /// Closures taken in all, the first included.
    pub(super) count: usize,
    /// Whether others may find more in the line now than before.
    pub(super) poured: bool,
}

impl Intake {
    pub(super) fn new() -> Self {
        let line = Deque::new_fifo();
        Self { injector: Injector::new(), line: line.stealer(), spout: Mutex::new(line) }
    }

    /// Queues a closure; true if nothing was queued before it.
    pub(super) fn push(&self, job: JobRef) -> bool {
        // SAFETY: the queue's share, which went in with the reference, keeps the job alive until a taker has made a
        // reference of it again.
        unsafe { self.injector.push(job.into_raw()) }
    }

    /// Whether nothing waits here. What is being poured at this moment does not count: the one who pours tells.
    pub(super) fn is_empty(&self) -> bool {
        self.injector.is_empty() && self.line.is_empty()
    }

    /// How many wait, as far as that can be counted: the injector counts as one.
    pub(super) fn len(&self) -> usize {
        usize::from(!self.injector.is_empty()) + self.line.len()
    }

    /// Takes the oldest closure, and if very many wait some more of the oldest into `own`. `workers` share the line.
    pub(super) fn take(&self, own: &Deque<JobRef>, workers: usize) -> Option<Taken> {
        loop {
            let before = own.len();
            // A worker keeps no more than its fair share of a short queue, which is the one at hand.
            let share = self.line.len() / (4 * workers);
            let found = if share > 1 {
                self.line.steal_batch_with_limit_and_pop(own, share.min(MOST_AT_ONCE))
            } else {
                self.line.steal()
            };
            match found {
                Steal::Success(first) => {
                    let count = 1 + own.len().saturating_sub(before);
                    return Some(Taken { first, count, poured: false });
                }
                Steal::Retry => std::hint::spin_loop(),
                Steal::Empty if self.injector.is_empty() => return None,
                Steal::Empty => {
                    // Somebody else pours: what comes of it can be taken in a moment, and he tells.
                    let Ok(spout) = self.spout.try_lock() else { return None };
                    if let Some(taken) = self.pour(&spout) {
                        return Some(taken);
                    }
                }
            }
        }
    }

    /// Empties the injector: the oldest closure for the caller, the others into the line.
    fn pour(&self, spout: &Deque<JobRef>) -> Option<Taken> {
        if !spout.is_empty() {
            // Somebody else has poured in between: those are older.
            return None;
        }
        // SAFETY: the batch hands out the shares that `push` put in, each once.
        let mut batch = self.injector.take().map(|header| unsafe { JobRef::new(header) });
        let first = batch.next()?;
        let mut poured = false;
        for job in batch {
            spout.push(job);
            poured = true;
        }
        Some(Taken { first, count: 1, poured })
    }

    /// Gives up everything that waits here.
    pub(super) fn abandon(&self) {
        loop {
            match self.line.steal() {
                Steal::Success(job) => job.abandon(),
                Steal::Retry => std::hint::spin_loop(),
                Steal::Empty => break,
            }
        }
        for header in self.injector.take() {
            // SAFETY: the batch hands out the share that `push` put in.
            unsafe { JobRef::new(header) }.abandon();
        }
    }
}

impl Drop for Intake {
    /// The pool closes only when all is empty; what a thread brings after that it abandons itself.
    fn drop(&mut self) {
        self.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::cell;
    use super::super::sync::lock;
    use super::*;

    fn push_numbered(intake: &Intake, began: &Arc<Mutex<Vec<usize>>>, count: usize) {
        for number in 0..count {
            let began = Arc::clone(began);
            let (job, handle) = cell::new(move || lock(&began).push(number), 1, None);
            drop(handle);
            intake.push(job);
        }
    }

    #[test]
    fn closures_of_a_short_queue_are_begun_in_the_order_they_came_whoever_takes_them() {
        let (intake, began) = (Intake::new(), Arc::default());
        push_numbered(&intake, &began, 15);
        let own = [Deque::new_fifo(), Deque::new_fifo()];
        for turn in 0..15 {
            let taken = intake.take(&own[turn % 2], 2).expect("a closure");
            assert_eq!((taken.count, taken.poured), (1, turn == 0));
            taken.first.run();
        }
        assert!(intake.take(&own[0], 2).is_none() && intake.is_empty());
        assert_eq!(*lock(&began), (0..15).collect::<Vec<_>>());
    }

    #[test]
    fn of_a_long_queue_a_worker_takes_a_bounded_share() {
        let (intake, began) = (Intake::new(), Arc::default());
        push_numbered(&intake, &began, 1_000);
        let own = Deque::new_fifo();
        intake.take(&own, 2).expect("the one that was poured").first.run();
        let taken = intake.take(&own, 2).expect("a closure");
        assert!((2..=MOST_AT_ONCE).contains(&taken.count), "{}", taken.count);
        assert_eq!(own.len() + 1, taken.count);
        assert_eq!(intake.len(), 999 - taken.count);
        taken.first.run();
        while let Some(job) = own.pop() {
            job.run();
        }
        assert_eq!(*lock(&began), (0..=taken.count).collect::<Vec<_>>());
    }

    #[test]
    fn whoever_finds_another_one_pouring_does_not_wait() {
        let (intake, began) = (Intake::new(), Arc::default());
        push_numbered(&intake, &began, 2);
        let own = Deque::new_fifo();
        let spout = intake.spout.try_lock().expect("nobody pours");
        assert!(intake.take(&own, 2).is_none());
        assert!(!intake.is_empty(), "a worker about to sleep sees that something waits");
        drop(spout);
        for _ in 0..2 {
            intake.take(&own, 2).expect("a closure").first.run();
        }
        assert_eq!(lock(&began).len(), 2);
    }

    #[test]
    fn what_is_given_up_is_dropped_once() {
        let (intake, began) = (Intake::new(), Arc::default());
        push_numbered(&intake, &began, 5);
        let own = Deque::new_fifo();
        intake.take(&own, 2).expect("a closure").first.run();
        push_numbered(&intake, &began, 3);
        assert_eq!(Arc::strong_count(&began), 1 + 4 + 3);
        intake.abandon();
        assert_eq!(Arc::strong_count(&began), 1);
        assert_eq!(*lock(&began), [0]);
    }
}
