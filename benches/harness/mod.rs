//! What the sections share: clocks, counters, tables.

pub(crate) mod fork;
pub(crate) mod many;
pub(crate) mod mixed;
pub(crate) mod scale;
pub(crate) mod timer;
pub(crate) mod trip;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use twolane::pool::{Options, Pool};

/// Workers of every contender.
pub(crate) const WORKERS: usize = 2;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of the process so far.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// CPU time of the process so far.
pub(crate) fn cpu_time() -> Duration {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the timespec outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut spec) };
    Duration::new(spec.tv_sec as u64, spec.tv_nsec as u32)
}

/// A pool of so many workers at the priority of all other contenders; section `timer` compares priorities.
pub(crate) fn pool(cores: usize) -> Pool {
    Pool::new(Options { cores, nice: 0, ..Options::default() }).expect("a pool")
}

pub(crate) fn rayon(workers: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("a pool")
}

/// A runtime with one worker thread for tasks, and a bound on threads for `spawn_blocking`.
pub(crate) fn runtime(blocking: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(blocking)
        .enable_time()
        .build()
        .expect("a runtime")
}

/// Burns a core for so long.
pub(crate) fn burn(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::black_box(0);
    }
}

/// Multiplications that take about a nanosecond each, measured once.
pub(crate) fn spin_work(rounds: u64) -> u64 {
    let mut x = std::hint::black_box(rounds | 1);
    for _ in 0..rounds {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
    std::hint::black_box(x)
}

/// How many rounds of [`spin_work`] take so many nanoseconds.
pub(crate) fn rounds_for(nanos: u64) -> u64 {
    let probe = 2_000_000;
    let best = (0..5)
        .map(|_| {
            let begin = Instant::now();
            spin_work(probe);
            begin.elapsed().as_nanos() as u64
        })
        .min()
        .unwrap_or(1);
    (nanos * probe / best).max(1)
}

/// The value below which so many per mille of the samples lie.
pub(crate) fn per_mille(samples: &mut [u64], mille: usize) -> u64 {
    samples.sort_unstable();
    samples[((samples.len() * mille) / 1000).min(samples.len() - 1)]
}

/// The middle one.
pub(crate) fn median(samples: &mut [f64]) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}

pub(crate) fn title(text: &str) {
    println!("\n## {text}\n");
}

/// Prints medians of one figure per contender, and each as a ratio to the first.
pub(crate) fn table(unit: &str, names: &[&str], samples: &mut [Vec<f64>]) {
    println!("| contender | {unit} | to twolane |\n|---|---|---|");
    let first = median(&mut samples[0]);
    for (name, values) in names.iter().zip(samples.iter_mut()) {
        let value = median(values);
        println!("| {name} | {value:.1} | {:.2} |", value / first);
    }
}
