//! The names of all settings, what each takes, and which of them a running daemon can change.

use std::fmt;
use std::ops::RangeInclusive;

use toml_edit::Value;

use super::nearest::nearest;
use crate::job::{KeyRule, Rate, parse_duration, parse_size};

/// A setting.
#[derive(Clone, Debug)]
pub struct Key {
    /// Section and name; a `*` stands for a name that the user chooses.
    pub name: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// Whether a running daemon can change it; otherwise it needs a restart.
    pub live: bool,
}

/// What a setting takes.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A whole number in a range.
    Count(RangeInclusive<i64>),
    /// True or false.
    Flag,
    /// A span of time, not shorter than so many milliseconds.
    Duration {
        /// The shortest that is taken, in milliseconds.
        least_ms: u64,
        /// Whether `off` is taken too.
        or_off: bool,
    },
    /// An amount of bytes, not smaller than this.
    Size {
        /// The smallest that is taken.
        least: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A level of logging, or levels by module.
    Log,
    /// So many starts in a span of time.
    Rate,
    /// So many starts in a span of time, of each of many keys.
    KeyRate,
    /// A list of different names.
    Names,
    /// The name of an environment variable.
    Variable,
}

/// Why a value does not fit a [`Shape`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is of another type.
    Type,
    /// It is of the right type, and can't be, for this reason.
    Value(String),
}

const fn live(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, live: true }
}

const fn fixed(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, live: false }
}

/// The most that fits a count of the settings.
const MOST: i64 = u32::MAX as i64;

/// All settings, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    live("lanes.cpu", Shape::Count(0..=4096)),
    live("lanes.io", Shape::Count(1..=1_000_000)),
    live("lanes.blocking", Shape::Count(0..=4096)),
    fixed("pool.nice", Shape::Count(0..=19)),
    fixed("pool.watch", Shape::Flag),
    live("scheduler.max_running", Shape::Count(1..=MOST)),
    fixed("scheduler.aging", Shape::Duration { least_ms: 1, or_off: true }),
    fixed("scheduler.backfill", Shape::Count(0..=MOST)),
    fixed("store.wal_limit", Shape::Size { least: 1 << 20 }),
    live("store.keep_days", Shape::Count(0..=36_500)),
    live("store.keep_jobs", Shape::Count(0..=MOST)),
    live("output.job_limit", Shape::Size { least: 1 << 20 }),
    live("output.hard_limit", Shape::Size { least: 1 << 20 }),
    live("output.total_limit", Shape::Size { least: 1 << 20 }),
    live("output.free_floor", Shape::Size { least: 0 }),
    live("command.after_crash", Shape::Choice(&["rerun", "interrupt"])),
    live("command.env", Shape::Choice(&["inherit", "list"])),
    live("command.grace", Shape::Duration { least_ms: 0, or_off: false }),
    fixed("command.spawners", Shape::Count(0..=256)),
    fixed("http.connect_timeout", Shape::Duration { least_ms: 1, or_off: false }),
    fixed("http.idle_timeout", Shape::Duration { least_ms: 1, or_off: false }),
    fixed("http.dns_lookups", Shape::Count(1..=512)),
    fixed("http.idle_connections_per_host", Shape::Count(0..=MOST)),
    fixed("http.body_limit", Shape::Size { least: 0 }),
    fixed("http.redirects", Shape::Count(0..=100)),
    live("daemon.drain_timeout", Shape::Duration { least_ms: 0, or_off: false }),
    live("daemon.restart_timeout", Shape::Duration { least_ms: 0, or_off: false }),
    live("daemon.max_connections", Shape::Count(1..=1_000_000)),
    fixed("daemon.log", Shape::Log),
    live("queues.*.max", Shape::Count(0..=MOST)),
    live("queues.*.weight", Shape::Count(1..=1_000_000)),
    live("queues.*.rate", Shape::Rate),
    live("resources.*.capacity", Shape::Size { least: 0 }),
    live("resources.*.units", Shape::Names),
    live("resources.*.env", Shape::Variable),
    live("limits.keys.*.max", Shape::Count(0..=MOST)),
    live("limits.keys.*.rate", Shape::KeyRate),
];

