//! Who goes first: priority, age, fairness, ageing.

use std::time::Duration;

use proptest::prelude::*;

use super::bench_desk::{Desk, entry};
use crate::job::{Class, WallTime};
use crate::scheduler::{Aging, Options};

/// Lets everything run one after the other; the ids in the order of their starts.
fn run_all(desk: &mut Desk) -> Vec<u64> {
    let mut order = Vec::new();
    loop {
        let started = desk.started();
        if started.is_empty() {
            return order;
        }
        for &job in &started {
            desk.succeed(job);
        }
        order.extend(started);
    }
}

#[test]
fn higher_priority_goes_first_then_age_then_id() {
    let mut desk = Desk::new(1, 1);
    desk.queue("a", |queue| queue.paused = true);
    let old = |number, secs: i64| {
        let mut entry = entry(number);
        entry.submitted_at = WallTime(-secs * 1_000_000);
        entry
    };
    desk.submit([entry(1), entry(2), old(3, 5), old(4, 9).priority(-1), entry(5).priority(1)]);
    assert_eq!(desk.started(), [0; 0]);
    desk.queue("a", |_| ());
    assert_eq!(run_all(&mut desk), [5, 3, 1, 2, 4]);
}

#[test]
fn a_job_that_waited_long_enough_goes_before_a_younger_one_of_higher_priority() {
    for (aging, first) in [("10s", 1), ("60s", 2), ("off", 2)] {
        let aging: Aging = aging.parse().unwrap();
        let mut desk = Desk::with(Options { aging, ..Options::default() }, 1, 1);
        desk.queue("a", |queue| queue.paused = true);
        desk.submit([entry(1)]);
        desk.pass(Duration::from_secs(25));
        let mut urgent = entry(2).priority(2);
        urgent.submitted_at = desk.now.wall;
        desk.submit([urgent]);
        desk.queue("a", |_| ());
        assert_eq!(desk.started(), [first], "{aging}");
    }
}

#[test]
fn a_step_of_the_wall_clock_lets_nobody_overtake() {
    let mut desk = Desk::new(1, 1);
    desk.queue("a", |queue| queue.paused = true);
    desk.submit([entry(1)]);
    desk.pass(Duration::from_secs(1));
    desk.now.wall = WallTime(-1_000_000_000_000);
    let mut later = entry(2);
    later.submitted_at = desk.now.wall;
    desk.submit([later]);
    desk.queue("a", |_| ());
    assert_eq!(run_all(&mut desk), [1, 2]);
}

#[test]
fn queues_share_a_lane_by_weight() {
    let mut desk = Desk::new(1, 1);
    desk.queue("a", |queue| queue.weight = 300);
    desk.queue("b", |queue| queue.weight = 100);
    desk.submit((1..=400).map(entry));
    desk.submit((401..=800).map(|number| entry(number).in_queue("b")));
    let order = run_all(&mut desk);
    let of_a = order[..400].iter().filter(|&&number| number <= 400).count();
    assert!((298..=302).contains(&of_a), "{of_a}");
}

#[test]
fn a_queue_that_was_idle_has_not_saved_up_turns() {
    let mut desk = Desk::new(1, 1);
    desk.submit((1..=100).map(entry));
    for _ in 0..50 {
        let started = desk.started();
        desk.succeed(started[0]);
    }
    desk.submit((101..=200).map(|number| entry(number).in_queue("b")));
    let order = run_all(&mut desk);
    let of_b = order[..20].iter().filter(|&&number| number > 100).count();
    assert!((9..=11).contains(&of_b), "{order:?}");
}

#[test]
fn a_queue_alone_takes_everything() {
    let mut desk = Desk::new(4, 1);
    desk.queue("a", |queue| queue.weight = 1);
    desk.queue("b", |queue| queue.weight = 1_000_000);
    desk.submit((1..=8).map(entry));
    assert_eq!(desk.started(), [1, 2, 3, 4]);
}

#[test]
fn the_best_job_takes_a_queues_last_place_whatever_its_class() {
    let mut desk = Desk::new(1, 1);
    desk.queue("a", |queue| (queue.paused, queue.max) = (true, Some(1)));
    desk.submit([entry(1).of(Class::Io), entry(2).priority(5)]);
    desk.queue("a", |queue| queue.max = Some(1));
    assert_eq!(run_all(&mut desk), [2, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in whatever order, one at a time they start by priority, then age, then id.
    #[test]
    fn a_line_is_served_in_order(
        jobs in prop::collection::vec((-3i32..4, 0i64..50, any::<bool>()), 1..300),
    ) {
        let options = Options { aging: Aging::OFF, ..Options::default() };
        let mut desk = Desk::with(options, 1, 1);
        desk.queue("a", |queue| queue.paused = true);
        let mut expected = Vec::new();
        for (number, &(priority, age, gone)) in jobs.iter().enumerate() {
            let number = number as u64 + 1;
            let mut entry = entry(number).priority(priority);
            entry.submitted_at = WallTime(-age);
            desk.submit([entry]);
            if gone {
                desk.step(crate::scheduler::Input::Cancel { job: super::id(number), reason: None });
                desk.commit();
            } else {
                expected.push((-priority, -age, number));
            }
        }
        expected.sort_unstable();
        desk.queue("a", |_| ());
        let order: Vec<_> = expected.into_iter().map(|(_, _, number)| number).collect();
        prop_assert_eq!(run_all(&mut desk), order);
    }

    /// As long as every queue has jobs ready, none is more than one turn away from its share.
    #[test]
    fn shares_follow_weights(weights in prop::collection::vec(1u32..1000, 2..6)) {
        let mut desk = Desk::new(1, 1);
        let each = 60;
        for (index, &weight) in weights.iter().enumerate() {
            let name = format!("q{index}");
            desk.queue(&name, |queue| (queue.weight, queue.paused) = (weight, true));
            let first = index as u64 * each + 1;
            desk.submit((first..first + each).map(|number| entry(number).in_queue(&name)));
        }
        for (index, &weight) in weights.iter().enumerate().rev() {
            desk.queue(&format!("q{index}"), |queue| queue.weight = weight);
        }
        let order = run_all(&mut desk);
        let total: u32 = weights.iter().sum();
        let mut had = vec![0u64; weights.len()];
        for (turn, number) in order.iter().enumerate() {
            let queue = ((number - 1) / each) as usize;
            had[queue] += 1;
            if had[queue] == each {
                break;
            }
            for (index, &weight) in weights.iter().enumerate() {
                let share = (turn + 1) as f64 * f64::from(weight) / f64::from(total);
                let off = had[index] as f64 - share;
                prop_assert!(off.abs() <= weights.len() as f64, "{weights:?} {had:?}");
            }
        }
    }
}
