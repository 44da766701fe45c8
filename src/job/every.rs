//! When something comes again and again: a calendar pattern, or a span of time.
//!
//! Reads the texts and answers which moment comes next. A time zone is given in as a value; looking
//! one up by its name needs files and is the caller's part.
//!
//! # Where clocks are put forward or back
//!
//! A pattern that runs in every hour (its hour field is `*`) *runs through*: it follows real time,
//! comes in both passes of an hour that is there twice, and has nothing to catch up of an hour that
//! is left out. Every other pattern names local times, and each of these comes exactly once a day: one
//! that is left out comes at the first moment after the gap, one that is there twice comes the first
//! time. Several that fall into one gap come once, together.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::duration::parse_duration;
use super::time::WallTime;

/// Names that stand for patterns.
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// Hour fields that leave no hour out.
const EVERY_HOUR: [&str; 3] = ["*", "*/1", "0-23"];

/// The most candidates looked at for one answer: an hour that is there twice has sixty, and a
/// pattern that skips years passes two clock changes in each.
const MOST_LOOKED_AT: u32 = 1_000;

/// When something comes again and again.
#[derive(Clone, Debug)]
pub struct Every {
    text: Box<str>,
    pattern: Pattern,
}

#[derive(Clone, Debug)]
enum Pattern {
    Calendar { cron: Arc<Cron>, runs_through: bool },
    Span(Duration),
}

/// Why a text does not say when something comes again and again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EveryError {
    /// It is nothing of what can be written.
    #[error(
        "{0:?} does not say how often: write five fields as in \"0 3 * * *\" (minute, hour, day, month, weekday), one of @hourly @daily @weekly @monthly @yearly, or a span such as 15m"
    )]
    Unclear(String),
    /// One of its five fields is wrong.
    #[error(
        "{text:?} is no calendar pattern ({problem}): write minute, hour, day, month, weekday, as in \"0 3 * * 1-5\""
    )]
    Pattern {
        /// What was written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The span is too short or too long.
    #[error("every {0} is out of range: give a span of 1s to 366d")]
    Span(String),
}

impl Every {
    const SHORTEST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The span, if it is not a calendar pattern.
    pub const fn span(&self) -> Option<Duration> {
        match self.pattern {
            Pattern::Span(span) => Some(span),
            Pattern::Calendar { .. } => None,
        }
    }

    /// The first moment after `moment`: of a pattern by the calendar of `zone`, of a span so much later.
    /// None if none comes, as for the 30th of February.
    pub fn after(&self, moment: WallTime, zone: &TimeZone) -> Option<WallTime> {
        let from = Timestamp::from_microsecond(moment.0).ok()?;
        let next = match &self.pattern {
            Pattern::Span(span) => return Some(moment.plus(*span)),
            Pattern::Calendar { cron, runs_through: true } => through(cron, from, zone),
            Pattern::Calendar { cron, runs_through: false } => local(cron, from, zone),
        };
        next.map(|next| WallTime(next.as_microsecond()))
    }
}

/// The next moment at which a clock on the wall shows a time of the pattern, in real time.
fn through(cron: &Cron, from: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let (mut from, mut inclusive) = (from, false);
    for _ in 0..MOST_LOOKED_AT {
        let offset = zone.to_offset(from);
        let next = cron.find_next_occurrence(&offset.to_datetime(from), inclusive).ok()?;
        let next = offset.to_timestamp(next).ok()?;
        match zone.following(from).next().map(|change| change.timestamp()) {
            // Beyond the change the clock shows something else: it is looked at from there.
            Some(change) if change <= next => (from, inclusive) = (change, true),
            _ => return Some(next),
        }
    }
    None
}

/// The next moment of a pattern whose local times each come once.
fn local(cron: &Cron, from: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let mut civil: DateTime = from.to_zoned(zone.clone()).datetime();
    for _ in 0..MOST_LOOKED_AT {
        civil = cron.find_next_occurrence(&civil, false).ok()?;
        let moment = once(civil, zone)?;
        if moment > from {
            return Some(moment);
        }
    }
    None
}

/// The one moment that stands for a local time.
fn once(civil: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { before, .. } => {
            // Read with the offset of before, it lies behind the change by as much as into the gap.
            let behind = before.to_timestamp(civil).ok()?;
            zone.preceding(behind).next().map(|change| change.timestamp())
        }
        _ => ambiguous.earlier().ok(),
    }
}

impl FromStr for Every {
    type Err = EveryError;

