//! One tiny closure from a task to a thread and back.

use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use twolane::pool::{Options, Pool};

use super::{WORKERS, allocations, burn, cpu_time, per_mille, pool, rayon, runtime, title};

const ROUNDS: usize = 12;
/// What keeps a busy pool busy.
const LOAD: Duration = Duration::from_micros(100);

/// Before each trip of the section `rested`.
const REST: Duration = Duration::from_millis(2);

struct Pools {
    /// As it comes: its threads a little nicer than the event loop's.
    ours: Pool,
    /// At the priority of all others.
    equal: Pool,
    rayon: ::rayon::ThreadPool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    Idle,
    Rested,
    Busy,
}

#[derive(Default)]
struct Figures {
    rested: bool,
    nanos: Vec<u64>,
    cpu: Duration,
    allocations: u64,
}

impl Figures {
    async fn add<F: Future<Output = u64> + Send>(
        &mut self,
        trips: usize,
        trip: impl Fn() -> F + Send,
    ) {
        for _ in 0..trips / 10 {
            black_box(trip().await);
        }
        self.nanos.reserve(trips);
        let (cpu, allocated) = (cpu_time(), allocations());
        for _ in 0..trips {
            if self.rested {
                tokio::time::sleep(REST).await;
            }
            let begin = Instant::now();
            black_box(trip().await);
            self.nanos.push(begin.elapsed().as_nanos() as u64);
        }
        self.cpu += cpu_time().saturating_sub(cpu);
        self.allocations += allocations() - allocated;
    }
}

/// Nothing else runs.
pub(crate) fn idle() {
    title("Round trip of a tiny closure, idle pool (µs)");
    measure(1_000, Setting::Idle);
}

/// Each trip comes after a rest in which all threads lay down and the cores went idle.
pub(crate) fn rested() {
    title("Round trip of a tiny closure after 2 ms of rest (µs)");
    measure(40, Setting::Rested);
}

/// Both workers have a closure of 100 µs in hand and one in the queue all the time.
pub(crate) fn busy() {
    title("Round trip of a tiny closure, busy pool (µs)");
    measure(150, Setting::Busy);
}

fn measure(trips: usize, setting: Setting) {
    let names = [
        "twolane",
        "twolane, nice 0",
        "tokio spawn_blocking",
        "rayon spawn + oneshot",
        "blocking",
        "thread per job",
    ];
    let mut figures: Vec<Figures> = names.iter().map(|_| Figures::default()).collect();
    // One of each for all rounds, as in a daemon that lives long; those whose turn it is not sleep.
    let runtime = runtime(WORKERS);
    let ours = Pool::new(Options { cores: WORKERS, ..Options::default() }).expect("a pool");
    let pools = Arc::new(Pools { ours, equal: pool(WORKERS), rayon: rayon(WORKERS) });
    for _ in 0..ROUNDS {
        for (contender, figures) in figures.iter_mut().enumerate() {
            let pools = Arc::clone(&pools);
            let mut mine = std::mem::take(figures);
            *figures = runtime.block_on(async {
                let round = async move {
                    round(contender, trips, setting, &mut mine, &pools).await;
                    mine
                };
                tokio::spawn(round).await.expect("figures")
            });
            // What the one before left spinning would be charged to the next.
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

async fn round(
    contender: usize,
    trips: usize,
    setting: Setting,
    figures: &mut Figures,
    pools: &Arc<Pools>,
) {
    figures.rested = setting == Setting::Rested;
    let loads = if setting == Setting::Busy { WORKERS + 1 } else { 0 };
    let own = Arc::clone(pools);
    match contender {
        0 | 1 => {
            let pick =
                move |p: &Pools| if contender == 0 { p.ours.clone() } else { p.equal.clone() };
            let (pool, loaded) = (pick(pools), pick(pools));
            let feeders = feed(loads, move || loaded.spawn(|| burn(LOAD)));
            figures.add(trips, || async { pool.spawn(|| black_box(1)).await.unwrap_or(0) }).await;
            stop(feeders).await;
        }
        2 => {
            let feeders = feed(loads, || tokio::task::spawn_blocking(|| burn(LOAD)));
            let trip = || async { tokio::task::spawn_blocking(|| black_box(1)).await.unwrap_or(0) };
            figures.add(trips, trip).await;
            stop(feeders).await;
        }
        3 => {
            let feeders = feed(loads, move || on_rayon(&own.rayon, || burn(LOAD)));
            let trip = || async { on_rayon(&pools.rayon, || black_box(1)).await.unwrap_or(0) };
            figures.add(trips, trip).await;
            stop(feeders).await;
        }
        4 => {
            let feeders = feed(loads, || blocking::unblock(|| burn(LOAD)));
            figures.add(trips, || blocking::unblock(|| black_box(1))).await;
            stop(feeders).await;
        }
        _ => {
            let feeders = feed(loads, || on_a_thread(|| burn(LOAD)));
            figures.add(trips / 5 + 1, || on_a_thread(|| black_box(1))).await;
            stop(feeders).await;
        }
    }
}

/// Tasks that each keep one closure of load on the way all the time.
fn feed<F: Future + Send + 'static>(
    loads: usize,
    load: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Vec<tokio::task::JoinHandle<()>> {
    let feeder = || {
        let load = load.clone();
        tokio::spawn(async move {
            loop {
                load().await;
            }
        })
    };
    (0..loads).map(|_| feeder()).collect()
}

fn on_rayon<T: Send + 'static>(
    pool: &::rayon::ThreadPool,
    f: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    pool.spawn(move || {
        let _ = sender.send(f());
    });
    receiver
}

async fn on_a_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        let _ = sender.send(f());
    });
    receiver.await.expect("a result")
}

async fn stop(feeders: Vec<tokio::task::JoinHandle<()>>) {
    for feeder in feeders {
        feeder.abort();
        let _ = feeder.await;
    }
}
