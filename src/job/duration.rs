//! Spans of time as people write them: `90s`, `2h30m`, `1.5s`, or a bare number of seconds.

use std::time::Duration;

/// Why a text is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It does not follow the form.
    #[error(
        "{0:?} is not a duration: write seconds, or numbers with units such as 90s, 2h30m, 500ms, 1d"
    )]
    Malformed(String),
    /// It is beyond what can be counted.
    #[error("{0:?} is too long a duration: the most is 100 years")]
    TooLong(String),
}

/// The longest span that is taken: enough for any job, small enough to add to any clock.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Units and their length in nanoseconds.
const UNITS: [(&str, f64); 8] = [
    ("ms", 1e6),
    ("us", 1e3),
    ("µs", 1e3),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3_600e9),
    ("d", 86_400e9),
    ("w", 604_800e9),
];

/// Reads a span: a bare number is seconds, otherwise numbers with units one after the other.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed(text.to_owned());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| malformed())?;
        rest = &rest[digits..];
        let letters =
            rest.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(rest.len());
        let unit = &rest[..letters];
        let bare = unit.is_empty() && digits == text.trim().len();
        let length = if bare { 1e9 } else { unit_nanos(unit).ok_or_else(malformed)? };
        nanos += number * length;
        rest = rest[letters..].trim_start();
    }
    if nanos > LONGEST.as_nanos() as f64 {
        return Err(DurationError::TooLong(text.to_owned()));
    }
    Ok(Duration::from_nanos(nanos.round() as u64))
}

fn unit_nanos(unit: &str) -> Option<f64> {
    UNITS.into_iter().find(|(name, _)| *name == unit).map(|(_, nanos)| nanos)
}

/// Writes a span for people, to about three figures: `850ms`, `2.5s`, `1h02m`, `3d4h`.
pub fn format_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.as_millis() == 0 => format!("{}µs", span.as_micros()),
        0 => format!("{}ms", span.as_millis()),
        1..60 => format!("{:.1}s", (span.as_millis() / 100) as f64 / 10.0).replace(".0s", "s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_s_spellings_are_read() {
        for (text, millis) in [
            ("90", 90_000),
            ("0.25", 250),
            ("90s", 90_000),
            ("2h30m", 9_000_000),
            ("1h 5s", 3_605_000),
            ("500ms", 500),
            ("1.5s", 1_500),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "s", "5x", "1h30", "-5s", "1..5s", "nan", "1e9s", "5 s s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(matches!(parse_duration("9999999999999"), Err(DurationError::TooLong(_))));
    }

    #[test]
    fn spans_are_written_short() {
        for (millis, text) in [(850, "850ms"), (2_500, "2.5s"), (3_000, "3s"), (3_720_000, "1h02m")]
        {
            assert_eq!(format_duration(Duration::from_millis(millis)), text);
        }
    }
}
