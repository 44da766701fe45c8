//! Sleep and wake: a push against workers that lie down.

use std::ptr::{NonNull, null_mut};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use loom::thread;

use super::check;
use super::injector::{Injector, Linked};
use super::sleep::Sleep;

struct Job {
    next: AtomicPtr<Job>,
}

impl Linked for Job {
    fn link(&self) -> &AtomicPtr<Self> {
        &self.next
    }
}

struct Pool {
    injector: Injector<Job>,
    sleep: Sleep,
    ran: AtomicUsize,
    tokens: Vec<AtomicUsize>,
}

// SAFETY: jobs are leaked boxes that whoever takes them frees; loom tracks the rest.
unsafe impl Sync for Pool {}
// SAFETY: as above.
unsafe impl Send for Pool {}

impl Pool {
    fn new(workers: usize) -> Arc<Self> {
        let tokens = (0..workers).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self {
            injector: Injector::new(),
            sleep: Sleep::new(),
            ran: AtomicUsize::new(0),
            tokens,
        })
    }

    /// Steps P1 to P3 of the protocol.
    fn push(&self) {
        let job = Box::new(Job { next: AtomicPtr::new(null_mut()) });
        // SAFETY: the job lives until it is taken, and is in this queue only.
        unsafe { self.injector.push(NonNull::from(Box::leak(job))) };
        self.wake_if_needed();
    }

    fn wake_if_needed(&self) {
        if self.sleep.push_needs_wake() && self.sleep.claim_wake() {
            match self.sleep.pop() {
                Some(worker) => {
                    self.tokens[worker].fetch_add(1, Ordering::SeqCst);
                }
                None => {
                    self.sleep.end_search();
                }
            }
        }
    }

    fn run_all(&self) -> usize {
        let mut count = 0;
        for job in self.injector.take() {
            // SAFETY: the batch hands out each job once.
            drop(unsafe { Box::from_raw(job.as_ptr()) });
            count += 1;
        }
        self.ran.fetch_add(count, Ordering::SeqCst);
        count
    }

    /// A searching worker's way to its bed (steps S1 to S4).
    fn work_and_lie_down(&self, worker: usize) {
        loop {
            if self.run_all() > 0 {
                if self.sleep.end_search() && !self.injector.is_empty() {
                    self.wake_if_needed();
                }
                self.sleep.begin_search();
                continue;
            }
            self.sleep.lie_down(worker);
            if self.injector.is_empty() || !self.sleep.get_up(worker) {
                return;
            }
        }
    }

    /// What is left when everybody has come to rest: nothing, or a token for somebody.
    fn check_rest(&self, pushed: usize) {
        let tokens: usize = self.tokens.iter().map(|t| t.load(Ordering::SeqCst)).sum();
        let ran = self.ran.load(Ordering::SeqCst);
        assert!(ran == pushed || tokens > 0, "a job waits and nobody was told: a lost wake-up");
        assert!(tokens <= pushed, "more wake-ups than jobs");
        if tokens > 0 {
            // The woken worker finds what is left.
            self.run_all();
        }
        assert_eq!(self.ran.load(Ordering::SeqCst), pushed);
    }
}

#[test]
fn a_push_against_a_worker_that_lies_down_is_never_lost() {
    check(4, || {
        let pool = Pool::new(1);
        pool.sleep.begin_search();
        let worker = thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.work_and_lie_down(0)
        });
        pool.push();
        worker.join().expect("the worker");
        pool.check_rest(1);
    });
}

#[test]
fn two_pushers_against_two_workers_lose_nothing_and_wake_no_crowd() {
    check(2, || {
        let pool = Pool::new(2);
        pool.sleep.begin_search();
        pool.sleep.begin_search();
        let threads: Vec<_> = (0..2)
            .map(|worker| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || pool.work_and_lie_down(worker))
            })
            .collect();
        pool.push();
        pool.push();
        for thread in threads {
            thread.join().expect("a worker");
        }
        pool.check_rest(2);
    });
}

#[test]
fn the_injector_hands_out_each_job_once() {
    check(3, || {
        let pool = Pool::new(1);
        let taker = thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.run_all()
        });
        let pusher = thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.push()
        });
        pool.push();
        taker.join().expect("the taker");
        pusher.join().expect("the pusher");
        pool.run_all();
        assert_eq!(pool.ran.load(Ordering::SeqCst), 2);
    });
}
