//! Every closure and every result is dropped exactly once, whatever became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use super::{gate, pool, run, until};
use crate::pool::{Pool, Shutdown};

/// Counts how many of its kind are alive; a second drop would make the count negative.
struct Counted(Arc<AtomicIsize>);

impl Counted {
    fn new(alive: &Arc<AtomicIsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert!(self.0.fetch_sub(1, Ordering::SeqCst) > 0, "dropped twice");
    }
}

fn spawn_all_sorts(pool: &Pool, alive: &Arc<AtomicIsize>) {
    for n in 0..40usize {
        let (captured, result) = (Counted::new(alive), Counted::new(alive));
        let task = pool.task().weight(1 + n % 2);
        let task = if n % 5 == 0 { task.blocking() } else { task };
        let handle = task.spawn(move || {
            let _captured = captured;
            assert!(n % 7 != 0, "a planned panic");
            result
        });
        match n % 4 {
            0 => drop(handle),
            1 => handle.cancel(),
            2 => drop(handle.join()),
            _ => drop(run(handle)),
        }
    }
}

#[test]
fn nothing_leaks_and_nothing_is_dropped_twice() {
    let alive = Arc::new(AtomicIsize::new(0));
    let pool = pool(2, 2);
    for _ in 0..20 {
        spawn_all_sorts(&pool, &alive);
    }
    pool.shutdown(Shutdown::Drain);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn abandoned_closures_are_dropped() {
    let alive = Arc::new(AtomicIsize::new(0));
    let pool = pool(1, 1);
    let (open, wait) = gate();
    let running = pool.spawn(wait);
    open.wait_for_arrival();
    for n in 0..30usize {
        let captured = Counted::new(&alive);
        let task = pool.task().weight(1 + n % 2);
        let task = if n % 5 == 0 { task.blocking() } else { task };
        drop(task.spawn(move || drop(captured)));
    }
    let end = pool.shutdown_async(Shutdown::Abandon);
    open.open();
    run(end);
    run(running).expect("a result");
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_closure_whose_drop_panics_does_no_harm() {
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "in drop");
        }
    }
    let pool = pool(1, 1);
    let (open, wait) = gate();
    let busy = pool.spawn(wait);
    let grenade = Grenade;
    let handle = pool.spawn(move || std::mem::forget(grenade));
    handle.cancel();
    drop(pool.spawn(|| Grenade));
    open.open();
    run(busy).expect("a result");
    assert_eq!(run(pool.spawn(|| 1)).expect("a result"), 1);
    until("idle", || pool.permits().in_use() == 0);
}
