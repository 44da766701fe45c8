//! What the settings say of keys.

use std::sync::Arc;
use std::time::Duration;

use super::bench_desk::{Desk, entry};
use super::id;
use crate::job::{KeyLimit, KeyRule, Limits};
use crate::scheduler::{Entry, Gate, Input, Origin};

fn rule(pattern: &str, max: Option<u32>, rate: Option<&str>) -> KeyRule {
    let rate = rate.map(|rate| rate.parse().unwrap());
    KeyRule { pattern: pattern.to_owned(), max, rate }
}

/// A job with a key and no number for it.
fn keyed(number: u64, key: &str) -> Entry {
    let keys = vec![KeyLimit { key: key.to_owned(), max: None }];
    Entry { limits: Some(Arc::new(Limits { keys, ..Limits::default() })), ..entry(number) }
}

fn gates(desk: &Desk, number: u64) -> Vec<Gate> {
    desk.scheduler.explain(desk.now, id(number)).unwrap().gates
}

fn with_rules(rules: impl Into<Vec<KeyRule>>) -> Desk {
    let mut desk = Desk::new(16, 16);
    desk.step(Input::Keys(rules.into()));
    desk
}

#[test]
fn a_key_without_a_number_has_the_one_of_the_settings_and_explain_says_so() {
    let mut desk = with_rules([rule("host:*", Some(2), None)]);
    desk.submit((1..=3).map(|number| keyed(number, "host:a")));
    desk.submit([keyed(4, "host:b"), keyed(5, "db"), keyed(6, "db")]);
    assert_eq!(desk.started(), [1, 2, 4, 5, 6], "each key has its own two, others have none");
    let Gate::KeyLimit { max: 2, origin, holders, .. } = gates(&desk, 3).remove(0) else {
        panic!()
    };
    assert_eq!(origin, Origin::Rule("host:*".to_owned()));
    assert_eq!(holders.iter().map(|holder| holder.job).collect::<Vec<_>>(), [id(1), id(2)]);
    assert!(gates(&desk, 3)[0].to_string().contains(r#"(limits.keys."host:*" of the config)"#));
}

#[test]
fn of_what_a_job_and_the_settings_say_the_smaller_counts() {
    let mut desk = with_rules([rule("a", Some(2), None), rule("b", Some(2), None)]);
    desk.submit((1..=3).map(|number| entry(number).with_key("a", 3)));
    desk.submit((4..=6).map(|number| entry(number).with_key("b", 1)));
    assert_eq!(desk.started(), [1, 2, 4]);
    let origin = |number| match gates(&desk, number).remove(0) {
        Gate::KeyLimit { origin, .. } => origin,
        other => panic!("{other:?}"),
    };
    assert_eq!(origin(3), Origin::Rule("a".to_owned()));
    assert_eq!(origin(5), Origin::Job(id(6)));
}

#[test]
fn rules_that_change_count_at_once() {
    let mut desk = with_rules([rule("a", Some(1), None)]);
    desk.submit((1..=4).map(|number| keyed(number, "a")));
    assert_eq!(desk.started(), [1]);
    desk.step(Input::Keys(vec![rule("a", Some(3), None)]));
    assert_eq!(desk.started(), [2, 3]);
    desk.step(Input::Keys(Vec::new()));
    assert_eq!(desk.started(), [4]);
}

#[test]
fn a_rate_of_a_key_slides_and_holds_up_nobody_else() {
    let mut desk = with_rules([rule("host:*", None, Some("2/1s"))]);
    desk.submit((1..=4).map(|number| keyed(number, "host:a")));
    desk.submit([keyed(5, "host:b"), entry(6)]);
    assert_eq!(desk.started(), [1, 2, 5, 6]);
    let Gate::KeyRate { left, origin, .. } = gates(&desk, 3).remove(0) else { panic!() };
    assert_eq!((left, origin), (Duration::from_secs(1), Origin::Rule("host:*".to_owned())));
    assert!(desk.scheduler.next_deadline().is_some_and(|due| due == desk.in_secs(1)));
    desk.pass(Duration::from_millis(999));
    assert!(desk.started().is_empty());
    desk.pass(Duration::from_millis(1));
    assert_eq!(desk.started(), [3, 4]);
}

#[test]
fn a_key_s_starts_count_though_no_job_has_it_any_more() {
    let mut desk = with_rules([rule("a", None, Some("1/10s"))]);
    desk.submit([keyed(1, "a")]);
    assert_eq!(desk.started(), [1]);
    desk.succeed(1);
    desk.pass(Duration::from_secs(5));
    desk.submit([keyed(2, "a")]);
    assert!(desk.started().is_empty(), "the start of job 1 was five seconds ago");
    desk.pass(Duration::from_secs(5));
    assert_eq!(desk.started(), [2]);
    desk.succeed(2);
    desk.pass(Duration::from_secs(10));
    assert_eq!(desk.scheduler.key_limits(), 0, "what counts no more is forgotten");
}

#[test]
fn starts_before_a_restart_count_as_spread_over_the_last_span() {
    let mut desk = Desk::new(16, 16);
    desk.step(Input::StartsForgotten);
    desk.step(Input::Keys(vec![rule("a", None, Some("4/1s"))]));
    desk.submit((1..=4).map(|number| keyed(number, "a")));
    assert!(desk.started().is_empty());
    desk.pass(Duration::from_millis(500));
    assert_eq!(desk.started(), [1, 2]);
}
