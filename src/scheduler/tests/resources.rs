//! Named resources: what is taken, which units, and big jobs beside small ones.

use std::sync::Arc;

use super::bench_desk::{Desk, entry};
use super::id;
use crate::scheduler::{Entry, Gate, Holder, Input, Options, Resource};

fn set(desk: &mut Desk, resources: &[(&str, u64, &[&str])]) {
    let resource = |&(name, capacity, units): &(&str, u64, &[&str])| Resource {
        name: name.to_owned(),
        capacity,
        units: units.iter().map(|&unit| Arc::from(unit)).collect(),
    };
    desk.step(Input::Resources(resources.iter().map(resource).collect()));
}

fn taking(number: u64, name: &str, amount: u64) -> Entry {
    let mut entry = entry(number);
    let mut limits = crate::job::Limits::default();
    limits.resources.insert(name.to_owned(), amount);
    entry.limits = Some(Arc::new(limits));
    entry
}

fn units(desk: &Desk, number: u64) -> Vec<String> {
    let held = desk.scheduler.units(id(number)).into_iter();
    held.flat_map(|(_, units)| units).map(|unit| unit.to_string()).collect()
}

fn gates(desk: &Desk, number: u64) -> Vec<Gate> {
    desk.scheduler.explain(desk.now, id(number)).unwrap().gates
}

#[test]
fn jobs_start_as_far_as_a_resource_suffices_and_the_rest_is_told_who_has_it() {
    let mut desk = Desk::new(8, 1);
    set(&mut desk, &[("memory", 8 << 30, &[])]);
    desk.submit([
        taking(1, "memory", 5 << 30),
        taking(2, "memory", 4 << 30),
        taking(3, "memory", 1 << 30),
    ]);
    assert_eq!(desk.started(), [1, 3], "the small one fits beside the first");
    assert_eq!(
        gates(&desk, 2)[0].to_string(),
        "it needs 4G of the resource memory and 2G of 8G are free; held by job 1 (5G), job 3 (1G)"
    );
    desk.succeed(1);
    assert_eq!(desk.started(), [2]);
    let view = &desk.scheduler.resources()[0];
    assert_eq!((view.used, view.capacity, view.holders.len()), (5 << 30, 8 << 30, 2));
}

#[test]
fn each_unit_is_held_by_one_job_at_a_time() {
    let mut desk = Desk::new(8, 1);
    set(&mut desk, &[("gpu", 3, &["a", "b", "c"])]);
    desk.submit([taking(1, "gpu", 1), taking(2, "gpu", 2), taking(3, "gpu", 1)]);
    assert_eq!(desk.started(), [1, 2]);
    assert_eq!(
        (units(&desk, 1), units(&desk, 2)),
        (vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()])
    );
    desk.succeed(1);
    assert_eq!(desk.started(), [3]);
    assert_eq!(units(&desk, 3), ["a"]);
}

#[test]
fn a_resource_that_shrinks_takes_nothing_back_and_says_who_will_never_fit() {
    let mut desk = Desk::new(8, 1);
    set(&mut desk, &[("gpu", 2, &["0", "1"])]);
    desk.submit([taking(1, "gpu", 2), taking(2, "gpu", 2), taking(3, "gpu", 1)]);
    assert_eq!(desk.started(), [1]);
    set(&mut desk, &[("gpu", 1, &["1"])]);
    let too_small = Gate::ResourceTooSmall { name: "gpu".to_owned(), needed: 2, capacity: 1 };
    assert_eq!(gates(&desk, 2), [too_small]);
    let holders = vec![Holder { job: id(1), permits: 2 }];
    let gate = Gate::Resource { name: "gpu".to_owned(), needed: 1, free: 0, capacity: 1, holders };
    assert_eq!(gates(&desk, 3), [gate]);
    desk.succeed(1);
    assert_eq!(desk.started(), [3]);
    assert_eq!(units(&desk, 3), ["1"]);
    set(&mut desk, &[("gpu", 4, &["1", "2", "3", "4"])]);
    assert_eq!(desk.started(), [2]);
    assert_eq!(units(&desk, 2), ["2", "3"]);
}

#[test]
fn what_the_settings_do_not_name_there_is_nothing_of() {
    let mut desk = Desk::new(8, 1);
    desk.submit([taking(1, "license", 1)]);
    assert_eq!(desk.started(), [0; 0]);
    set(&mut desk, &[("license", 1, &[])]);
    assert_eq!(desk.started(), [1]);
    set(&mut desk, &[]);
    desk.succeed(1);
    assert!(desk.scheduler.resources().is_empty());
}

#[test]
fn a_job_that_needs_much_is_not_starved_by_those_that_need_little() {
    let options = Options { backfill: 5, ..Options::default() };
    let mut desk = Desk::with(options, 8, 1);
    set(&mut desk, &[("license", 4, &[])]);
    desk.submit((1..=3).map(|number| taking(number, "license", 1)));
    desk.submit([taking(4, "license", 4)]);
    let mut running = desk.started();
    for number in 5..60 {
        desk.submit([taking(number, "license", 1).priority(3)]);
        running.extend(desk.started());
        let job = running.remove(0);
        desk.succeed(job);
        running.extend(desk.started());
        if running.contains(&4) {
            assert!(number < 20, "soon after five have overtaken it");
            return;
        }
        if desk.scheduler.running() < 3 {
            let waiting = format!("{:?}", gates(&desk, number));
            assert!(waiting.contains("PlaceKept") || waiting.contains("Resource"), "{waiting}");
        }
        if running.is_empty() {
            break;
        }
    }
    panic!("{:?}", gates(&desk, 4));
}

#[test]
fn what_is_kept_for_a_big_job_reaches_it_however_many_stand_before_it() {
    let options = Options { backfill: 3, ..Options::default() };
    let mut desk = Desk::with(options, 8, 1);
    set(&mut desk, &[("memory", 10, &[])]);
    desk.submit([taking(1, "memory", 6)]);
    desk.submit([taking(2, "memory", 10)]);
    desk.submit((3..=5).map(|number| taking(number, "memory", 1)));
    assert_eq!(desk.started(), [1, 3, 4, 5], "the big one was overtaken as often as may be");
    // A line each, more than are looked at when room comes, and all before the big one.
    let better = |number: u64| taking(number, "memory", 1).with_key(&number.to_string(), 1);
    desk.submit((10..100).map(|number| better(number).priority(9)));
    for number in [1, 3, 4, 5] {
        assert_eq!(desk.started(), [0; 0], "what gets free is kept for the big one");
        desk.succeed(number);
    }
    assert_eq!(desk.started(), [2]);
    desk.succeed(2);
    assert_eq!(desk.started().len(), 8);
}
