//! Moments and spans for people, in their own zone.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::job::format_duration;

/// A moment of the wire in the caller's zone, to the second.
pub(super) fn local(text: &str) -> String {
    text.parse::<Timestamp>().map_or_else(
        |_| text.to_owned(),
        |moment| moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// A moment of the wire in a zone of this name, to the second, with the zone's abbreviation; in the caller's
/// zone where the name is not known.
pub(super) fn in_zone(text: &str, zone: &str) -> String {
    match (text.parse::<Timestamp>(), TimeZone::get(zone)) {
        (Ok(moment), Ok(zone)) => {
            moment.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
        }
        _ => local(text),
    }
}

/// How long after `from` the moment `to` lies, both as on the wire; `to` is now if there is none.
pub(super) fn between(from: &str, to: Option<&str>, now: Timestamp) -> Option<Duration> {
    let from: Timestamp = from.parse().ok()?;
    let to = match to {
        Some(to) => to.parse().ok()?,
        None => now,
    };
    Duration::try_from(to.duration_since(from).max(SignedDuration::ZERO)).ok()
}

/// A span in a few characters, or nothing.
pub(super) fn short(span: Option<Duration>) -> String {
    span.map(format_duration).unwrap_or_default()
}

/// Seconds as a span in a few characters.
pub(super) fn seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map(format_duration).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_never_runs_backwards() {
        let now: Timestamp = "2024-01-01T00:01:00Z".parse().unwrap();
        let at = |from, to| short(between(from, to, now));
        assert_eq!(at("2024-01-01T00:00:00Z", None), "1m00s");
        assert_eq!(at("2024-01-01T00:00:00Z", Some("2024-01-01T00:00:02.5Z")), "2.5s");
        assert_eq!(at("2024-01-01T00:02:00Z", None), "0µs");
        assert_eq!(at("nonsense", None), "");
    }
}
