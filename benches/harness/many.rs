//! A thousand closures awaited together: nanoseconds of wall time for each.
//!
//! Measured twice: in a stream of such thousands, where every contender's threads are up, and one thousand after a
//! rest in which they all lay down and the cores went idle.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{WORKERS, pool, rayon, rounds_for, runtime, spin_work, table, title};

const CLOSURES: usize = 1_000;
/// Turns of each contender.
const ROUNDS: usize = 24;
/// Thousands a turn that count, after one that does not.
const STREAM: usize = 6;
/// Long enough for all threads to sleep and the cores to halt.
const REST: Duration = Duration::from_millis(5);

const NAMES: [&str; 7] = [
    "twolane, spawn_batch",
    "twolane, spawn each",
    "tokio spawn_blocking",
    "rayon spawn + oneshot each",
    "rayon, one crossing, scope.spawn each",
    "rayon, one crossing, par_iter",
    "blocking",
];

pub(crate) fn run() {
    for (nanos, name) in [(100, "100 ns"), (1_000, "1 µs"), (10_000, "10 µs")] {
        let rounds = rounds_for(nanos);
        let mut streamed: Vec<Vec<f64>> = vec![Vec::new(); NAMES.len()];
        let mut rested = streamed.clone();
        let runtime = runtime(WORKERS);
        let (pool, rayon) = (pool(WORKERS), rayon(WORKERS));
        for _ in 0..ROUNDS / if nanos > 5_000 { 3 } else { 1 } {
            for contender in 0..NAMES.len() {
                let thousand = || {
                    let begin = Instant::now();
                    runtime.block_on(once(contender, rounds, &pool, &rayon));
                    begin.elapsed().as_nanos() as f64 / CLOSURES as f64
                };
                thread::sleep(REST);
                rested[contender].push(thousand());
                streamed[contender].extend((0..STREAM).map(|_| thousand()));
            }
        }
        title(&format!(
            "1,000 closures of {name} awaited together, thousand after thousand (ns each)"
        ));
        table("ns each", &NAMES, &mut streamed);
        title(&format!("1,000 closures of {name} awaited together, after a rest (ns each)"));
        table("ns each", &NAMES, &mut rested);
    }
}

async fn once(
    contender: usize,
    rounds: u64,
    pool: &twolane::pool::Pool,
    rayon: &rayon::ThreadPool,
) {
    let work = move || spin_work(rounds);
    match contender {
        0 => {
            let closures: Vec<_> = (0..CLOSURES).map(|_| work).collect();
            black_box(pool.spawn_batch(closures).await.map_or(0, |r| r.len()));
        }
        1 => drop(black_box(join_all((0..CLOSURES).map(|_| pool.spawn(work))).await)),
        2 => drop(black_box(
            join_all((0..CLOSURES).map(|_| tokio::task::spawn_blocking(work))).await,
        )),
        3 => {
            let waits = (0..CLOSURES).map(|_| {
                let (sender, receiver) = oneshot::channel();
                rayon.spawn(move || {
                    let _ = sender.send(work());
                });
                receiver
            });
            drop(black_box(join_all(waits).await));
        }
        4 => {
            let (sender, receiver) = oneshot::channel();
            rayon.spawn(move || {
                let mut results = vec![0; CLOSURES];
                rayon::scope(|s| {
                    for result in &mut results {
                        s.spawn(move |_| *result = work());
                    }
                });
                drop(sender.send(results));
            });
            drop(black_box(receiver.await));
        }
        5 => {
            use rayon::prelude::*;
            let (sender, receiver) = oneshot::channel();
            let closures: Vec<_> = (0..CLOSURES).map(|_| work).collect();
            rayon.spawn(move || {
                let results: Vec<u64> = closures.into_par_iter().map(|f| f()).collect();
                drop(sender.send(results));
            });
            drop(black_box(receiver.await));
        }
        _ => drop(black_box(join_all((0..CLOSURES).map(|_| blocking::unblock(work))).await)),
    }
}