    fn from_str(text: &str) -> Result<Self, EveryError> {
        let text = text.trim();
        let unclear = || EveryError::Unclear(text.to_owned());
        if let Ok(span) = parse_duration(text) {
            if !(Self::SHORTEST..=Self::LONGEST).contains(&span) {
                return Err(EveryError::Span(text.to_owned()));
            }
            return Ok(Self { text: text.into(), pattern: Pattern::Span(span) });
        }
        let fields = match text.strip_prefix('@') {
            Some(_) => NICKNAMES.iter().find(|(name, _)| *name == text).ok_or_else(unclear)?.1,
            None => text,
        };
        let parts: Vec<&str> = fields.split_whitespace().collect();
        let &[_, hour, ..] = parts.as_slice() else { return Err(unclear()) };
        let wrong = |problem: String| EveryError::Pattern { text: text.to_owned(), problem };
        if parts.len() != 5 {
            return Err(wrong(format!("it has {} fields", parts.len())));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed);
        let parser = parser.build();
        let cron = parser.parse(fields).map_err(|_| wrong(problem_of(parser, &parts)))?;
        let runs_through = EVERY_HOUR.contains(&hour);
        let pattern = Pattern::Calendar { cron: Arc::new(cron), runs_through };
        Ok(Self { text: text.into(), pattern })
    }
}

/// The five fields, and what may stand in each.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12 or jan to dec"),
    ("weekday", "0 to 7 or sun to sat"),
];

/// Which field it is that can't be read.
fn problem_of(parser: CronParser, parts: &[&str]) -> String {
    for (place, ((name, range), part)) in FIELDS.into_iter().zip(parts).enumerate() {
        let mut alone = ["*"; FIELDS.len()];
        alone[place] = part;
        if parser.parse(&alone.join(" ")).is_err() {
            return format!("the {name} {part:?} is none: it is {range}, *, */N, A-B or a list");
        }
    }
    "its fields do not go together".to_owned()
}

impl PartialEq for Every {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Every {}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The clock changes of central Europe: in 2030 on March 31 and October 27.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    /// The moment as the zone's clock shows it.
    fn shown(moment: WallTime, zone: &TimeZone) -> String {
        let stamp = Timestamp::from_microsecond(moment.0).unwrap();
        stamp.to_zoned(zone.clone()).strftime("%m-%d %H:%M%:z").to_string()
    }