impl Key {
    /// The setting of this name; names below `*` match whatever the user chose.
    pub fn find(path: &[&str]) -> Option<&'static Self> {
        KEYS.iter().find(|key| {
            let parts: Vec<&str> = key.name.split('.').collect();
            parts.len() == path.len() && begins(&parts, path)
        })
    }

    /// Whether a section of this name holds settings.
    pub(super) fn is_section(path: &[&str]) -> bool {
        KEYS.iter().any(|key| {
            let parts: Vec<&str> = key.name.split('.').collect();
            parts.len() > path.len() && begins(&parts, path)
        })
    }

    /// The setting or section that a wrong name was most likely meant to be.
    pub(super) fn meant(path: &[&str], section: bool) -> Option<String> {
        if let Some((last, above)) = path.split_last().filter(|(_, above)| above.len() > 1) {
            let name = nearest(last, &Self::names_below(above))?;
            return Some(format!("{}.{name}", above.join(".")));
        }
        let names: Vec<&'static str> = if section {
            KEYS.iter().filter_map(|key| key.name.split('.').next()).collect()
        } else {
            KEYS.iter().map(|key| key.name).collect()
        };
        nearest(&path.join("."), &names).map(str::to_owned)
    }

    /// The last parts of the settings in a section whose name is partly the user's.
    fn names_below(section: &[&str]) -> Vec<&'static str> {
        let all = KEYS.iter().map(|key| key.name.split('.').collect::<Vec<_>>());
        all.filter(|parts| parts.len() == section.len() + 1 && begins(parts, section))
            .filter_map(|parts| parts.last().copied())
            .collect()
    }
}

/// Whether the key's first parts are the path's.
fn begins(parts: &[&str], path: &[&str]) -> bool {
    parts.iter().zip(path).all(|(part, name)| *part == "*" || part == name)
}

impl Shape {
    /// Checks a value against the shape.
    pub(super) fn check(&self, value: &Value) -> Result<(), Misfit> {
        match (self, value) {
            (Self::Count(range), Value::Integer(number)) => in_range(*number.value(), range),
            (Self::Duration { least_ms, or_off }, _) => check_duration(value, *least_ms, *or_off),
            (Self::Size { least }, _) => check_size(value, *least),
            (Self::Choice(words), Value::String(text)) => one_of(text.value(), words),
            (Self::Log, Value::String(text)) => check_log(text.value()),
            (Self::Rate, Value::String(text)) => {
                let rate = text.value().parse::<Rate>();
                rate.map(drop).map_err(|error| Misfit::Value(error.to_string()))
            }
            (Self::KeyRate, Value::String(text)) => check_key_rate(text.value()),
            (Self::Names, Value::Array(names)) => check_names(names),
            (Self::Variable, Value::String(text)) => check_variable(text.value()),
            (Self::Flag, Value::Boolean(_)) => Ok(()),
            _ => Err(Misfit::Type),
        }
    }

    /// Reads a value from a place that has no types of its own, such as a variable: as TOML where
    /// that fits, else as a bare text.
    pub(super) fn read(&self, text: &str) -> Result<Value, Misfit> {
        let bare = Value::from(text.trim());
        let parsed = text.trim().parse::<Value>().ok().filter(|value| !value.is_inline_table());
        let Some(value) = parsed else {
            return self.check(&bare).map(|()| bare);
        };
        match self.check(&value) {
            Ok(()) => Ok(value),
            Err(misfit) => self.check(&bare).map(|()| bare).map_err(|_| misfit),
        }
    }
}

fn in_range(number: i64, range: &RangeInclusive<i64>) -> Result<(), Misfit> {
    if range.contains(&number) {
        return Ok(());
    }
    Err(Misfit::Value(format!("give {} to {}", range.start(), range.end())))
}

fn one_of(text: &str, words: &[&str]) -> Result<(), Misfit> {
    if words.contains(&text) {
        return Ok(());
    }
    Err(Misfit::Value(format!("give {}", words.join(" or "))))
}

