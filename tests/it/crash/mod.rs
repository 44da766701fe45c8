//! A daemon that is killed at any point keeps every promise: what was acknowledged is there, what was reported
//! stays so, nothing runs twice at once.
//!
//! Each world is a daemon's state over several lives. In each life clients submit, wait, cancel, hold, release, remove
//! and set queues, and write down what they were told; the life ends with SIGKILL at a named point or in the middle
//! of things, or in order. The last life is left to finish everything, and is judged. A world follows from its seed
//! as far as the machine's own timing lets it; a failure names the seed, and `CRASH_SEED=N` plays that world again.
//! `CRASH_WORLDS=N` plays as many as wanted.

mod breaking;
mod dice;
mod judge;
mod marks;
mod point;
mod record;
mod users;
mod victim;
mod world;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

pub(crate) use self::breaking::{BROKEN, FREE, FULL, HARMLESS, KILL, UNSURE};
use self::point::Point;
pub(crate) use self::victim::Victim;
use self::world::World;

/// How many worlds are played unless somebody asks for more: each point twice.
const WORLDS: u64 = 2 * Point::ALL.len() as u64;
/// Worlds that are played at the same time.
const AT_ONCE: u64 = 3;

// Daemons are waited for on its threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_daemon_killed_at_any_point_keeps_its_promises() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if std::env::var_os(breaking::FOLDER).is_some() {
        return;
    }
    let seeds = match number("CRASH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CRASH_WORLDS").unwrap_or(WORLDS),
    };
    let (first, end) = (seeds.start, seeds.end);
    let lines = (0..AT_ONCE).map(|line| {
        tokio::spawn(async move {
            let mut died = BTreeMap::<String, u64>::new();
            for seed in (first + line..end).step_by(AT_ONCE as usize) {
                let played = AssertUnwindSafe(World::new(seed).play()).catch_unwind().await;
                let Ok(points) = played else {
                    panic!("world {seed} broke a promise: play it again with CRASH_SEED={seed}");
                };
                for point in points {
                    *died.entry(point.name()).or_default() += 1;
                }
            }
            died
        })
    });
    let mut died = BTreeMap::<String, u64>::new();
    for line in lines.collect::<Vec<_>>() {
        for (point, count) in line.await.unwrap() {
            *died.entry(point).or_default() += count;
        }
    }
    println!("deaths by point: {died:?}");
    // Chance decides how far a daemon comes; over many worlds none of the points may be out of reach.
    if end - first >= 5 * WORLDS {
        let missed: Vec<String> = Point::ALL
            .iter()
            .map(|point| point.name())
            .filter(|name| !died.contains_key(name))
            .collect();
        assert!(missed.is_empty(), "no daemon died at {missed:?}");
    }
}