    fn moment(text: &str) -> WallTime {
        WallTime(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    fn next(every: &str, from: &str, count: usize) -> Vec<String> {
        let (every, zone): (Every, _) = (every.parse().unwrap(), berlin());
        let mut at = moment(from);
        let mut told = Vec::new();
        for _ in 0..count {
            let Some(next) = every.after(at, &zone) else { break };
            at = next;
            told.push(shown(at, &zone));
        }
        told
    }

    #[test]
    fn patterns_nicknames_and_spans_are_read() {
        let winter = "2030-01-01T00:30:00Z";
        assert_eq!(next("0 3 * * *", winter, 2), ["01-01 03:00+01:00", "01-02 03:00+01:00"]);
        assert_eq!(next("*/20 * * * *", winter, 2), ["01-01 01:40+01:00", "01-01 02:00+01:00"]);
        assert_eq!(next("0 9 * * MON-FRI", "2030-01-04T12:00:00Z", 1), ["01-07 09:00+01:00"]);
        assert_eq!(next("@weekly", winter, 1), ["01-06 00:00+01:00"]);
        assert_eq!(next("@yearly", winter, 1), ["01-01 00:00+01:00"]);
        assert_eq!(next("15m", winter, 2), ["01-01 01:45+01:00", "01-01 02:00+01:00"]);
        assert_eq!(next("0 0 30 2 *", winter, 1), [""; 0]);
    }

    #[test]
    fn a_local_time_in_a_gap_comes_once_at_the_first_moment_after_it() {
        let before = "2030-03-30T12:00:00Z";
        for every in ["30 2 * * *", "0,30 2 * * *", "*/10 2 * * *"] {
            let told = next(every, before, 2);
            assert_eq!(told[0], "03-31 03:00+02:00", "{every}");
            assert!(told[1].starts_with("04-01 02:"), "{every}: {told:?}");
        }
        let twice = next("30 2,14 * * *", before, 3);
        assert_eq!(twice, ["03-30 14:30+01:00", "03-31 03:00+02:00", "03-31 14:30+02:00"]);
    }

    #[test]
    fn a_local_time_that_is_there_twice_comes_once_the_first_time() {
        let before = "2030-10-26T12:00:00Z";
        assert_eq!(next("30 2 * * *", before, 2), ["10-27 02:30+02:00", "10-28 02:30+01:00"]);
        let second_pass = "2030-10-27T01:10:00Z";
        assert_eq!(next("30 2 * * *", second_pass, 1), ["10-28 02:30+01:00"]);
    }

    #[test]
    fn what_runs_in_every_hour_runs_through_both_changes() {
        let gap = next("30 * * * *", "2030-03-31T00:00:00Z", 3);
        assert_eq!(gap, ["03-31 01:30+01:00", "03-31 03:30+02:00", "03-31 04:30+02:00"]);
        let overlap = next("30 * * * *", "2030-10-27T00:00:00Z", 3);
        assert_eq!(overlap, ["10-27 02:30+02:00", "10-27 02:30+01:00", "10-27 03:30+01:00"]);
    }

    #[test]
    fn what_says_no_time_is_refused_with_what_to_write() {
        for text in
            ["", "x", "@reboot", "0 3 * *", "0 0 3 * * *", "61 * * * *", "0 25 * * *", "* *"]
        {
            let error = text.parse::<Every>().unwrap_err();
            assert!(!matches!(error, EveryError::Span(_)), "{text}: {error}");
            assert!(error.to_string().contains("0 3 * *"), "{error}");
        }
        let error = "0 25 * * *".parse::<Every>().unwrap_err().to_string();
        assert!(error.contains("the hour \"25\" is none: it is 0 to 23"), "{error}");
        for text in ["0s", "10ms", "400d"] {
            assert_eq!(text.parse::<Every>(), Err(EveryError::Span(text.to_owned())));
        }
    }

    /// A field as the manual page of cron has it: `*`, `*/n`, or a list of numbers.
    fn field() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            1 => Just(Vec::new()),
            1 => (2..13u8).prop_map(|step| vec![0, step]),
            3 => proptest::collection::btree_set(1..24u8, 1..4)
                .prop_map(|numbers| numbers.into_iter().collect()),
        ]
    }

    fn text_of(field: &[u8]) -> String {
        match field {
            [] => "*".to_owned(),
            [0, step] => format!("*/{step}"),
            numbers => numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(","),
        }
    }

    fn fits(field: &[u8], value: i8) -> bool {
        match field {
            [] => true,
            [0, step] => value.unsigned_abs().is_multiple_of(*step),
            numbers => numbers.contains(&value.unsigned_abs()),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against looking at every minute of four days around a clock change, one after the other.
        #[test]
        fn every_minute_of_a_clock_change_is_as_the_rule_says(
            minute in field(), hour in field(), autumn in any::<bool>(),
        ) {
            let zone = berlin();
            let every: Every =
                format!("{} {} * * *", text_of(&minute), text_of(&hour)).parse().unwrap();
            let begin = moment(if autumn { "2030-10-25T22:00:00Z" } else { "2030-03-29T23:00:00Z" });
            let minutes = 4 * 24 * 60;
            let at = |step: i64| Timestamp::from_microsecond(begin.0 + step * 60_000_000).unwrap();
            let mut expected = BTreeSet::new();
            let mut seen = BTreeSet::new();
            let mut last = at(0).to_zoned(zone.clone()).datetime();
            for step in 1..minutes {
                let now = at(step);
                let civil = now.to_zoned(zone.clone()).datetime();
                let matches = |civil: DateTime| fits(&minute, civil.minute()) && fits(&hour, civil.hour());
                if hour.is_empty() {
                    if matches(civil) {
                        expected.insert(now.as_microsecond());
                    }
                    continue;
                }
                // Every minute that the clock passed since the last one, those left out included.
                let mut passed = last;
                while passed < civil {
                    passed = passed.checked_add(jiff::Span::new().minutes(1)).unwrap();
                    if matches(passed) && seen.insert(passed) {
                        expected.insert(now.as_microsecond());
                    }
                }
                last = civil;
            }
            let mut told = BTreeSet::new();
            let mut from = begin;
            while let Some(next) = every.after(from, &zone) {
                prop_assert!(next > from);
                if next.0 >= at(minutes).as_microsecond() {
                    break;
                }
                told.insert(next.0);
                from = next;
            }
            prop_assert_eq!(told, expected, "{}", every);
        }
    }
}
