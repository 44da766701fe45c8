//! How many starts there may be in a span of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::as_text::as_text;
use super::duration::parse_duration;

/// At most so many starts in any span of this length: a sliding window, not a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    starts: u32,
    per: Duration,
}

/// Why a text is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a rate: write STARTS/PERIOD, such as 100/1m, with 1 to {most} starts and a period of 1ms to 366d", most = Rate::MOST_STARTS)]
pub struct RateError(String);

impl Rate {
    /// The most starts of a rate: the moment of each is remembered.
    pub const MOST_STARTS: u32 = 10_000;
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

    /// So many starts in any span of this length, if both are in range. The span counts in whole
    /// milliseconds.
    pub fn new(starts: u32, per: Duration) -> Option<Self> {
        let per = Duration::from_millis(u64::try_from(per.as_millis()).ok()?);
        let good = (1..=Self::MOST_STARTS).contains(&starts)
            && (Duration::from_millis(1)..=Self::LONGEST).contains(&per);
        good.then_some(Self { starts, per })
    }

    /// How many starts.
    pub const fn starts(self) -> u32 {
        self.starts
    }

    /// In any span of this length.
    pub const fn per(self) -> Duration {
        self.per
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let read = || {
            let (starts, per) = text.split_once('/')?;
            Self::new(starts.trim().parse().ok()?, parse_duration(per.trim()).ok()?)
        };
        read().ok_or_else(|| RateError(text.to_owned()))
    }
}

impl fmt::Display for Rate {
    /// Exactly, in the largest unit that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.per.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
        let whole = units.into_iter().find(|(_, length)| millis.is_multiple_of(*length));
        let (unit, length) = whole.unwrap_or(("ms", 1));
        write!(f, "{}/{}{unit}", self.starts, millis / length)
    }
}

as_text!(Rate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_back_as_it_is_written() {
        for (text, written) in
            [("100/1m", "100/1m"), ("5/90", "5/90s"), ("1/24h", "1/1d"), ("3/250ms", "3/250ms")]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.to_string(), written);
            assert_eq!(written.parse(), Ok(rate));
        }
        for bad in ["", "100", "/1m", "0/1m", "1/0s", "10001/1s", "1/1000d", "x/1s", "1/-1s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad:?}");
        }
    }
}
