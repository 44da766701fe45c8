//! How late a 1 ms timer of the event loop is while every core burns.

use std::time::{Duration, Instant};

use twolane::pool::{Options, Pool};

use super::{WORKERS, burn, per_mille, runtime, title};

const TICKS: usize = 600;
const ROUNDS: usize = 4;

pub(crate) fn run() {
    title("A 1 ms timer while all cores burn (ms)");
    println!("| pool threads | p50 | p99 | p99.9 | burned |\n|---|---|---|---|---|");
    let mut rows: Vec<(i32, Vec<u64>, Duration)> =
        [0, 5, 10, 19].into_iter().map(|nice| (nice, Vec::new(), Duration::ZERO)).collect();
    let mut wall = Duration::ZERO;
    for _ in 0..ROUNDS {
        for (nice, samples, burned) in &mut rows {
            let options = Options { cores: WORKERS, nice: *nice, ..Options::default() };
            let pool = Pool::new(options).expect("a pool");
            let begin = Instant::now();
            round(&pool, samples);
            wall += begin.elapsed();
            pool.shutdown(twolane::pool::Shutdown::Abandon);
            *burned += pool.stats().workers.iter().map(|w| w.busy).sum::<Duration>();
        }
    }
    for (nice, mut samples, burned) in rows {
        let ms = |v: u64| v as f64 / 1e6;
        println!(
            "| nice {nice} | {:.2} | {:.2} | {:.2} | {:.0} % |",
            ms(per_mille(&mut samples, 500)),
            ms(per_mille(&mut samples, 990)),
            ms(per_mille(&mut samples, 999)),
            100.0 * burned.as_secs_f64() / (wall.as_secs_f64() / 4.0 * WORKERS as f64),
        );
    }
}

fn round(pool: &Pool, samples: &mut Vec<u64>) {
    runtime(1).block_on(async {
        tokio::spawn({
            let pool = pool.clone();
            async move {
                for _ in 0..WORKERS * TICKS {
                    drop(pool.spawn(|| burn(Duration::from_millis(5))));
                }
            }
        });
        let timer = tokio::spawn(async move {
            let mut samples = Vec::with_capacity(TICKS);
            for _ in 0..TICKS {
                let begin = Instant::now();
                tokio::time::sleep(Duration::from_millis(1)).await;
                samples.push(begin.elapsed().as_nanos() as u64);
            }
            samples
        });
        samples.extend(timer.await.expect("samples"));
    });
}
