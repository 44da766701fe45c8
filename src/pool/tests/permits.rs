//! The ledger: who holds how many cores.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::{gate, pool, run, until};
use crate::pool::{JoinError, blocking};

#[test]
fn a_wait_for_permits_is_served_in_turn_and_leaves_nothing_when_dropped() {
    let pool = pool(4, 1);
    let ledger = pool.permits();
    let mut context = Context::from_waker(Waker::noop());
    let three = ledger.try_acquire(3).expect("three");
    let mut big = Box::pin(ledger.acquire(4));
    let mut small = pin!(ledger.acquire(1));
    assert!(big.as_mut().poll(&mut context).is_pending());
    // One is free, but the big wish was first.
    assert!(small.as_mut().poll(&mut context).is_pending());
    assert!(ledger.try_acquire(1).is_none());
    assert_eq!((ledger.in_use(), ledger.waiting()), (3, 2));
    drop(big);
    let Poll::Ready(one) = small.as_mut().poll(&mut context) else { panic!("not granted") };
    assert_eq!((one.count(), ledger.in_use(), ledger.waiting()), (1, 4, 0));
    drop((one, three));
    until("all are back", || ledger.in_use() == 0);
}

#[test]
fn a_granted_wait_that_nobody_looks_at_gives_back() {
    let pool = pool(2, 1);
    let ledger = pool.permits();
    let mut context = Context::from_waker(Waker::noop());
    let all = ledger.try_acquire(2).expect("all");
    let mut wait = Box::pin(ledger.acquire(2));
    assert!(wait.as_mut().poll(&mut context).is_pending());
    drop(all);
    assert_eq!(ledger.in_use(), 2);
    drop(wait);
    assert_eq!(ledger.in_use(), 0);
}

#[test]
fn lent_permits_come_back_before_new_wishes() {
    let pool = pool(2, 1);
    let ledger = pool.permits();
    let mut context = Context::from_waker(Waker::noop());
    let mut mine = ledger.try_acquire(2).expect("all");
    mine.lend();
    assert_eq!((ledger.in_use(), ledger.lent()), (0, 2));
    let others = ledger.try_acquire(2).expect("lent ones");
    let mut new = Box::pin(ledger.acquire(1));
    assert!(new.as_mut().poll(&mut context).is_pending());
    {
        let mut back = pin!(mine.take_back());
        assert!(back.as_mut().poll(&mut context).is_pending());
        drop(others);
        assert!(back.as_mut().poll(&mut context).is_ready());
    }
    assert!(new.as_mut().poll(&mut context).is_pending());
    assert!(!mine.is_lent());
    drop(mine);
    assert!(new.as_mut().poll(&mut context).is_ready());
}

#[test]
fn outside_holders_and_closures_share_one_ledger() {
    let pool = pool(2, 1);
    let ledger = pool.permits();
    let all = ledger.try_acquire(2).expect("all");
    let handle = pool.spawn(|| 1);
    assert_eq!(pool.stats().queued, 1);
    assert!(!handle.is_finished());
    drop(all);
    assert_eq!(run(handle).expect("a result"), 1);
}

#[test]
fn the_queue_is_served_though_outside_wishes_never_end() {
    let pool = pool(1, 1);
    let ledger = pool.permits();
    let stop = Arc::new(AtomicUsize::new(0));
    let askers: Vec<_> = (0..3)
        .map(|_| {
            let (ledger, stop) = (ledger.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                while stop.load(Ordering::SeqCst) == 0 {
                    drop(run(ledger.acquire(1)));
                }
            })
        })
        .collect();
    for n in 0..50 {
        assert_eq!(pool.spawn(move || n).join().expect("a result"), n);
    }
    stop.store(1, Ordering::SeqCst);
    for asker in askers {
        asker.join().expect("an asker");
    }
}

#[test]
fn weights_never_exceed_the_cores_and_everybody_gets_a_turn() {
    let pool = pool(4, 2);
    let burning = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..200usize)
        .map(|n| {
            let weight = [1, 4, 2, 1, 3, 9][n % 6];
            let burning = Arc::clone(&burning);
            let spawned = pool.task().weight(weight);
            spawned.spawn(move || {
                let mine = weight.min(4);
                let now = burning.fetch_add(mine, Ordering::SeqCst) + mine;
                assert!(now <= 4, "{now} cores at once");
                std::thread::yield_now();
                burning.fetch_sub(mine, Ordering::SeqCst);
            })
        })
        .collect();
    for handle in handles {
        run(handle).expect("a result");
    }
    until("all are back", || pool.permits().in_use() == 0);
}

#[test]
fn a_cancelled_heavy_closure_leaves_the_line() {
    let pool = pool(2, 1);
    let ledger = pool.permits();
    let one = ledger.try_acquire(1).expect("a permit");
    let heavy = pool.task().weight(2).spawn(|| 1);
    let small = pool.spawn(|| 2);
    until("both wait", || ledger.waiting() == 2);
    assert!(!small.is_finished());
    heavy.cancel();
    assert_eq!(run(small).expect("a result"), 2);
    assert!(matches!(run(heavy), Err(JoinError::Cancelled)));
    drop(one);
}

#[test]
fn a_declared_wait_hands_the_permit_on_and_gets_it_back() {
    let pool = pool(1, 2);
    let (open, wait) = gate();
    let waiter = pool.spawn(move || {
        blocking(wait);
        1
    });
    until("the wait began", || pool.permits().lent() == 1);
    assert_eq!(run(pool.spawn(|| 2)).expect("a result"), 2);
    open.open();
    assert_eq!(run(waiter).expect("a result"), 1);
    until("all are back", || pool.permits().in_use() == 0 && pool.permits().lent() == 0);
    assert_eq!(blocking(|| 3), 3);
}

#[test]
fn a_panic_in_a_declared_wait_brings_the_permit_back() {
    let pool = pool(1, 2);
    let caught = run(pool.spawn(|| {
        let caught = std::panic::catch_unwind(|| blocking(|| panic!("inside")));
        caught.is_err()
    }));
    assert!(caught.expect("a result"));
    until("all are back", || pool.permits().in_use() == 0 && pool.permits().lent() == 0);
}
