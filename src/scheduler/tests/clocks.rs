//! What becomes of jobs that wait for a moment when clocks are set, the machine sleeps, or it starts anew.

use std::time::Duration;

use super::bench_desk::exit;
use super::{Desk, entry};
use crate::job::{Deadline, State, WallTime};
use crate::scheduler::{Entry, Input};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A job that waits for a moment.
fn waiting(number: u64, moment: Deadline) -> Entry {
    Entry { state: State::Scheduled, not_before: Some(moment), ..entry(number) }
}

impl Desk {
    /// The wall clock is set so much forward.
    fn set_forward(&mut self, span: Duration) {
        self.now.wall = self.now.wall.plus(span);
        self.step(Input::Tick);
    }

    /// The wall clock is set so much back.
    fn set_back(&mut self, span: Duration) {
        self.now.wall = WallTime(self.now.wall.0 - span.as_micros() as i64);
        self.step(Input::Tick);
    }

    /// The wall clock's moment so far ahead.
    fn at(&self, ahead: Duration) -> Deadline {
        Deadline::at(self.now.wall.plus(ahead))
    }

    /// What was due is written down and starts.
    fn starts(&mut self) -> Vec<u64> {
        self.commit();
        self.started()
    }
}

#[test]
fn a_delay_does_not_notice_that_the_clock_is_set() {
    for step in [Desk::set_forward as fn(&mut Desk, Duration), Desk::set_back] {
        let mut desk = Desk::new(4, 1);
        desk.submit([waiting(1, desk.in_secs(60))]);
        step(&mut desk, DAY);
        let next = desk.scheduler.next_deadline().unwrap();
        assert_eq!(next.boot, Duration::from_secs(160));
        assert_eq!((desk.scheduler.next_wall(), desk.starts().len()), (None, 0));
        desk.pass(MINUTE);
        assert_eq!(desk.starts(), [1]);
    }
}

#[test]
fn a_time_of_day_comes_when_the_clock_is_set_past_it() {
    let mut desk = Desk::new(4, 1);
    let moment = desk.at(DAY);
    desk.submit([waiting(1, moment)]);
    assert_eq!(desk.scheduler.next_wall(), Some(moment.wall));
    assert_eq!(desk.scheduler.next_deadline(), None);
    desk.set_forward(Duration::from_secs(86_340));
    assert_eq!(desk.starts(), [0; 0]);
    desk.set_forward(MINUTE);
    assert_eq!(desk.starts(), [1]);
}

#[test]
fn a_time_of_day_waits_longer_when_the_clock_is_set_back() {
    let mut desk = Desk::new(4, 1);
    desk.submit([waiting(1, desk.at(MINUTE))]);
    desk.set_back(DAY);
    desk.pass(MINUTE * 2);
    assert_eq!(desk.starts(), [0; 0]);
    let told = desk.scheduler.explain(desk.now, super::id(1)).unwrap().to_string();
    assert!(told.contains("23h59m"), "{told}");
    desk.pass(DAY);
    assert_eq!(desk.starts(), [1]);
}

#[test]
fn a_job_that_has_started_does_not_start_again_when_the_clock_is_set_back() {
    let mut desk = Desk::new(4, 1);
    desk.submit([waiting(1, desk.at(MINUTE))]);
    desk.pass(MINUTE);
    assert_eq!(desk.starts(), [1]);
    desk.set_back(DAY);
    desk.pass(DAY * 2);
    assert_eq!(desk.starts(), [0; 0]);
}

#[test]
fn the_pause_before_a_retry_does_not_notice_that_the_clock_is_set() {
    for step in [Desk::set_forward as fn(&mut Desk, Duration), Desk::set_back] {
        let mut desk = Desk::new(4, 1);
        desk.submit([entry(1).retries(1, MINUTE)]);
        assert_eq!(desk.started(), [1]);
        desk.end(1, exit(1));
        desk.commit();
        step(&mut desk, DAY);
        assert_eq!(desk.starts(), [0; 0]);
        desk.pass(MINUTE);
        assert_eq!(desk.starts(), [1]);
    }
}

#[test]
fn a_delay_and_a_time_of_day_that_passed_in_sleep_are_over_when_the_machine_wakes() {
    let mut desk = Desk::new(4, 1);
    desk.submit([waiting(1, desk.in_secs(60)), waiting(2, desk.at(MINUTE))]);
    // Both clocks count the sleep; nothing else happened meanwhile.
    desk.pass(DAY);
    assert_eq!(desk.starts(), [1, 2]);
}

#[test]
fn a_time_of_day_is_kept_over_a_hold_whatever_the_clock_does() {
    let mut desk = Desk::new(4, 1);
    let moment = desk.at(MINUTE);
    desk.submit([waiting(1, moment)]);
    desk.step(Input::Hold { job: super::id(1), reason: None });
    desk.commit();
    assert_eq!(desk.scheduler.next_wall(), None, "a held job is woken by nobody");
    desk.set_back(MINUTE);
    desk.step(Input::Release { job: super::id(1) });
    desk.commit();
    assert_eq!(desk.scheduler.next_wall(), Some(moment.wall));
    desk.set_forward(MINUTE * 2);
    assert_eq!(desk.starts(), [1]);
}

#[test]
fn the_starts_of_before_a_restart_count_as_spread_over_the_last_period_of_a_rate() {
    let mut desk = Desk::new(50, 1);
    desk.queue("a", |queue| queue.rate = "2/10s".parse().ok());
    desk.step(Input::StartsForgotten);
    desk.submit((1..=4).map(entry));
    assert_eq!(desk.started(), [0; 0], "a restart does not open the window anew");
    let mut started = Vec::new();
    for _ in 0..10 {
        desk.pass(Duration::from_secs(1));
        started.extend(desk.started());
    }
    assert_eq!(started, [1, 2], "nor does it shut it for longer than a period");
}

#[test]
fn a_rate_does_not_notice_that_the_clock_is_set_back() {
    let mut desk = Desk::new(50, 1);
    desk.queue("a", |queue| queue.rate = "1/60s".parse().ok());
    desk.submit((1..=2).map(entry));
    assert_eq!(desk.started(), [1]);
    desk.set_back(DAY);
    assert_eq!(desk.started(), [0; 0]);
    desk.pass(MINUTE);
    assert_eq!(desk.started(), [2]);
}

#[test]
fn a_period_that_passed_in_sleep_opens_the_rate() {
    let mut desk = Desk::new(50, 1);
    desk.queue("a", |queue| queue.rate = "1/60s".parse().ok());
    desk.submit((1..=2).map(entry));
    assert_eq!(desk.started(), [1]);
    desk.pass(DAY);
    assert_eq!(desk.started(), [2]);
}

#[test]
fn a_pause_that_passed_in_sleep_is_over_when_the_machine_wakes() {
    let mut desk = Desk::new(4, 1);
    desk.submit([entry(1).retries(1, MINUTE)]);
    assert_eq!(desk.started(), [1]);
    desk.end(1, exit(1));
    desk.commit();
    desk.pass(DAY);
    assert_eq!(desk.starts(), [1]);
}
