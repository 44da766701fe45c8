//! 200 closures declared cpu: half of them wait 50 ms without saying so, half burn 10 ms.

use std::thread;
use std::time::{Duration, Instant};

use twolane::pool::{Options, Pool};

use super::{WORKERS, rayon, table, title};

const CLOSURES: usize = 200;
const BURN: Duration = Duration::from_millis(10);

/// Burns so much CPU time of this thread, however long that takes.
fn burn_cpu(time: Duration) {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut now = || {
        // SAFETY: the timespec outlives the call.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut spec) };
        Duration::new(spec.tv_sec as u64, spec.tv_nsec as u32)
    };
    let end = now() + time;
    while now() < end {}
}

fn closure(number: usize) {
    if number.is_multiple_of(2) {
        thread::sleep(Duration::from_millis(50));
    } else {
        burn_cpu(BURN);
    }
}

fn ours(watch: bool) {
    let pool = Pool::new(Options { cores: WORKERS, watch, nice: 0, ..Options::default() })
        .expect("a pool");
    let handles: Vec<_> = (0..CLOSURES).map(|n| pool.spawn(move || closure(n))).collect();
    for handle in handles {
        handle.join().expect("a result");
    }
}

pub(crate) fn run() {
    title("200 closures, half wait 50 ms, half burn 10 ms (ms in all)");
    let names = ["twolane", "twolane without the watch", "rayon"];
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    for _ in 0..3 {
        for (contender, samples) in samples.iter_mut().enumerate() {
            let begin = Instant::now();
            match contender {
                0 => ours(true),
                1 => ours(false),
                _ => rayon(WORKERS).scope(|s| {
                    for n in 0..CLOSURES {
                        s.spawn(move |_| closure(n));
                    }
                }),
            }
            samples.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    table("ms", &names, &mut samples);
    let burned = BURN.as_secs_f64() * 1e3 * (CLOSURES / 2) as f64;
    let best = super::median(&mut samples[0]);
    println!(
        "\ncores busy with the closures' own work: {:.0} %",
        100.0 * burned / (best * WORKERS as f64)
    );
}
