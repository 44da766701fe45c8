//! Fork-join inside closures.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{gate, pool, until};
use crate::pool::{join, map, scope};

fn fib(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = join(|| fib(n - 1), || fib(n - 2));
    a + b
}

#[test]
fn join_computes_inside_and_outside() {
    assert_eq!(fib(10), 55);
    let pool = pool(3, 2);
    assert_eq!(pool.install(|| fib(20)), 6765);
}

#[test]
fn an_idle_worker_steals_the_second_half() {
    let pool = pool(2, 2);
    let (open, wait) = gate();
    // The first half waits for something only the second one does: without a thief this would never end.
    pool.install(|| join(wait, || open.open()));
    let stats = pool.stats();
    assert!(stats.workers.iter().map(|w| w.stolen).sum::<u64>() >= 1);
}

#[test]
fn a_panic_in_either_half_goes_on_after_both_ended() {
    let pool = pool(2, 2);
    for first in [true, false] {
        let ended = AtomicUsize::new(0);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.install(|| {
                let half = |panics: bool| {
                    assert!(!panics, "half");
                    ended.fetch_add(1, Ordering::SeqCst);
                };
                join(|| half(first), || half(!first))
            })
        }));
        assert!(caught.is_err());
        assert_eq!(ended.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_scope_waits_for_children_and_their_children() {
    let pool = pool(3, 2);
    let count = AtomicUsize::new(0);
    pool.install(|| {
        scope(|s| {
            for _ in 0..50 {
                s.spawn(|s| {
                    count.fetch_add(1, Ordering::SeqCst);
                    s.spawn(|_| {
                        count.fetch_add(1, Ordering::SeqCst);
                    });
                });
            }
        });
        assert_eq!(count.load(Ordering::SeqCst), 100);
    });
    scope(|s| s.spawn(|_| count.store(7, Ordering::SeqCst)));
    assert_eq!(count.load(Ordering::SeqCst), 7);
}

/// A sub-job that was stolen leaves its own children on the thief's deque, where nobody waits for them: a thief that
/// lay down without looking there left the scope waiting for ever.
#[test]
fn children_of_a_stolen_child_are_not_forgotten() {
    let pool = pool(3, 2);
    for _ in 0..2_000 {
        let count = AtomicUsize::new(0);
        pool.install(|| {
            scope(|s| {
                for _ in 0..4 {
                    s.spawn(|s| {
                        s.spawn(|_| {
                            count.fetch_add(1, Ordering::SeqCst);
                        });
                    });
                }
            });
        });
        assert_eq!(count.load(Ordering::SeqCst), 4);
    }
}

#[test]
fn a_panicking_child_is_reported_when_all_have_ended() {
    let pool = pool(2, 2);
    let count = AtomicUsize::new(0);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.install(|| {
            scope(|s| {
                for n in 0..20 {
                    let count = &count;
                    s.spawn(move |_| {
                        assert!(n != 3, "child");
                        count.fetch_add(1, Ordering::SeqCst);
                    });
                }
            });
        });
    }));
    assert!(caught.is_err());
    assert_eq!(count.load(Ordering::SeqCst), 19);
}

#[test]
fn map_moves_items_in_and_results_out() {
    let pool = pool(4, 2);
    let words: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let lengths = pool.install(|| map(words.clone(), |w| w.len()));
    assert_eq!(lengths, words.iter().map(String::len).collect::<Vec<_>>());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.install(|| map(words, |w| assert!(w != "250")))
    }));
    assert!(caught.is_err());
}

#[test]
fn a_sub_job_is_not_stolen_on_a_permit_that_somebody_waits_for() {
    let pool = pool(2, 2);
    let ledger = pool.permits();
    let outside = ledger.try_acquire(1).expect("a permit");
    let mut wait = Box::pin(ledger.acquire(2));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(wait.as_mut().poll(&mut context).is_pending());
    // One permit is free, but the wish for two stands first: the closure itself has to wait behind it.
    let handle = pool.spawn(|| {
        let here = std::thread::current().id();
        let (a, b) = join(
            move || std::thread::current().id() == here,
            move || std::thread::current().id() == here,
        );
        a && b
    });
    until("both wait", || ledger.waiting() == 2);
    drop(outside);
    let std::task::Poll::Ready(both) = wait.as_mut().poll(&mut context) else {
        panic!("not granted")
    };
    let mut third = Box::pin(ledger.acquire(2));
    assert!(third.as_mut().poll(&mut context).is_pending());
    drop(both);
    assert!(
        handle.join().expect("a result"),
        "a half ran elsewhere though a wish for both permits waited"
    );
    drop(super::run(third));
}

use std::future::Future;
