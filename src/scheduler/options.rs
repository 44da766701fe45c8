//! What can be tuned.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::job::{DurationError, format_duration, parse_duration};

/// The scheduler's settings; `Default` shows them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How many jobs of all classes together may run at once; none by default.
    pub max_running: Option<u32>,
    /// How long a job waits until it counts as one priority point higher.
    pub aging: Aging,
    /// How many smaller jobs may overtake one that needs more than is free, before what gets free
    /// is kept for it.
    pub backfill: u32,
}

/// How long a job waits until it counts as one priority point higher.
///
/// All waiting jobs rise alike, so this never changes the order of two jobs that are both there: it
/// says by how much earlier a job must have come to go before one of higher priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aging(Option<Duration>);

/// Why a setting is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Nothing could ever run.
    #[error(
        "max_running = 0 would let nothing run: leave it out for no limit, or pause the queues"
    )]
    NothingRuns,
}

/// Why a text or number is no ageing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgingError {
    /// It is neither a duration nor `off`.
    #[error("{0}, or \"off\" for none")]
    Duration(#[from] DurationError),
    /// Nothing counts as long.
    #[error("an ageing of 0 would let age alone decide: give a duration, or \"off\" for none")]
    Zero,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_running: None, aging: Aging::default(), backfill: 16 }
    }
}

impl Default for Aging {
    /// An hour: a priority of ten outweighs what was submitted in the last ten hours, and no more.
    fn default() -> Self {
        Self(Some(Duration::from_secs(3600)))
    }
}

impl Options {
    /// Checks what the types alone can't.
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.max_running == Some(0) { Err(OptionsError::NothingRuns) } else { Ok(()) }
    }
}

impl Aging {
    /// Priority alone decides; low priority may wait for ever.
    pub const OFF: Self = Self(None);

    /// One point for each such span. Refuses a span of nothing.
    pub fn every(span: Duration) -> Result<Self, AgingError> {
        if span.is_zero() { Err(AgingError::Zero) } else { Ok(Self(Some(span))) }
    }

    /// Microseconds for a point; at least one, since the order knows nothing finer.
    pub(super) fn micros_per_point(self) -> Option<i64> {
        self.0.map(|span| i64::try_from(span.as_micros()).unwrap_or(i64::MAX).max(1))
    }
}

impl FromStr for Aging {
    type Err = AgingError;

    fn from_str(text: &str) -> Result<Self, AgingError> {
        if text == "off" { Ok(Self::OFF) } else { Self::every(parse_duration(text)?) }
    }
}

impl std::fmt::Display for Aging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(span) => f.write_str(&format_duration(span)),
        }
    }
}

impl Serialize for Aging {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Aging {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a duration such as 1h, or \"off\"")]
        enum Written {
            Text(String),
            Seconds(u64),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => text.parse(),
            Written::Seconds(seconds) => Self::every(Duration::from_secs(seconds)),
        }
        .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ageing_reads_back_as_it_was_written() {
        for text in ["off", "1h", "90s"] {
            let aging: Aging = text.parse().unwrap();
            assert_eq!(aging.to_string().parse(), Ok(aging), "{text}");
        }
        assert_eq!("0s".parse::<Aging>(), Err(AgingError::Zero));
        assert!("soon".parse::<Aging>().is_err());
    }

    #[test]
    fn unknown_options_are_refused_and_absent_ones_take_their_default() {
        let read = serde_json::from_str::<Options>;
        assert_eq!(read("{}").unwrap(), Options::default());
        assert_eq!(read(r#"{"aging": 60}"#).unwrap().aging, "60s".parse().unwrap());
        assert!(read(r#"{"agign": "1h"}"#).is_err());
        assert!(read(r#"{"max_running": 0}"#).unwrap().check().is_err());
    }
}
