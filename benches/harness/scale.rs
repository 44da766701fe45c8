//! What a closure costs as the pool gets more workers than there are cores.

use std::hint::black_box;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{cpu_time, median, pool, rayon, runtime, title};

const CLOSURES: usize = 20_000;
const ROUNDS: usize = 9;
const SIZES: [usize; 6] = [1, 2, 4, 8, 16, 64];

pub(crate) fn run() {
    title("20,000 empty closures spawned and awaited, by number of workers (ns each: wall, CPU)");
    println!("| contender | 1 | 2 | 4 | 8 | 16 | 64 |\n|---|---|---|---|---|---|---|");
    let runtime = runtime(1);
    let pools: Vec<_> = SIZES.iter().map(|&n| (pool(n), rayon(n))).collect();
    let mut wall = vec![vec![Vec::new(); SIZES.len()]; 2];
    let mut cpu = wall.clone();
    for _ in 0..ROUNDS {
        for (place, (ours, theirs)) in pools.iter().enumerate() {
            for contender in 0..2 {
                let (begin, cpu_begin) = (Instant::now(), cpu_time());
                runtime.block_on(async {
                    if contender == 0 {
                        drop(black_box(
                            join_all((0..CLOSURES).map(|n| ours.spawn(move || n))).await,
                        ));
                    } else {
                        let waits = (0..CLOSURES).map(|n| {
                            let (sender, receiver) = oneshot::channel();
                            theirs.spawn(move || {
                                let _ = sender.send(n);
                            });
                            receiver
                        });
                        drop(black_box(join_all(waits).await));
                    }
                });
                wall[contender][place].push(begin.elapsed().as_nanos() as f64 / CLOSURES as f64);
                cpu[contender][place].push(
                    (cpu_time().saturating_sub(cpu_begin)).as_nanos() as f64 / CLOSURES as f64,
                );
            }
        }
    }
    for (contender, name) in ["twolane", "rayon spawn + oneshot"].iter().enumerate() {
        let cells: Vec<String> = (0..SIZES.len())
            .map(|p| {
                format!(
                    "{:.0}, {:.0}",
                    median(&mut wall[contender][p]),
                    median(&mut cpu[contender][p])
                )
            })
            .collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}
