//! The rate of a queue: when its latest jobs started, and when the next may.
//!
//! Owns a sliding window. Never reads a clock. Invariant: of any span of the rate's period, no more
//! starts lie in it than the rate says, since counting began.
//!
//! Moments are those of the boot clock, which never steps, so no change of the wall clock can freeze
//! or flood a queue.

use std::collections::VecDeque;
use std::time::Duration;

use crate::job::Rate;

/// A rate and the starts that count for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    rate: Rate,
    /// The latest starts, the oldest first; never more than the rate's.
    starts: VecDeque<Duration>,
}

impl Pace {
    /// Counting begins.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, starts: VecDeque::new() }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// A job started.
    pub(super) fn note(&mut self, now: Duration) {
        if self.starts.len() >= self.rate.starts() as usize {
            self.starts.pop_front();
        }
        self.starts.push_back(now);
    }

    /// The moment before which nothing may start, if there is one.
    pub(super) fn shut_until(&self, now: Duration) -> Option<Duration> {
        if self.starts.len() < self.rate.starts() as usize {
            return None;
        }
        let free = self.starts.front()?.saturating_add(self.rate.per());
        (free > now).then_some(free)
    }

    /// Nothing is known of the starts before: they count as spread evenly over the last period.
    pub(super) fn spread(&mut self, now: Duration) {
        let starts = self.rate.starts();
        let ago = |left: u32| self.rate.per().mul_f64(f64::from(left) / f64::from(starts));
        self.starts = (0..starts).rev().map(|left| now.saturating_sub(ago(left))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_window_slides() {
        let mut pace = Pace::new("2/1s".parse().unwrap());
        pace.note(at(5_000));
        assert_eq!(pace.shut_until(at(5_000)), None);
        pace.note(at(5_600));
        assert_eq!(pace.shut_until(at(5_600)), Some(at(6_000)));
        assert_eq!(pace.shut_until(at(6_000)), None);
        pace.note(at(6_000));
        assert_eq!(pace.shut_until(at(6_000)), Some(at(6_600)));
    }

    #[test]
    fn starts_that_are_not_known_count_as_spread_over_the_last_period() {
        let mut pace = Pace::new("4/1s".parse().unwrap());
        pace.spread(at(9_000));
        assert_eq!(pace.shut_until(at(9_000)), Some(at(9_250)));
        pace.note(at(9_250));
        assert_eq!(pace.shut_until(at(9_250)), Some(at(9_500)));
    }
}
