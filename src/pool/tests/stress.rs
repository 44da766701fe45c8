//! Random use under a seeded schedule: whatever is done in whatever order, each closure is accounted for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{pool, run, until};
use crate::pool::{JoinError, JoinHandle, Pool, Shutdown, blocking, join, scope};

/// A small generator, so that a failure can be run again by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[derive(Default)]
struct Tally {
    ran: AtomicUsize,
    panicked: AtomicUsize,
    cancelled: AtomicUsize,
    abandoned: AtomicUsize,
}

fn work(kind: u64, pool: &Pool, tally: &Tally) {
    tally.ran.fetch_add(1, Ordering::SeqCst);
    match kind {
        0 => panic!("a planned panic"),
        1 => blocking(std::thread::yield_now),
        2 => {
            let (a, b) = join(|| join(|| 1, || 2), || blocking(|| 3));
            assert_eq!((a.0 + a.1, b), (3, 3));
        }
        3 => {
            let count = AtomicUsize::new(0);
            scope(|s| {
                for _ in 0..5 {
                    s.spawn(|_| {
                        count.fetch_add(1, Ordering::SeqCst);
                    });
                }
            });
            assert_eq!(count.into_inner(), 5);
        }
        4 => {
            // The pool may be closing: then the inner one is abandoned, which is an answer too.
            let _ = pool.spawn(|| 1).join();
        }
        5 => drop(pool.permits().try_acquire(1)),
        _ => {}
    }
}

fn spawn_one(pool: &Pool, dice: &mut Dice, tally: &Arc<Tally>) -> JoinHandle<()> {
    let kind = dice.roll(12);
    let mut task = pool.task().weight(1 + dice.roll(3) as usize / 2 * dice.roll(4) as usize);
    if dice.roll(5) == 0 {
        task = task.blocking();
    }
    let (inner, tally) = (pool.clone(), Arc::clone(tally));
    task.spawn(move || work(kind, &inner, &tally))
}

fn account(result: &Result<(), JoinError>, tally: &Tally) {
    let counter = match result {
        Ok(()) => return,
        Err(JoinError::Panicked(_)) => &tally.panicked,
        Err(JoinError::Cancelled) => &tally.cancelled,
        Err(JoinError::Abandoned) => &tally.abandoned,
    };
    counter.fetch_add(1, Ordering::SeqCst);
}

fn storm(seed: u64) {
    let mut dice = Dice(seed);
    let cores = 1 + dice.roll(4) as usize;
    let pool = pool(cores, dice.roll(4) as usize);
    let tally = Arc::new(Tally::default());
    let mut handles = Vec::new();
    for _ in 0..400 {
        match dice.roll(40) {
            0 => pool.resize(1 + dice.roll(6) as usize, dice.roll(5) as usize).expect("a size"),
            1 => drop(run(pool.permits().acquire(1 + dice.roll(4) as usize))),
            2..=4 => {
                if let Some(handle) = handles.pop() {
                    let handle: JoinHandle<()> = handle;
                    handle.cancel();
                    account(&run(handle), &tally);
                }
            }
            5 => {
                if let Some(handle) = handles.pop() {
                    account(&handle.join(), &tally);
                }
            }
            _ => handles.push(spawn_one(&pool, &mut dice, &tally)),
        }
    }
    let spawned = handles.len();
    let how = if dice.roll(2) == 0 { Shutdown::Drain } else { Shutdown::Abandon };
    let before = tally.abandoned.load(Ordering::SeqCst);
    assert_eq!(before, 0, "seed {seed}: abandoned before the end");
    pool.shutdown(how);
    assert!(
        handles.iter().all(JoinHandle::is_finished),
        "seed {seed}: {spawned} spawned, some without an end"
    );
    for handle in handles {
        account(&run(handle), &tally);
    }
    if how == Shutdown::Drain {
        assert_eq!(
            tally.abandoned.load(Ordering::SeqCst),
            0,
            "seed {seed}: a drain abandons nothing"
        );
    }
    let ledger = pool.permits();
    until("all permits are back", || {
        ledger.in_use() == 0 && ledger.lent() == 0 && ledger.waiting() == 0
    });
}

#[test]
fn random_use_loses_nothing() {
    let seeds = std::env::var("POOL_STRESS_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(40);
    let first = std::env::var("POOL_STRESS_FIRST").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    for seed in first..first + seeds {
        storm(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15) | 1);
    }
}
