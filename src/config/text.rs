//! Durations and sizes inside the settings: texts such as `30s` and `64M`, or bare numbers.
//!
//! What is written here reads back as the same value, unlike the rounded forms made for people.

use std::time::Duration;

/// Writes a span exactly, in the largest unit that loses nothing.
fn span(value: Duration) -> String {
    let millis = value.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let whole = units.into_iter().find(|(_, length)| millis > 0 && millis.is_multiple_of(*length));
    match whole {
        Some((unit, length)) => format!("{}{unit}", millis / length),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// Writes an amount of bytes exactly, in the largest unit that loses nothing.
fn amount(bytes: u64) -> String {
    let units = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    let whole = units.into_iter().find(|(_, bits)| bytes > 0 && bytes.is_multiple_of(1 << bits));
    whole.map_or(bytes.to_string(), |(unit, bits)| format!("{}{unit}", bytes >> bits))
}

/// A setting as TOML gives it: a text, or a bare number.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl Written {
    fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// `#[serde(with = …)]` for spans of time.
pub(super) mod duration {
    use super::{Duration, Written, span};
    use crate::job::parse_duration;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::config) fn serialize<S: Serializer>(
        value: &Duration,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.serialize_str(&span(*value))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Duration, D::Error> {
        parse_duration(&Written::deserialize(from)?.into_text()).map_err(D::Error::custom)
    }
}

/// `#[serde(with = …)]` for amounts of bytes.
pub(super) mod size {
    use super::{Written, amount};
    use crate::job::parse_size;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    // The signature is serde's.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(in crate::config) fn serialize<S: Serializer>(
        value: &u64,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.serialize_str(&amount(*value))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<u64, D::Error> {
        parse_size(&Written::deserialize(from)?.into_text()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{parse_duration, parse_size};

    #[test]
    fn what_is_written_reads_back_as_the_same_value() {
        for millis in [0, 1, 999, 1_000, 1_500, 90_000, 3_600_000, 3_601_000, 30 * 86_400_000] {
            let value = Duration::from_millis(millis);
            assert_eq!(parse_duration(&span(value)), Ok(value));
        }
        for bytes in [0, 1, 1023, 1024, 1025, 64 << 20, 10 << 30, u64::MAX] {
            assert_eq!(parse_size(&amount(bytes)), Ok(bytes));
        }
        assert_eq!((span(Duration::from_secs(30)), amount(64 << 20)), ("30s".into(), "64M".into()));
    }
}
