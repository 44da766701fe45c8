//! The way of a closure to the pool and of its result back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::{gate, pool, run, until};
use crate::pool::JoinError;

#[test]
fn a_result_comes_back_to_a_task_and_to_a_thread() {
    let pool = pool(2, 2);
    assert_eq!(run(pool.spawn(|| 6 * 7)).expect("a result"), 42);
    assert_eq!(pool.spawn(|| String::from("seven")).join().expect("a result"), "seven");
}

#[test]
fn a_thousand_closures_awaited_together_all_come_back() {
    let pool = pool(3, 2);
    let sum = run(async {
        let handles: Vec<_> = (0..1000u64).map(|n| pool.spawn(move || n)).collect();
        let mut sum = 0;
        for handle in handles {
            sum += handle.await.expect("a result");
        }
        sum
    });
    assert_eq!(sum, 499_500);
}

#[test]
fn a_batch_keeps_the_order() {
    let pool = pool(2, 2);
    let closures: Vec<_> = (0..1000u32).map(|n| move || n * 2).collect();
    let results = run(pool.spawn_batch(closures)).expect("results");
    assert!(results.iter().enumerate().all(|(i, &r)| r == 2 * i as u32));
    let none: Vec<fn() -> u8> = Vec::new();
    assert_eq!(run(pool.spawn_batch(none)).expect("results"), Vec::<u8>::new());
}

#[test]
fn a_panic_is_a_value_and_the_worker_goes_on() {
    let pool = pool(1, 1);
    let error = run(pool.spawn(|| -> u8 { panic!("the text of {}", 7) })).expect_err("a panic");
    assert_eq!(error.panic_message(), Some("the text of 7"));
    assert_eq!(error.to_string(), "the closure panicked: the text of 7");
    let error =
        run(pool.task().blocking().spawn(|| -> u8 { panic!("plain") })).expect_err("a panic");
    assert_eq!(error.panic_message(), Some("plain"));
    assert_eq!(run(pool.spawn(|| 1)).expect("a result"), 1);
}

#[test]
fn a_cancelled_closure_that_has_not_begun_never_runs() {
    let pool = pool(1, 1);
    let (open, wait) = gate();
    let busy = pool.spawn(wait);
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let handle = pool.spawn(move || counted.fetch_add(1, Ordering::SeqCst));
    handle.cancel();
    assert!(handle.is_finished());
    // Its captures are dropped at once, not when its turn comes.
    assert_eq!(Arc::strong_count(&ran), 1);
    open.open();
    assert!(matches!(run(handle), Err(JoinError::Cancelled)));
    run(busy).expect("a result");
    run(pool.spawn(|| ())).expect("a result");
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn cancelling_a_closure_that_runs_changes_nothing() {
    let pool = pool(1, 1);
    let (open, wait) = gate();
    let handle = pool.spawn(move || {
        wait();
        5
    });
    open.wait_for_arrival();
    handle.cancel();
    open.open();
    assert_eq!(run(handle).expect("a result"), 5);
}

#[test]
fn a_token_cancels_what_waits_and_wakes_who_awaits() {
    let pool = pool(1, 1);
    let (open, wait) = gate();
    let busy = pool.spawn(wait);
    let token = CancellationToken::new();
    let handle = pool.task().cancel(token.clone()).spawn(|| 1);
    let heavy = pool.task().weight(1).cancel(token.clone()).spawn(|| 2);
    run(async {
        let canceller = async { token.cancel() };
        let (first, second, ()) = tokio::join!(handle, heavy, canceller);
        assert!(matches!(first, Err(JoinError::Cancelled)));
        assert!(matches!(second, Err(JoinError::Cancelled)));
    });
    open.open();
    run(busy).expect("a result");
    // A token that was cancelled before the spawn.
    assert!(matches!(pool.task().cancel(token).spawn(|| 3).join(), Err(JoinError::Cancelled)));
}

#[test]
fn a_dropped_handle_detaches() {
    let pool = pool(1, 1);
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    drop(pool.spawn(move || counted.fetch_add(1, Ordering::SeqCst)));
    until("it ran", || ran.load(Ordering::SeqCst) == 1);
}

#[test]
fn blocking_closures_run_beyond_the_cores_but_not_beyond_their_places() {
    let pool = pool(1, 3);
    let (gates, handles): (Vec<_>, Vec<_>) = (0..5)
        .map(|_| {
            let (open, wait) = gate();
            (open, pool.task().blocking().spawn(wait))
        })
        .unzip();
    until("three run", || pool.stats().blocking_running == 3 && pool.stats().queued == 2);
    assert_eq!(pool.permits().in_use(), 0);
    // The one core is free for a cpu closure.
    assert_eq!(run(pool.spawn(|| 9)).expect("a result"), 9);
    gates.into_iter().for_each(super::Gate::open);
    for handle in handles {
        run(handle).expect("a result");
    }
}

#[test]
fn install_borrows_and_carries_a_panic() {
    let pool = pool(2, 1);
    let words = [String::from("a"), String::from("b")];
    let joined = pool.install(|| pool.install(|| words.concat()));
    assert_eq!(joined, "ab");
    let caught = std::panic::catch_unwind(|| pool.install(|| panic!("from inside")));
    assert_eq!(caught.expect_err("a panic").downcast_ref::<&str>(), Some(&"from inside"));
}

#[test]
fn a_closure_may_spawn_and_wait_for_others() {
    let pool = pool(1, 2);
    let inner = pool.clone();
    // With one core the wait inside must hand its permit on, or nobody could run the inner closure.
    let outer = pool.spawn(move || inner.spawn(|| 3).join().expect("a result") + 1);
    assert_eq!(run(outer).expect("a result"), 4);
}