/// A bare word would be taken for a module by the filter, and a misspelt level for silence.
fn check_log(text: &str) -> Result<(), Misfit> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for part in text.split(',').map(str::trim) {
        let bare = !part.contains(['=', '[']);
        if bare && !LEVELS.contains(&part.to_ascii_lowercase().as_str()) {
            let levels = LEVELS.join(", ");
            return Err(Misfit::Value(format!(
                "{part:?} is no level: give {levels}, or module=level"
            )));
        }
    }
    let parsed = tracing_subscriber::EnvFilter::try_new(text);
    parsed.map(drop).map_err(|error| Misfit::Value(error.to_string()))
}

/// The most units of one resource: each is looked at when a job takes some.
const MOST_UNITS: usize = 1_024;

fn check_names(names: &toml_edit::Array) -> Result<(), Misfit> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        let name = name.as_str().ok_or(Misfit::Type)?;
        if name.is_empty() || name.contains([',', '\0']) {
            return Err(Misfit::Value(format!("{name:?} is no name: it is empty or has a comma")));
        }
        if !seen.insert(name) {
            return Err(Misfit::Value(format!("{name:?} is there twice")));
        }
    }
    if seen.len() > MOST_UNITS {
        return Err(Misfit::Value(format!("give {MOST_UNITS} names at most")));
    }
    Ok(())
}

fn check_key_rate(text: &str) -> Result<(), Misfit> {
    let rate = text.parse::<Rate>().map_err(|error| Misfit::Value(error.to_string()))?;
    if rate.starts() > KeyRule::MOST_STARTS {
        let most = KeyRule::MOST_STARTS;
        return Err(Misfit::Value(format!(
            "a key starts {most} jobs at most in a span: give a shorter span, such as 100/1s"
        )));
    }
    Ok(())
}

fn check_variable(text: &str) -> Result<(), Misfit> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !text.is_empty() && text.chars().all(word) && !text.starts_with(|c: char| c.is_ascii_digit())
    {
        return Ok(());
    }
    Err(Misfit::Value("a variable's name has letters, digits and _ alone".to_owned()))
}

/// Durations and sizes are texts, or bare numbers of seconds and bytes.
fn spelled(value: &Value) -> Result<String, Misfit> {
    match value {
        Value::String(text) => Ok(text.value().clone()),
        Value::Integer(number) => Ok(number.value().to_string()),
        _ => Err(Misfit::Type),
    }
}

fn check_duration(value: &Value, least_ms: u64, or_off: bool) -> Result<(), Misfit> {
    let text = spelled(value)?;
    if or_off && text == "off" {
        return Ok(());
    }
    let span = parse_duration(&text).map_err(|error| Misfit::Value(error.to_string()))?;
    if span.as_millis() < u128::from(least_ms) {
        return Err(Misfit::Value(format!("the least is {least_ms}ms")));
    }
    Ok(())
}

fn check_size(value: &Value, least: u64) -> Result<(), Misfit> {
    let bytes = parse_size(&spelled(value)?).map_err(|error| Misfit::Value(error.to_string()))?;
    if bytes < least {
        return Err(Misfit::Value(format!("the least is {}", crate::job::format_size(least))));
    }
    Ok(())
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(range) => {
                write!(f, "a whole number from {} to {}", range.start(), range.end())
            }
            Self::Flag => f.write_str("true or false"),
            Self::Duration { or_off: true, .. } => {
                f.write_str("a duration such as \"1h\", or \"off\"")
            }
            Self::Duration { .. } => f.write_str("a duration such as \"30s\""),
            Self::Size { .. } => f.write_str("a size such as \"64M\""),
            Self::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                f.write_str(&quoted.join(" or "))
            }
            Self::Rate | Self::KeyRate => f.write_str("a rate such as \"100/1m\""),
            Self::Names => f.write_str("a list of texts such as [\"0\", \"1\"]"),
            Self::Variable => f.write_str("a text such as \"CUDA_VISIBLE_DEVICES\""),
            Self::Log => f.write_str("a text such as \"info\" or \"warn,twolane=debug\""),
        }
    }
}
