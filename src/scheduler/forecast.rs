//! When a job may be expected to start, as far as its gates and the recent past allow to say.
//!
//! Owns how long the latest attempts of each queue took: a few numbers a queue, nothing of any job.
//! Never decides anything. A moment that is known is told as it is; otherwise the model is a plain one:
//! a queue goes on running as many jobs at once as it does now, each as long as its latest ones took
//! on average, and whatever runs now is half-way. What other queues, retries and limits by name will
//! do to that it does not know, and where only they decide it says nothing.

use std::time::Duration;

use super::explain::Explanation;
use super::gate::Gate;
use super::table::{Place, Slot};
use super::{Scheduler, seat};
use crate::job::{Now, Outcome};

/// The most attempts of a queue whose times are kept.
const MOST_RECENT: usize = 40;
/// Fewer than these tell nothing.
const FEWEST: usize = 3;

/// When a job may be expected to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// In how long.
    pub left: Duration,
    /// Where that is known from.
    pub basis: Basis,
}

/// Where a forecast is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A moment before which it can't start, and at which nothing else is known to be in its way.
    Moment,
    /// How many may start in a span of time, and how many go first.
    Rate,
    /// How long the latest attempts of its queue took.
    Recent {
        /// How many attempts.
        attempts: u32,
        /// How long they took on average.
        mean: Duration,
    },
}

/// How long the latest attempts of a queue took, in milliseconds, as a ring.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    millis: Vec<u32>,
    oldest: usize,
}

impl Recent {
    /// An attempt ended. One that was ended before its time tells nothing.
    pub(super) fn note(&mut self, outcome: &Outcome, wall: Duration) {
        if matches!(outcome, Outcome::Cancelled | Outcome::Interrupted) {
            return;
        }
        let millis = u32::try_from(wall.as_millis()).unwrap_or(u32::MAX);
        if self.millis.len() < MOST_RECENT {
            self.millis.push(millis);
        } else {
            self.millis[self.oldest] = millis;
            self.oldest = (self.oldest + 1) % MOST_RECENT;
        }
    }

    /// How many are kept and how long they took on average, if they are enough to tell.
    fn mean(&self) -> Option<(u32, Duration)> {
        let count = self.millis.len();
        let sum: u64 = self.millis.iter().copied().map(u64::from).sum();
        let mean = Duration::from_millis(sum / (count as u64).max(1));
        (count >= FEWEST).then_some((count as u32, mean))
    }
}

/// How long until a job starts that has so many others of its queue ahead of it, when so many run at
/// once, each for `mean`, and those that run now are half-way.
fn expected(ahead: usize, places: u32, mean: Duration) -> Duration {
    let halves = u32::try_from(ahead.saturating_mul(2).saturating_add(1)).unwrap_or(u32::MAX);
    mean.saturating_mul(halves) / places.max(1).saturating_mul(2)
}

impl Scheduler {
    /// When the job may be expected to start, given why it does not now.
    pub(super) fn forecast(&self, now: Now, slot: Slot, told: &Explanation) -> Option<Forecast> {
        let record = self.jobs.get(slot);
        let for_good = |gate: &Gate| {
            matches!(
                gate,
                Gate::Held { .. }
                    | Gate::Requires { .. }
                    | Gate::RequiresMore { .. }
                    | Gate::Lost { .. }
                    | Gate::TooBig { .. }
                    | Gate::StartsOff
                    | Gate::Drained { .. }
                    | Gate::QueuePaused { .. }
                    | Gate::ResourceTooSmall { .. }
            )
        };
        if told.gates.iter().any(for_good) {
            return None;
        }
        if record.place == Place::Timed {
            let left = self.timers.moment(slot)?.left(now);
            return Some(Forecast { left, basis: Basis::Moment });
        }
        let ahead = told.rank.filter(|_| !told.gates.is_empty())?.place.saturating_sub(1);
        let by_name = |gate: &Gate| {
            matches!(
                gate,
                Gate::KeyLimit { .. }
                    | Gate::KeyRate { .. }
                    | Gate::ArrayLimit { .. }
                    | Gate::Resource { .. }
                    | Gate::PlaceKept { .. }
                    | Gate::RunsAlone { .. }
                    | Gate::Apart { .. }
            )
        };
        if told.gates.iter().any(by_name) {
            return None;
        }
        let rated = told.gates.iter().find_map(|gate| match gate {
            Gate::Rate { rate, left, .. } => Some((*rate, *left)),
            _ => None,
        });
        if let Some((rate, left)) = rated {
            let turns = u32::try_from(ahead / rate.starts() as usize).unwrap_or(u32::MAX);
            let left = left.saturating_add(rate.per().saturating_mul(turns));
            return Some(Forecast { left, basis: Basis::Rate });
        }
        let queue = self.queues.get(record.queue);
        let (attempts, mean) = queue.recent.mean()?;
        let room = self.rooms[seat(record.class())].size / record.permits().max(1);
        let most = [queue.max, self.options.max_running, Some(room)];
        let places = match queue.counts.running {
            0 => most.into_iter().flatten().min().unwrap_or(1),
            running => running,
        };
        let left = expected(ahead, places, mean);
        Some(Forecast { left, basis: Basis::Recent { attempts, mean } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_model_is_ranks_ahead_times_mean_over_places() {
        for (ahead, places, expected_secs) in [(0, 1, 30), (1, 1, 90), (9, 2, 285), (9, 0, 570)] {
            assert_eq!(expected(ahead, places, MINUTE), Duration::from_secs(expected_secs));
        }
        assert!(expected(usize::MAX, 1, Duration::MAX) > Duration::from_secs(1 << 40));
    }

    #[test]
    fn only_the_latest_attempts_count_and_only_those_that_ended_by_themselves() {
        let mut recent = Recent::default();
        recent.note(&Outcome::Succeeded, MINUTE);
        recent.note(&Outcome::TimedOut, MINUTE * 3);
        assert_eq!(recent.mean(), None, "two tell nothing");
        recent.note(&Outcome::Cancelled, MINUTE * 1000);
        recent.note(&Outcome::Succeeded, MINUTE * 2);
        assert_eq!(recent.mean(), Some((3, MINUTE * 2)));
        for _ in 0..MOST_RECENT {
            recent.note(&Outcome::Succeeded, MINUTE * 5);
        }
        assert_eq!(recent.mean(), Some((MOST_RECENT as u32, MINUTE * 5)));
        recent.note(&Outcome::Succeeded, Duration::MAX);
        assert_eq!(recent.millis.len(), MOST_RECENT);
    }
}
