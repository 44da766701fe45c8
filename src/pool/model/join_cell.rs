//! The join handle: complete against poll, drop and cancel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize as LoomUsize;
use loom::thread;

use super::check;
use super::rendezvous::{Rendezvous, Side};

struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Cell {
    rendezvous: Rendezvous,
    result: UnsafeCell<u32>,
    freed: LoomUsize,
}

// SAFETY: the result is written by the one who claimed and read by the handle after completion; loom checks that.
unsafe impl Sync for Cell {}
// SAFETY: as above.
unsafe impl Send for Cell {}

fn cell() -> Arc<Cell> {
    Arc::new(Cell {
        rendezvous: Rendezvous::new(),
        result: UnsafeCell::new(0),
        freed: LoomUsize::new(0),
    })
}

impl Cell {
    fn run(&self, value: u32) {
        if self.rendezvous.claim() {
            // SAFETY: the claim makes this thread the only one to touch the result before completion.
            self.result.with_mut(|r| unsafe { *r = value });
            self.rendezvous.complete();
        }
    }

    fn release(&self, side: Side) {
        if self.rendezvous.release(side) {
            self.freed.fetch_add(1, Ordering::SeqCst);
            // Freeing touches everything: loom would see a race with a side that is not done.
            // SAFETY: this is the last side.
            self.result.with_mut(|r| unsafe { *r = 99 });
        }
    }

    fn read(&self) -> u32 {
        // SAFETY: the result is published.
        self.result.with(|r| unsafe { *r })
    }
}

#[test]
fn a_handle_that_waits_is_woken_and_reads_the_result() {
    check(3, || {
        let cell = cell();
        let woken = std::sync::Arc::new(Counter(AtomicUsize::new(0)));
        let worker = thread::spawn({
            let cell = Arc::clone(&cell);
            move || {
                cell.run(7);
                cell.release(Side::Queue);
            }
        });
        let ready = cell.rendezvous.register(&Waker::from(std::sync::Arc::clone(&woken)));
        if ready {
            assert_eq!(cell.read(), 7);
        }
        worker.join().expect("the worker");
        assert!(ready || woken.0.load(Ordering::SeqCst) == 1, "a wake-up was lost");
        assert_eq!(cell.read(), 7);
        cell.release(Side::Handle);
        assert_eq!(cell.freed.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_handle_that_changes_its_waker_is_woken_by_one_of_them() {
    check(3, || {
        let cell = cell();
        let first = std::sync::Arc::new(Counter(AtomicUsize::new(0)));
        let second = std::sync::Arc::new(Counter(AtomicUsize::new(0)));
        let worker = thread::spawn({
            let cell = Arc::clone(&cell);
            move || cell.run(7)
        });
        let ready = cell.rendezvous.register(&Waker::from(std::sync::Arc::clone(&first)))
            || cell.rendezvous.register(&Waker::from(std::sync::Arc::clone(&second)));
        worker.join().expect("the worker");
        assert!(ready || second.0.load(Ordering::SeqCst) == 1, "the last waker was not called");
        assert_eq!(cell.read(), 7);
    });
}

#[test]
fn a_cancel_against_the_run_leaves_one_winner_and_one_result() {
    check(3, || {
        let cell = cell();
        let worker = thread::spawn({
            let cell = Arc::clone(&cell);
            move || {
                cell.run(7);
                cell.release(Side::Queue);
            }
        });
        // The canceller claims like the runner, and writes a result of its own.
        cell.run(13);
        if cell.rendezvous.is_complete() {
            assert!([7, 13].contains(&cell.read()));
        }
        cell.release(Side::Handle);
        worker.join().expect("the worker");
        assert_eq!(cell.freed.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_dropped_handle_against_the_end_frees_once() {
    check(3, || {
        let cell = cell();
        let woken = std::sync::Arc::new(Counter(AtomicUsize::new(0)));
        let worker = thread::spawn({
            let cell = Arc::clone(&cell);
            move || {
                cell.run(7);
                cell.release(Side::Queue);
            }
        });
        let _ = cell.rendezvous.register(&Waker::from(woken));
        cell.release(Side::Handle);
        worker.join().expect("the worker");
        assert_eq!(cell.freed.load(Ordering::SeqCst), 1);
    });
}
