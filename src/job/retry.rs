//! When a failed attempt is followed by another.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration::{format_duration, parse_duration};
use super::id::{JobId, StoreId};
use super::outcome::{Failure, Outcome};
use super::retry_on::RetryOn;

/// How often, how soon and after which outcomes a job is run again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many runs may follow the first; none by default.
    #[serde(default)]
    pub retries: u32,
    /// How long to wait before each.
    #[serde(default)]
    pub backoff: Backoff,
    /// After which failures; after all that may end better by default.
    #[serde(default, skip_serializing_if = "RetryOn::is_any")]
    pub retry_on: RetryOn,
}

/// How long to wait before a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// The same pause each time.
    Fixed(Duration),
    /// `first`, then twice as long each time, never more than `most`.
    Exponential {
        /// The pause before the first retry.
        first: Duration,
        /// The longest pause.
        most: Duration,
    },
}

/// Why a text is no back-off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a back-off: write a duration such as 10s, or exp:FIRST..MOST such as exp:2s..10m"
)]
pub struct BackoffError(String);

impl Default for Backoff {
    fn default() -> Self {
        Self::Exponential { first: Duration::from_secs(1), most: Duration::from_secs(300) }
    }
}

impl FromStr for Backoff {
    type Err = BackoffError;

    fn from_str(text: &str) -> Result<Self, BackoffError> {
        let wrong = || BackoffError(text.to_owned());
        let span = |text: &str| parse_duration(text).map_err(|_| wrong());
        match text.strip_prefix("exp:") {
            None => span(text).map(Self::Fixed),
            Some(range) => {
                let (first, most) = range.split_once("..").ok_or_else(wrong)?;
                let (first, most) = (span(first)?, span(most)?);
                if first > most { Err(wrong()) } else { Ok(Self::Exponential { first, most }) }
            }
        }
    }
}

impl std::fmt::Display for Backoff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(pause) => f.write_str(&format_duration(*pause)),
            Self::Exponential { first, most } => {
                write!(f, "exp:{}..{}", format_duration(*first), format_duration(*most))
            }
        }
    }
}

impl RetryPolicy {
    /// Whether an attempt that ended so, after `used` retries, is followed by another.
    ///
    /// A success and a cancellation are not retried, and a program that can't be found or started is only if
    /// [`RetryPolicy::retry_on`] names the code that stands for it: else the next attempt would end the same way.
    pub fn wants_retry(&self, outcome: &Outcome, used: u32) -> bool {
        let hopeless = match outcome {
            Outcome::Succeeded | Outcome::Cancelled => true,
            Outcome::Failed(Failure::NotFound(_) | Failure::NotExecutable(_)) => {
                self.retry_on.is_any()
            }
            _ => false,
        };
        !hopeless && used < self.retries && self.retry_on.covers(outcome)
    }
}

impl Backoff {
    /// The pause before retry number `nth` (from 1), with up to a quarter taken off by `seed`, so
    /// that jobs which failed together do not all come back together. The same seed gives the same
    /// pauses, each of which tells nothing of the others.
    pub fn pause(&self, nth: u32, seed: u64) -> Duration {
        let full = match *self {
            Self::Fixed(pause) => return pause,
            Self::Exponential { first, most } => {
                first.saturating_mul(2u32.saturating_pow(nth.saturating_sub(1))).min(most)
            }
        };
        let quarter = u64::try_from((full / 4).as_nanos()).unwrap_or(u64::MAX);
        let taken_off = mix(mix(seed) ^ u64::from(nth)) % quarter.saturating_add(1);
        full.saturating_sub(Duration::from_nanos(taken_off))
    }
}

/// The seed of a job's pauses: equal jobs of one store differ, and so do those of one number in two.
pub const fn jitter_seed(store: StoreId, job: JobId) -> u64 {
    mix(store.get()) ^ job.get()
}

