//! Sizes that change while the pool runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{gate, pool, run, until};
use crate::pool::{BuildError, Options, Pool};

#[test]
fn sizes_that_cannot_be_are_refused() {
    let error = Pool::new(Options { cores: 0, ..Options::default() }).expect_err("no cores");
    assert!(matches!(error, BuildError::Cores { cores: 0, .. }));
    let error = Pool::new(Options { nice: 20, ..Options::default() }).expect_err("too nice");
    assert!(matches!(error, BuildError::Nice(20)));
    assert!(pool(1, 1).resize(0, 1).is_err());
}

#[test]
fn growing_runs_what_waited_at_once() {
    let pool = pool(1, 0);
    let (gates, handles): (Vec<_>, Vec<_>) = (0..4)
        .map(|_| {
            let (open, wait) = gate();
            // Told as declared work, so that the watch has no say in it.
            (open, pool.task().weight(1).spawn(wait))
        })
        .unzip();
    pool.resize(4, 0).expect("a size");
    until("all four run", || pool.stats().queued == 0);
    gates.into_iter().for_each(super::Gate::open);
    for handle in handles {
        run(handle).expect("a result");
    }
}

#[test]
fn shrinking_lets_the_surplus_finish_and_then_holds() {
    let pool = pool(4, 1);
    let ledger = pool.permits();
    let three = ledger.try_acquire(3).expect("three");
    pool.resize(2, 1).expect("a size");
    assert_eq!((ledger.total(), ledger.in_use()), (2, 3));
    assert!(ledger.try_acquire(1).is_none());
    let handle = pool.spawn(|| 1);
    drop(three);
    assert_eq!(run(handle).expect("a result"), 1);
    // A wish for more than there are gets all there are.
    assert_eq!(run(ledger.acquire(3)).count(), 2);
}

#[test]
fn nothing_is_lost_while_sizes_jump() {
    let pool = pool(2, 2);
    let ran = Arc::new(AtomicUsize::new(0));
    let mut handles = Vec::new();
    for round in 0..60usize {
        for n in 0..40 {
            let counted = Arc::clone(&ran);
            let task = pool.task().weight(1 + n % 3);
            let task = if n % 4 == 0 { task.blocking() } else { task };
            handles.push(task.spawn(move || counted.fetch_add(1, Ordering::SeqCst)));
        }
        pool.resize([1, 64, 2, 8][round % 4], [0, 16, 1][round % 3]).expect("a size");
    }
    for handle in handles {
        run(handle).expect("a result");
    }
    assert_eq!(ran.load(Ordering::SeqCst), 2400);
    until("all are back", || pool.permits().in_use() == 0);
}

#[test]
fn surplus_threads_go_when_the_pool_shrinks() {
    let pool = pool(16, 0);
    until("sixteen sleep", || pool.stats().sleeping == 16);
    pool.resize(1, 0).expect("a size");
    until("they are gone", || pool.stats().threads <= 2);
    assert_eq!(run(pool.spawn(|| 1)).expect("a result"), 1);
}

#[test]
fn no_thread_stays_bound_to_the_core_it_was_woken_on() {
    let mask = rustix::thread::sched_getaffinity(None).expect("the mask of this thread");
    let pool = pool(2, 4);
    let (open, wait) = gate();
    let busy = pool.spawn(wait);
    open.wait_for_arrival();
    // Threads are added while another one is on duty.
    let handles: Vec<_> = (0..4)
        .map(|_| pool.task().blocking().spawn(|| rustix::thread::sched_getaffinity(None)))
        .collect();
    for handle in handles {
        assert_eq!(run(handle).expect("a result").expect("a mask"), mask);
    }
    open.open();
    run(busy).expect("a result");
}
