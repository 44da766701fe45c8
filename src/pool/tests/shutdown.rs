//! The two ends of a pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{gate, pool, run, until};
use crate::pool::{JoinError, Shutdown};

#[test]
fn drain_runs_what_is_queued_and_refuses_what_comes() {
    let pool = pool(2, 2);
    let ran = Arc::new(AtomicUsize::new(0));
    let mut handles = Vec::new();
    for n in 0..300 {
        let counted = Arc::clone(&ran);
        let inner = pool.clone();
        let closure = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            if n % 10 == 0 {
                // What a running closure spawns is part of its work.
                let counted = Arc::clone(&counted);
                drop(inner.spawn(move || counted.fetch_add(1, Ordering::SeqCst)));
            }
        };
        let task = pool.task();
        handles.push(match n % 3 {
            0 => task.spawn(closure),
            1 => task.blocking().spawn(closure),
            _ => task.weight(2).spawn(closure),
        });
    }
    pool.shutdown(Shutdown::Drain);
    assert_eq!(ran.load(Ordering::SeqCst), 330);
    assert!(handles.iter().all(super::super::JoinHandle::is_finished));
    assert!(matches!(pool.spawn(|| 1).join(), Err(JoinError::Abandoned)));
    assert!(matches!(pool.task().blocking().spawn(|| 1).join(), Err(JoinError::Abandoned)));
    assert!(matches!(pool.task().weight(2).spawn(|| 1).join(), Err(JoinError::Abandoned)));
    assert_eq!(pool.stats().threads, 0);
    assert_eq!(pool.install(|| 5), 5);
}

#[test]
fn abandon_drops_what_has_not_begun_and_lets_the_rest_finish() {
    let pool = pool(1, 1);
    let (open, wait) = gate();
    let running = pool.spawn(move || {
        wait();
        1
    });
    open.wait_for_arrival();
    let dropped = Arc::new(());
    let waiting: Vec<_> = (0..10)
        .map(|n| {
            let held = Arc::clone(&dropped);
            let task = pool.task().weight(1 + n % 2);
            task.spawn(move || drop(held))
        })
        .collect();
    let end = pool.shutdown_async(Shutdown::Abandon);
    open.open();
    run(end);
    assert_eq!(run(running).expect("a result"), 1);
    for handle in waiting {
        assert!(matches!(run(handle), Err(JoinError::Abandoned)));
    }
    assert_eq!(Arc::strong_count(&dropped), 1);
}

#[test]
fn a_drain_waits_for_a_heavy_closure_that_an_outside_holder_keeps_waiting() {
    let pool = pool(2, 1);
    let one = pool.permits().try_acquire(1).expect("a permit");
    let heavy = pool.task().weight(2).spawn(|| 4);
    let end = pool.shutdown_async(Shutdown::Drain);
    assert!(!heavy.is_finished());
    drop(one);
    run(end);
    assert_eq!(run(heavy).expect("a result"), 4);
}

#[test]
fn the_last_handle_drains_by_itself() {
    let ran = Arc::new(AtomicUsize::new(0));
    let pool = pool(2, 2);
    for _ in 0..50 {
        let counted = Arc::clone(&ran);
        drop(pool.spawn(move || counted.fetch_add(1, Ordering::SeqCst)));
    }
    drop(pool);
    until("all ran", || ran.load(Ordering::SeqCst) == 50);
}

#[test]
fn a_shutdown_from_inside_only_begins() {
    let pool = pool(1, 1);
    let inner = pool.clone();
    run(pool.spawn(move || inner.shutdown(Shutdown::Drain))).expect("a result");
    pool.shutdown(Shutdown::Drain);
    assert_eq!(pool.stats().threads, 0);
}