/// A well-spread number for each seed (the finaliser of `SplitMix64`, Steele, Lea and Flood 2014).
const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponential_back_off_doubles_up_to_its_most() {
        let backoff: Backoff = "exp:2s..10s".parse().unwrap();
        for (nth, full) in [(1, 2), (2, 4), (3, 8), (4, 10), (40, 10)] {
            let pause = backoff.pause(nth, 7);
            assert!(pause <= Duration::from_secs(full), "{nth}: {pause:?}");
            assert!(pause >= Duration::from_secs(full) * 3 / 4, "{nth}: {pause:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_pause_is_the_same_each_time_and_within_its_quarter(
            store: u64, job in 1..1u64 << 53, nth in 1..40u32, first in 1..100_000u64, more in 0..10_000_000u64,
        ) {
            let seed = jitter_seed(StoreId::new(store), JobId::new(job).unwrap());
            let (first, most) = (Duration::from_millis(first), Duration::from_millis(first + more));
            let backoff = Backoff::Exponential { first, most };
            let full = first.saturating_mul(2u32.saturating_pow(nth - 1)).min(most);
            let pause = backoff.pause(nth, seed);
            proptest::prop_assert!(pause <= full && pause >= full * 3 / 4);
            proptest::prop_assert_eq!(pause, backoff.pause(nth, seed));
            proptest::prop_assert_eq!(Backoff::Fixed(first).pause(nth, seed), first);
        }
    }

    #[test]
    fn jobs_that_failed_together_come_back_spread_evenly() {
        let backoff: Backoff = "exp:1000s..1000s".parse().unwrap();
        for nth in 1..4 {
            let mut tenths = [0; 10];
            for job in 1..=10_000 {
                let seed = jitter_seed(StoreId::new(7), JobId::new(job).unwrap());
                let taken_off = Duration::from_secs(1000).saturating_sub(backoff.pause(nth, seed));
                tenths[(taken_off.as_secs_f64() / 25.0).min(9.0) as usize] += 1;
            }
            // The standard deviation of each is 30.
            assert!(tenths.iter().all(|&jobs| (850..1150).contains(&jobs)), "{nth}: {tenths:?}");
        }
        let of = |store, job| jitter_seed(StoreId::new(store), JobId::new(job).unwrap());
        assert_ne!(backoff.pause(1, of(1, 5)), backoff.pause(1, of(2, 5)), "two stores differ");
        assert_ne!(backoff.pause(2, of(1, 5)), backoff.pause(1, of(1, 6)), "so do neighbours");
    }

    #[test]
    fn a_back_off_that_shrinks_is_refused() {
        assert!("exp:10s..2s".parse::<Backoff>().is_err());
        assert!("exp:10s".parse::<Backoff>().is_err());
    }

    #[test]
    fn what_would_end_the_same_way_is_not_retried() {
        let policy = RetryPolicy { retries: 3, ..RetryPolicy::default() };
        assert!(policy.wants_retry(&Outcome::TimedOut, 0));
        assert!(policy.wants_retry(&Outcome::Failed(Failure::Exit(1)), 2));
        assert!(!policy.wants_retry(&Outcome::Failed(Failure::Exit(1)), 3));
        assert!(!policy.wants_retry(&Outcome::Cancelled, 0));
        assert!(!policy.wants_retry(&Outcome::Failed(Failure::NotFound(String::new())), 0));
    }

    #[test]
    fn a_program_that_is_not_there_yet_is_looked_for_again_if_its_code_is_named() {
        let absent = Outcome::Failed(Failure::NotFound(String::new()));
        let locked = Outcome::Failed(Failure::NotExecutable(String::new()));
        for (on, found) in
            [("127", [true, false]), ("100-126", [false, true]), ("error", [false; 2])]
        {
            let retry_on = on.parse().unwrap();
            let policy = RetryPolicy { retries: 1, retry_on, ..RetryPolicy::default() };
            let wants = [&absent, &locked].map(|outcome| policy.wants_retry(outcome, 0));
            assert_eq!(wants, found, "{on}");
        }
    }
}
