//! 200 closures declared cpu: half of them wait 50 ms without saying so, half burn 10 ms.

use std::sync::Mutex;
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

/// Runs one; says when it ended, if it was one that burns.
fn closure(number: usize) -> Option<Instant> {
    if number.is_multiple_of(2) {
        thread::sleep(Duration::from_millis(50));
        None
    } else {
        burn_cpu(BURN);
        Some(Instant::now())
    }
}

/// All results in, and the last of those that burn ended.
struct Ends {
    all: Instant,
    burned: Instant,
}

fn ours(options: Options) -> Ends {
    let pool = Pool::new(Options { cores: WORKERS, ..options }).expect("a pool");
    let handles: Vec<_> = (0..CLOSURES).map(|n| pool.spawn(move || closure(n))).collect();
    let ends: Vec<_> = handles.into_iter().map(|h| h.join().expect("a result")).collect();
    let burned = ends.into_iter().flatten().max().expect("half of them burn");
    Ends { all: Instant::now(), burned }
}

fn rayons() -> Ends {
    let burned = Mutex::new(Instant::now());
    rayon(WORKERS).scope(|s| {
        for n in 0..CLOSURES {
            let burned = &burned;
            s.spawn(move |_| {
                if let Some(end) = closure(n) {
                    *burned.lock().expect("no panic") = end;
                }
            });
        }
    });
    Ends { all: Instant::now(), burned: burned.into_inner().expect("no panic") }
}

/// What the machine itself gives: one thread a core that burns its share and nothing else.
fn burners() -> Ends {
    thread::scope(|s| {
        for _ in 0..WORKERS {
            s.spawn(|| burn_cpu(BURN * (CLOSURES / 2 / WORKERS) as u32));
        }
    });
    Ends { all: Instant::now(), burned: Instant::now() }
}

pub(crate) fn run() {
    title("200 closures, half wait 50 ms, half burn 10 ms (ms in all)");
    let names = [
        "twolane",
        "twolane, nice 0",
        "twolane without the watch",
        "rayon",
        "the machine: threads that only burn",
    ];
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    let mut busy = samples.clone();
    let needed = BURN * (CLOSURES / 2 / WORKERS) as u32;
    for _ in 0..5 {
        for contender in 0..names.len() {
            let begin = Instant::now();
            let ends = match contender {
                0 => ours(Options::default()),
                1 => ours(Options { nice: 0, ..Options::default() }),
                2 => ours(Options { watch: false, ..Options::default() }),
                3 => rayons(),
                _ => burners(),
            };
            samples[contender].push((ends.all - begin).as_secs_f64() * 1e3);
            let until = (ends.burned - begin).as_secs_f64();
            busy[contender].push(100.0 * needed.as_secs_f64() / until);
        }
    }
    table("ms", &names, &mut samples);
    println!();
    println!(
        "| contender | cores busy with the closures' own work until the last of it is done, % |"
    );
    println!("|---|---|");
    for (name, busy) in names.iter().zip(&mut busy) {
        println!("| {name} | {:.1} |", super::median(busy));
    }
}
