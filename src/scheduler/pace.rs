//! The rate of a queue or key: when its latest jobs started, and when the next may.
//!
//! Owns a sliding window. Never reads a clock. Invariant: of any span of the rate's period, no more
//! starts lie in it than the rate says, since counting began.
//!
//! Moments are those of the boot clock, which never steps, so no change of the wall clock can freeze
//! or flood anything.

use std::collections::VecDeque;
use std::time::Duration;

use crate::job::Rate;

/// A rate and the starts that count for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    rate: Rate,
    /// The latest starts, the oldest first; never more than the rate's.
    starts: VecDeque<Duration>,
    /// Starts before those, which nobody saw, and the moment before which they count as spread.
    unseen: (Duration, u32),
}

impl Pace {
    /// Counting begins.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, starts: VecDeque::new(), unseen: (Duration::ZERO, 0) }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// A job started.
    pub(super) fn note(&mut self, now: Duration) {
        if self.is_full() {
            match &mut self.unseen.1 {
                0 => drop(self.starts.pop_front()),
                unseen => *unseen -= 1,
            }
        }
        self.starts.push_back(now);
    }

    fn is_full(&self) -> bool {
        self.starts.len() + self.unseen.1 as usize >= self.rate.starts() as usize
    }

    /// The oldest start that counts.
    fn first(&self) -> Option<Duration> {
        let (before, unseen) = self.unseen;
        let Some(left) = unseen.checked_sub(1) else { return self.starts.front().copied() };
        let ago = self.rate.per().mul_f64(f64::from(left) / f64::from(self.rate.starts()));
        Some(before.saturating_sub(ago))
    }

    /// The moment from which no start so far counts any more.
    pub(super) fn forgotten_at(&self) -> Option<Duration> {
        let unseen = Some(self.unseen.0).filter(|_| self.unseen.1 > 0);
        let last = self.starts.back().copied().or(unseen)?;
        Some(last.saturating_add(self.rate.per()))
    }

    /// The moment before which nothing may start, if there is one.
    pub(super) fn shut_until(&self, now: Duration) -> Option<Duration> {
        if !self.is_full() {
            return None;
        }
        let free = self.first()?.saturating_add(self.rate.per());
        (free > now).then_some(free)
    }

    /// Nothing is known of the starts before: they count as spread evenly over the last period.
    pub(super) fn spread(&mut self, now: Duration) {
        self.starts.clear();
        self.unseen = (now, self.rate.starts());
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
