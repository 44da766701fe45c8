//! The scheduler against a virtual world: seeded users, lanes, clocks and a disk with faults.
//!
//! Each seed plays one world. After every step the scheduler's own invariants are checked, and the
//! world checks what it was asked for against its own books (`oracle`): no limit is exceeded, no
//! attempt is started or aborted twice, nothing is written that the disk has to refuse, a job that
//! fits does not stand beside free room unless that is kept for a bigger one, nothing starts inside
//! the daemon beside a suspect, exactly those are condemned that lost two runs alone, and each
//! accepted job ends in exactly one final state once the world calms down.
//!
//! `TWOLANE_SIM_STEPS` sets how many steps a world takes, `TWOLANE_SIM_SEED` plays one seed alone and
//! `TWOLANE_SIM_WORLDS` sets how many seeds are played. A failure prints its seed.

mod alone;
mod dice;
mod disk;
mod lanes;
mod oracle;
mod stream;
mod turns;
mod users;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use self::dice::Dice;
use self::world::World;

/// Steps of a world unless told otherwise: many enough for every fault to meet every other.
const STEPS: u64 = 2_500;
/// Worlds unless told otherwise.
const WORLDS: u64 = 5;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn play(seed: u64, steps: u64) {
    let world = || {
        let mut world = World::new(Dice::new(seed));
        for _ in 0..steps {
            world.turn();
        }
        world.calm_down();
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(world)) {
        eprintln!("replay with TWOLANE_SIM_SEED={seed} TWOLANE_SIM_STEPS={steps}");
        resume_unwind(panic);
    }
}

#[test]
fn whatever_happens_no_rule_is_broken_and_every_job_ends_once() {
    let steps = setting("TWOLANE_SIM_STEPS").unwrap_or(STEPS);
    match setting("TWOLANE_SIM_SEED") {
        Some(seed) => play(seed, steps),
        None => {
            (0..setting("TWOLANE_SIM_WORLDS").unwrap_or(WORLDS)).for_each(|seed| play(seed, steps));
        }
    }
}

#[test]
fn the_same_seed_plays_the_same_world() {
    let history = |seed| {
        let mut world = World::new(Dice::new(seed));
        (0..300).for_each(|_| world.turn());
        world.history()
    };
    assert_eq!(history(5), history(5));
    assert_ne!(history(5), history(6));
}

#[test]
fn a_world_is_wild_enough_to_meet_every_kind_of_event() {
    let mut history = String::new();
    for seed in 0..30 {
        let mut world = World::new(Dice::new(seed));
        (0..STEPS).for_each(|_| world.turn());
        history += &world.history().join("\n");
    }
    for event in [
        "crash",
        "restart",
        "outcome: Interrupted, usage",
        "Refused",
        "Abort",
        "CancelAsked",
        "Declined",
        "next: Scheduled",
        "next: Held",
        "next: Queued",
        "next: Cancelled",
        "from: Scheduled, to: Held",
        "from: Held, to: Queued",
        "from: Queued, to: Cancelled",
        "state: Failed",
        "attempt: 3",
        "from: Waiting, to: Queued",
        "from: Waiting, to: Skipped",
        "from: Waiting, to: Scheduled",
        "from: Waiting, to: Held",
        "from: Held, to: Waiting",
        "was skipped",
        "Write(Unfolded",
        "Refused(Unfolded",
        "Write(FoldMoved",
        "Refused(FoldMoved",
        "count: 1 }, from: Queued, to: Cancelled",
        "}, from: Queued, to: Held",
        "}, from: Held, to: Queued, reason",
        "Write(Edited",
        "Refused(Edited",
        "from: Running, to: Running",
        "from: Queued, to: Waiting",
        "from: Waiting, to: Queued, not_before: None, requirements: Some",
        "Some(Turn { came: With",
        "Some(Turn { came: At",
        "Circle",
        "Misplaced(OtherPriority",
        "alone: true",
        "condemned",
    ] {
        assert!(history.contains(event), "{event} never happened");
    }
}
