//! Fork-join inside one closure: a tree of calls, a sort, a tree that leans to one side.

use std::hint::black_box;
use std::time::Instant;

use super::{WORKERS, allocations, pool, rayon, spin_work, table, title};

fn fib(n: u32) -> u64 {
    if n < 2 { u64::from(n) } else { fib(n - 1) + fib(n - 2) }
}

macro_rules! forks {
    ($module:ident, $join:path) => {
        mod $module {
            use super::{fib, partition, spin_work};

            pub(super) fn tree(n: u32) -> u64 {
                if n <= 15 {
                    return fib(n);
                }
                let (a, b) = $join(|| tree(n - 1), || tree(n - 2));
                a + b
            }

            pub(super) fn sort(v: &mut [u64]) {
                if v.len() <= 5_000 {
                    v.sort_unstable();
                    return;
                }
                let middle = partition(v);
                let (low, high) = v.split_at_mut(middle);
                $join(|| sort(low), || sort(&mut high[1..]));
            }

            pub(super) fn lean(depth: u64) -> u64 {
                if depth == 0 {
                    return 1;
                }
                let (a, b) = $join(|| spin_work(200 * (depth % 7)), || lean(depth - 1));
                a ^ b
            }
        }
    };
}

forks!(ours, twolane::pool::join);
forks!(theirs, rayon::join);

fn partition(v: &mut [u64]) -> usize {
    let (last, middle) = (v.len() - 1, v.len() / 2);
    if v[0] > v[middle] {
        v.swap(0, middle);
    }
    if v[middle] > v[last] {
        v.swap(middle, last);
    }
    if v[0] > v[middle] {
        v.swap(0, middle);
    }
    v.swap(middle, last);
    let pivot = v[last];
    let mut store = 0;
    for i in 0..last {
        if v[i] < pivot {
            v.swap(i, store);
            store += 1;
        }
    }
    v.swap(store, last);
    store
}

pub(crate) fn run() {
    let (pool, rayon) = (pool(WORKERS), rayon(WORKERS));
    let names = ["twolane join", "rayon join"];
    title("fib 32 cut at 15 (ms)");
    compare(&names, 60, &mut |c| match c {
        0 => drop(black_box(pool.install(|| ours::tree(32)))),
        _ => drop(black_box(rayon.install(|| theirs::tree(32)))),
    });
    title("Quicksort of 10 M u64 (ms)");
    let mut x = 88_172_645_463_325_252_u64;
    let data: Vec<u64> = (0..10_000_000)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        })
        .collect();
    let mut copy = data.clone();
    compare(&names, 5, &mut |c| {
        copy.copy_from_slice(&data);
        match c {
            0 => pool.install(|| ours::sort(&mut copy)),
            _ => rayon.install(|| theirs::sort(&mut copy)),
        }
    });
    title("Lopsided tree of 4,000 (ms)");
    compare(&names, 60, &mut |c| match c {
        0 => drop(black_box(pool.install(|| ours::lean(4_000)))),
        _ => drop(black_box(rayon.install(|| theirs::lean(4_000)))),
    });
    let before = allocations();
    black_box(pool.install(|| ours::tree(25)));
    println!(
        "\nallocations of fib 25 cut at 15 (121 joins), the crossing included: {}",
        allocations() - before
    );
}

fn compare(names: &[&str], rounds: usize, run: &mut dyn FnMut(usize)) {
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    for _ in 0..rounds {
        for (contender, samples) in samples.iter_mut().enumerate() {
            let begin = Instant::now();
            run(contender);
            samples.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    table("ms", names, &mut samples);
}
