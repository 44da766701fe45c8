//! A thousand closures awaited together: nanoseconds of wall time for each.

use std::hint::black_box;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{WORKERS, pool, rayon, rounds_for, runtime, spin_work, table, title};

const CLOSURES: usize = 1_000;
const ROUNDS: usize = 60;

pub(crate) fn run() {
    for (nanos, name) in [(100, "100 ns"), (1_000, "1 µs"), (10_000, "10 µs")] {
        title(&format!("1,000 closures of {name} awaited together (ns each)"));
        let rounds = rounds_for(nanos);
        let names = [
            "twolane, spawn_batch",
            "twolane, spawn each",
            "tokio spawn_blocking",
            "rayon spawn + oneshot each",
            "rayon, one crossing, scope.spawn each",
            "rayon, one crossing, par_iter",
            "blocking",
        ];
        let mut samples: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
        let runtime = runtime(WORKERS);
        let (pool, rayon) = (pool(WORKERS), rayon(WORKERS));
        for _ in 0..ROUNDS / if nanos > 5_000 { 4 } else { 1 } {
            for (contender, samples) in samples.iter_mut().enumerate() {
                let begin = Instant::now();
                runtime.block_on(once(contender, rounds, &pool, &rayon));
                samples.push(begin.elapsed().as_nanos() as f64 / CLOSURES as f64);
            }
        }
        table("ns each", &names, &mut samples);
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
