//! How far apart the ticks of a 1 ms interval of the event loop come while every core burns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use twolane::pool::{Options, Pool, Shutdown};

use super::{WORKERS, burn, per_mille, runtime, title};

const TICKS: usize = 1_500;
const ROUNDS: usize = 4;
const PIECE: Duration = Duration::from_millis(5);

/// How the pool's threads stand against the event loop's.
struct Rank {
    name: &'static str,
    burns: bool,
    nice: i32,
    policy: Option<libc::c_int>,
    /// The event loop's thread asks for short slices.
    quick: bool,
}

const PLAIN: Rank = Rank { name: "nice 0", burns: true, nice: 0, policy: None, quick: false };
const RANKS: [Rank; 9] = [
    Rank { name: "none burns", burns: false, ..PLAIN },
    PLAIN,
    Rank { name: "nice 5", nice: 5, ..PLAIN },
    Rank { name: "nice 10", nice: 10, ..PLAIN },
    Rank { name: "nice 19", nice: 19, ..PLAIN },
    Rank { name: "SCHED_BATCH", policy: Some(libc::SCHED_BATCH), ..PLAIN },
    Rank { name: "SCHED_IDLE", policy: Some(libc::SCHED_IDLE), ..PLAIN },
    Rank { name: "nice 0, quick loop", quick: true, ..PLAIN },
    Rank { name: "nice 10, quick loop", nice: 10, quick: true, ..PLAIN },
];

#[derive(Clone, Default)]
struct Row {
    gaps: Vec<u64>,
    pieces: u64,
}

pub(crate) fn run() {
    title("Ticks of a 1 ms interval while all cores burn (ms apart)");
    let mut rows = vec![Row::default(); RANKS.len()];
    for _ in 0..ROUNDS {
        for (rank, row) in RANKS.iter().zip(&mut rows) {
            let pool = Pool::new(Options { cores: WORKERS, nice: rank.nice, ..Options::default() })
                .expect("a pool");
            if let Some(policy) = rank.policy {
                set_policy(&pool, policy);
            }
            row.gaps.extend(round(&pool, rank));
            pool.shutdown(Shutdown::Drain);
            row.pieces += pool.stats().workers.iter().map(|w| w.run).sum::<u64>();
        }
    }
    let most = rows.iter().map(|r| r.pieces).max().unwrap_or(1) as f64;
    println!("| pool threads | p50 | p99 | p99.9 | most | work done, to the best |");
    println!("|---|---|---|---|---|---|");
    for (rank, mut row) in RANKS.iter().zip(rows) {
        let mut ms = |mille| per_mille(&mut row.gaps, mille) as f64 / 1e6;
        let (p50, p99, p999, worst) = (ms(500), ms(990), ms(999), ms(1000));
        let done = row.pieces as f64 / most;
        println!("| {} | {p50:.2} | {p99:.2} | {p999:.2} | {worst:.2} | {done:.2} |", rank.name);
    }
}

/// Gives each of the pool's threads another scheduling policy: closures that meet at a barrier run on all of them.
fn set_policy(pool: &Pool, policy: libc::c_int) {
    let barrier = Arc::new(Barrier::new(WORKERS));
    let closure = |barrier: Arc<Barrier>| {
        move || {
            let parameter = libc::sched_param { sched_priority: 0 };
            // SAFETY: the parameter outlives the call, and 0 means this very thread.
            let code = unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) };
            assert_eq!(code, 0, "{}", std::io::Error::last_os_error());
            barrier.wait();
        }
    };
    let handles: Vec<_> = (0..WORKERS).map(|_| pool.spawn(closure(Arc::clone(&barrier)))).collect();
    for handle in handles {
        handle.join().expect("a result");
    }
}

fn round(pool: &Pool, rank: &Rank) -> Vec<u64> {
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..if rank.burns { 2 * WORKERS } else { 0 } {
        feed(pool, Arc::clone(&stop));
    }
    let quick = rank.quick;
    let gaps = runtime(1).block_on(async {
        let ticks = tokio::spawn(async move {
            if quick {
                twolane::pool::ask_for_short_slices();
            }
            let mut interval = tokio::time::interval(Duration::from_millis(1));
            interval.tick().await;
            let mut gaps = Vec::with_capacity(TICKS);
            let mut last = Instant::now();
            for _ in 0..TICKS {
                interval.tick().await;
                let now = Instant::now();
                gaps.push((now - last).as_nanos() as u64);
                last = now;
            }
            gaps
        });
        ticks.await.expect("gaps")
    });
    stop.store(true, Ordering::Relaxed);
    // Let the pieces on the way end before the pool is closed.
    thread::sleep(2 * PIECE);
    gaps
}

/// A closure that burns and then queues its like, until told to stop.
fn feed(pool: &Pool, stop: Arc<AtomicBool>) {
    let next = pool.clone();
    drop(pool.spawn(move || {
        burn(PIECE);
        if !stop.load(Ordering::Relaxed) {
            feed(&next, stop);
        }
    }));
}
