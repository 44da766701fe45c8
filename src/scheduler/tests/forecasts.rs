//! When jobs are expected to start, and when nothing is said.

use std::time::Duration;

use super::{Desk, entry, id};
use crate::job::{Outcome, State, Usage};
use crate::scheduler::{Basis, Entry, Forecast, Input};

const MINUTE: Duration = Duration::from_secs(60);

fn forecast(desk: &Desk, number: u64) -> Option<Forecast> {
    desk.scheduler.explain(desk.now, id(number)).unwrap().forecast
}

impl Desk {
    /// The running job succeeds after so long.
    fn succeed_after(&mut self, number: u64, wall: Duration) {
        let (job, token) = (id(number), self.token(number));
        let usage = Usage { wall, ..Usage::default() };
        let outcome = Outcome::Succeeded;
        self.step(Input::Ended { job, token, outcome, usage, retry_after: None, retryable: true });
        self.commit();
    }
}

#[test]
fn a_queued_job_is_expected_from_how_long_the_latest_took_and_how_many_go_first() {
    let mut desk = Desk::new(2, 1);
    desk.submit((1..=8).map(entry));
    assert_eq!(forecast(&desk, 8), None, "there is no past");
    for number in 1..=3 {
        desk.succeed_after(number, MINUTE * number as u32);
    }
    let basis = Basis::Recent { attempts: 3, mean: MINUTE * 2 };
    // 4 and 5 run; the last of 6, 7 and 8 has two ahead: five halves of two minutes on two places.
    assert_eq!(forecast(&desk, 8), Some(Forecast { left: MINUTE * 5 / 2, basis }));
    assert_eq!(forecast(&desk, 6), Some(Forecast { left: MINUTE / 2, basis }));
    assert_eq!(forecast(&desk, 5), None, "it runs");
}

#[test]
fn a_moment_and_a_rate_are_told_without_a_past() {
    let mut desk = Desk::new(2, 1);
    let later = Entry { state: State::Scheduled, not_before: Some(desk.in_secs(60)), ..entry(1) };
    desk.submit([later]);
    assert_eq!(forecast(&desk, 1), Some(Forecast { left: MINUTE, basis: Basis::Moment }));
    desk.queue("b", |queue| queue.rate = "2/60s".parse().ok());
    desk.submit((2..=7).map(|number| entry(number).in_queue("b")));
    assert_eq!(desk.started(), [2, 3]);
    let left = |number| forecast(&desk, number).map(|forecast| forecast.left);
    assert_eq!([left(4), left(5), left(6)], [Some(MINUTE), Some(MINUTE), Some(MINUTE * 2)]);
    assert_eq!(forecast(&desk, 7).unwrap().basis, Basis::Rate);
}

#[test]
fn nothing_is_said_where_somebody_has_to_act_or_a_name_decides() {
    let mut desk = Desk::new(1, 1);
    desk.submit((1..=3).map(entry).chain([entry(4).with_key("k", 1)]));
    (1..=3).for_each(|number| desk.succeed_after(number, MINUTE));
    let held = Entry { state: State::Held, ..entry(10) };
    let waits = entry(11).after(crate::job::Condition::Ok, 4);
    desk.submit([held, waits, entry(12).with_key("k", 1), entry(13).needs(9), entry(14)]);
    for number in 10..=13 {
        assert_eq!(forecast(&desk, number), None, "{number}");
    }
    assert!(forecast(&desk, 14).is_some());
    desk.queue("a", |queue| queue.paused = true);
    assert_eq!(forecast(&desk, 14), None, "the queue is paused");
}
