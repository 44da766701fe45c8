//! One tiny closure from a task to a thread and back.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{WORKERS, allocations, burn, cpu_time, per_mille, pool, rayon, runtime, title};

const ROUNDS: usize = 12;

#[derive(Default)]
struct Figures {
    nanos: Vec<u64>,
    cpu: Duration,
    allocations: u64,
}

impl Figures {
    async fn add<F: Future<Output = u64>>(&mut self, trips: usize, trip: impl Fn() -> F) {
        for _ in 0..trips / 10 {
            black_box(trip().await);
        }
        self.nanos.reserve(trips);
        let (cpu, allocated) = (cpu_time(), allocations());
        for _ in 0..trips {
            let begin = Instant::now();
            black_box(trip().await);
            self.nanos.push(begin.elapsed().as_nanos() as u64);
        }
        self.cpu += cpu_time() - cpu;
        self.allocations += allocations() - allocated;
    }
}

/// Nothing else runs.
pub(crate) fn idle() {
    title("Round trip of a tiny closure, idle pool (µs)");
    measure(1_000, false);
}

/// Both workers have a closure of 100 µs in hand and one in the queue all the time.
pub(crate) fn busy() {
    title("Round trip of a tiny closure, busy pool (µs)");
    measure(150, true);
}

fn measure(trips: usize, load: bool) {
    let names =
        ["twolane", "tokio spawn_blocking", "rayon spawn + oneshot", "blocking", "thread per job"];
    let mut figures: Vec<Figures> = names.iter().map(|_| Figures::default()).collect();
    for _ in 0..ROUNDS {
        for (contender, figures) in figures.iter_mut().enumerate() {
            let runtime = runtime(WORKERS);
            runtime.block_on(async move {
                let task = async { round(contender, trips, load, figures).await };
                task.await;
            });
            // Spinning left-overs of the one before would be charged to the next.
            thread::sleep(Duration::from_millis(5));
        }
    }
    println!("| contender | p50 | p99 | CPU an operation | allocations |\n|---|---|---|---|---|");
    for (name, f) in names.iter().zip(&mut figures) {
        let count = f.nanos.len() as f64;
        println!(
            "| {name} | {:.1} | {:.1} | {:.1} | {:.2} |",
            per_mille(&mut f.nanos, 500) as f64 / 1e3,
            per_mille(&mut f.nanos, 990) as f64 / 1e3,
            f.cpu.as_nanos() as f64 / 1e3 / count,
            f.allocations as f64 / count,
        );
    }
}

async fn round(contender: usize, trips: usize, load: bool, figures: &mut Figures) {
    const LOAD: Duration = Duration::from_micros(100);
    let loads = if load { WORKERS + 1 } else { 0 };
    let mut feeders = Vec::new();
    match contender {
        0 => {
            let pool = pool(WORKERS);
            for _ in 0..loads {
                let pool = pool.clone();
                feeders.push(tokio::spawn(async move {
                    loop {
                        let _ = pool.spawn(|| burn(LOAD)).await;
                    }
                }));
            }
            figures.add(trips, || async { pool.spawn(|| black_box(1)).await.unwrap_or(0) }).await;
            stop(feeders).await;
        }
        1 => {
            for _ in 0..loads {
                feeders.push(tokio::spawn(async move {
                    loop {
                        let _ = tokio::task::spawn_blocking(|| burn(LOAD)).await;
                    }
                }));
            }
            let trip = || async { tokio::task::spawn_blocking(|| black_box(1)).await.unwrap_or(0) };
            figures.add(trips, trip).await;
            stop(feeders).await;
        }
        2 => {
            let pool = std::sync::Arc::new(rayon(WORKERS));
            for _ in 0..loads {
                let pool = pool.clone();
                feeders.push(tokio::spawn(async move {
                    loop {
                        let (sender, receiver) = oneshot::channel();
                        pool.spawn(move || {
                            burn(LOAD);
                            let _ = sender.send(());
                        });
                        let _ = receiver.await;
                    }
                }));
            }
            let trip = || async {
                let (sender, receiver) = oneshot::channel();
                pool.spawn(move || drop(sender.send(black_box(1))));
                receiver.await.unwrap_or(0)
            };
            figures.add(trips, trip).await;
            stop(feeders).await;
        }
        3 => {
            for _ in 0..loads {
                feeders.push(tokio::spawn(async move {
                    loop {
                        blocking::unblock(|| burn(LOAD)).await;
                    }
                }));
            }
            figures.add(trips, || blocking::unblock(|| black_box(1))).await;
            stop(feeders).await;
        }
        _ => {
            for _ in 0..loads {
                feeders.push(tokio::spawn(async move {
                    loop {
                        on_a_thread(|| burn(LOAD)).await;
                    }
                }));
            }
            figures.add(trips / 5 + 1, || on_a_thread(|| black_box(1))).await;
            stop(feeders).await;
        }
    }
}

async fn on_a_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || drop(sender.send(f())));
    receiver.await.expect("a result")
}

async fn stop(feeders: Vec<tokio::task::JoinHandle<()>>) {
    for feeder in feeders {
        feeder.abort();
        let _ = feeder.await;
    }
}
