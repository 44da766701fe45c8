//! The watch over closures that do not what they were declared to do.

use std::time::Duration;

use super::{burn, gate, pool, run, until};
use crate::pool::schedstat;

#[test]
fn an_undeclared_wait_is_noticed_and_another_closure_runs() {
    if !schedstat::is_kept() {
        return;
    }
    let pool = pool(1, 4);
    let (open, wait) = gate();
    let waiter = pool.spawn(wait);
    // There is one core, and its permit is held by a closure that waits: only the watch can let this one run.
    assert_eq!(run(pool.spawn(|| 2)).expect("a result"), 2);
    assert!(pool.stats().waits_noticed >= 1);
    open.open();
    run(waiter).expect("a result");
    until("all are back", || pool.permits().in_use() == 0 && pool.permits().lent() == 0);
}

#[test]
fn a_blocking_closure_that_burns_is_charged() {
    if !schedstat::is_kept() {
        return;
    }
    let pool = pool(2, 2);
    let burner = pool.task().blocking().spawn({
        let pool = pool.clone();
        move || {
            until("the burn was noticed", || {
                burn(Duration::from_millis(1));
                pool.stats().burns_noticed >= 1
            });
        }
    });
    run(burner).expect("a result");
    until("all are back", || pool.permits().in_use() == 0);
}
