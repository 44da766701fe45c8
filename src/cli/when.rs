//! Moments as people write them, read in their own zone.
//!
//! Where the clocks are put forward, a time that they skip is taken as much later as they skip; where they
//! are put back, a time that comes twice is the first of the two.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{Timestamp, ToSpan, Zoned};

/// Why a text is no moment to start at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WhenError {
    /// It says no moment.
    #[error(
        "{0:?} is no time: write 17:30, tomorrow 09:00, friday 8:15, 2030-01-31 09:00 or RFC 3339, as in 2030-01-31T09:00:00+01:00"
    )]
    Unclear(String),
    /// It has passed.
    #[error("{text:?} is past: it was at {moment}{hint}")]
    Past {
        /// What was written.
        text: String,
        /// When that was.
        moment: String,
        /// What may have been meant.
        hint: String,
    },
}

/// The moment of a text, by the clock and in the zone of `now`, as it goes over the wire.
pub(super) fn moment(text: &str, now: &Zoned) -> Result<String, WhenError> {
    let unclear = || WhenError::Unclear(text.to_owned());
    let moment = read(text.trim(), now).ok_or_else(unclear)?;
    if moment < now.timestamp() {
        let bare = time(text.trim()).is_some();
        return Err(WhenError::Past {
            text: text.to_owned(),
            moment: moment
                .to_zoned(now.time_zone().clone())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string(),
            hint: if bare {
                format!("; did you mean \"tomorrow {}\"?", text.trim())
            } else {
                String::new()
            },
        });
    }
    Ok(format!("{moment:.6}"))
}

fn read(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    if let Ok(zoned) = text.parse::<Zoned>() {
        return Some(zoned.timestamp());
    }
    let local = civil(text, now.date())?;
    // Compatible with what calendars do; see above.
    local.to_zoned(now.time_zone().clone()).ok().map(|zoned| zoned.timestamp())
}

fn civil(text: &str, today: Date) -> Option<DateTime> {
    if let Some(time) = time(text) {
        return Some(today.to_datetime(time));
    }
    let (day, rest) = text.split_once([' ', 'T'])?;
    Some(date(day, today)?.to_datetime(time(rest.trim())?))
}

fn date(text: &str, today: Date) -> Option<Date> {
    let days = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let word = text.to_lowercase();
    match word.as_str() {
        "today" => Some(today),
        "tomorrow" => today.checked_add(1.day()).ok(),
        _ => match days.iter().find(|(name, _)| *name == word) {
            Some((_, day)) => today.nth_weekday(1, *day).ok(),
            None => text.parse().ok(),
        },
    }
}

/// `H:MM` or `H:MM:SS`.
fn time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("00"));
    let number = |part: &str, least: usize| {
        let digits = (least..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<i8>().ok()).flatten()
    };
    let (hour, minute, second) = (number(hour, 1)?, number(minute, 2)?, number(second, 2)?);
    parts.next().is_none().then(|| Time::new(hour, minute, second, 0).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    /// Noon of a Wednesday in a zone with the clock changes of central Europe.
    fn noon(date: &str) -> Zoned {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        format!("{date}T12:00:00").parse::<DateTime>().unwrap().to_zoned(zone).unwrap()
    }

    fn at(text: &str) -> String {
        moment(text, &noon("2030-01-30")).unwrap()
    }

    #[test]
    fn times_are_read_in_the_callers_zone() {
        for (text, utc) in [
            ("17:30", "2030-01-30T16:30:00.000000Z"),
            ("today 17:30:05", "2030-01-30T16:30:05.000000Z"),
            ("tomorrow 09:00", "2030-01-31T08:00:00.000000Z"),
            ("Friday 8:15", "2030-02-01T07:15:00.000000Z"),
            ("wednesday 13:00", "2030-02-06T12:00:00.000000Z"),
            ("2030-07-01 09:00", "2030-07-01T07:00:00.000000Z"),
            ("2030-07-01T09:00", "2030-07-01T07:00:00.000000Z"),
            ("2030-07-01T09:00:00Z", "2030-07-01T09:00:00.000000Z"),
            ("2030-07-01T09:00:00.5-02:00", "2030-07-01T11:00:00.500000Z"),
        ] {
            assert_eq!(at(text), utc, "{text}");
        }
    }

    #[test]
    fn what_is_past_is_refused_and_what_was_meant_is_told() {
        let error = moment("11:59", &noon("2030-01-30")).unwrap_err().to_string();
        assert!(
            error.contains("2030-01-30 11:59:00") && error.contains("tomorrow 11:59"),
            "{error}"
        );
        for text in ["2029-12-31T00:00:00Z", "today 03:00", "2020-01-01 10:00"] {
            let error = moment(text, &noon("2030-01-30")).unwrap_err();
            assert!(matches!(error, WhenError::Past { .. }), "{text}");
        }
    }

    #[test]
    fn what_says_no_moment_is_refused() {
        for text in
            ["", "soon", "25:00", "9", "tomorrow", "09:60", "9:5", "2030-13-01 09:00", "1:2:3:4"]
        {
            let error = moment(text, &noon("2030-01-30")).unwrap_err();
            assert!(matches!(error, WhenError::Unclear(_)), "{text}");
        }
    }

    #[test]
    fn a_skipped_time_is_taken_later_and_one_that_comes_twice_is_the_first() {
        let skipped = moment("tomorrow 02:30", &noon("2030-03-30")).unwrap();
        assert_eq!(skipped, "2030-03-31T01:30:00.000000Z", "which is 03:30 by the new time");
        let twice = moment("tomorrow 02:30", &noon("2030-10-26")).unwrap();
        assert_eq!(twice, "2030-10-27T00:30:00.000000Z", "which is 02:30 by the old time");
    }
}
