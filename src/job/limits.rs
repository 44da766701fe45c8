//! What a job shares with others by name: keys that bound how many run at once, named resources.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::rate::Rate;
use super::spec::{SpecError, check_name};

/// The limits that a job stands under beside those of its queue and lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Keys it counts under. They belong to its owner: two users' keys of one name are two keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyLimit>,
    /// How many elements of its array may run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array: Option<u32>,
    /// How much it takes of each named resource while it runs; of `memory`, bytes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
}

/// A key, and how many jobs with it may run at once beside what the settings say of it. The newest
/// submission of a key decides for all; the smaller of both counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimit {
    /// The key.
    pub key: String,
    /// How many of its jobs may run at once; none where the settings alone decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// What the settings say of a key, or of all whose names begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRule {
    /// The key; a `*` at its end stands for any ending. Each key has a limit of its own.
    pub pattern: String,
    /// How many jobs with one of the keys may run at once.
    pub max: Option<u32>,
    /// How many may start in a span of time.
    pub rate: Option<Rate>,
}

/// Why limits are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// The text is not `KEY=N`.
    #[error(
        "{0:?} is not a limit: write KEY=N, such as host:example.org=4, with N from 1, or a KEY of [limits.keys] in the config"
    )]
    Malformed(String),
    /// The key is no name.
    #[error(transparent)]
    Name(#[from] SpecError),
    /// Nothing could ever run.
    #[error("a limit of 0 on {0:?} would let nothing run: give 1 or more")]
    Zero(String),
    /// More keys than a job may have.
    #[error("{0} keys are too many: a job has at most {most}", most = Limits::MAX_KEYS)]
    TooMany(usize),
    /// More resources than a job may need.
    #[error("{0} resources are too many: a job needs at most {most}", most = Limits::MAX_RESOURCES)]
    TooManyResources(usize),
    /// Nothing of a resource.
    #[error("needing 0 of {0} means nothing: leave it out, or give 1 or more")]
    Nothing(String),
    /// The same key twice.
    #[error("the key {0:?} is given twice")]
    Twice(String),
}

impl Limits {
    /// The most keys of one job: each is looked at when the job starts and when it ends.
    pub const MAX_KEYS: usize = 8;

    /// The most resources that one job needs.
    pub const MAX_RESOURCES: usize = 8;
    /// The resource that `--memory` asks for, in bytes. It is counted, not enforced.
    pub const MEMORY: &'static str = "memory";

    /// Whether there is no limit at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.array.is_none() && self.resources.is_empty()
    }

    /// Checks what the types alone can't.
    pub fn check(&self) -> Result<(), LimitsError> {
        if self.keys.len() > Self::MAX_KEYS {
            return Err(LimitsError::TooMany(self.keys.len()));
        }
        for (index, KeyLimit { key, max }) in self.keys.iter().enumerate() {
            check_name("key", key)?;
            if *max == Some(0) {
                return Err(LimitsError::Zero(key.clone()));
            }
            if self.keys[..index].iter().any(|other| other.key == *key) {
                return Err(LimitsError::Twice(key.clone()));
            }
        }
        if self.resources.len() > Self::MAX_RESOURCES {
            return Err(LimitsError::TooManyResources(self.resources.len()));
        }
        for (name, amount) in &self.resources {
            check_name("resource", name)?;
            if *amount == 0 {
                return Err(LimitsError::Nothing(name.clone()));
            }
        }
        if self.array == Some(0) {
            return Err(LimitsError::Zero("array".to_owned()));
        }
        Ok(())
    }
}

impl FromStr for KeyLimit {
    type Err = LimitsError;

    fn from_str(text: &str) -> Result<Self, LimitsError> {
        let malformed = || LimitsError::Malformed(text.to_owned());
        let (key, max) = match text.split_once('=') {
            None if text.is_empty() => return Err(malformed()),
            None => (text, None),
            Some((key, max)) => (key, Some(max.parse().map_err(|_| malformed())?)),
        };
        check_name("key", key)?;
        if max == Some(0) {
            return Err(LimitsError::Zero(key.to_owned()));
        }
        Ok(Self { key: key.to_owned(), max })
    }
}

impl KeyRule {
    /// The most starts of a key's rate: there may be many keys, and each remembers its starts.
    pub const MOST_STARTS: u32 = 1_000;

    /// Whether this is about the key.
    pub fn covers(&self, key: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(start) => key.starts_with(start),
            None => key == self.pattern,
        }
    }

    /// The rule for a key: its own, else the one that says most of how it begins.
    pub fn of<'a>(rules: impl IntoIterator<Item = &'a Self>, key: &str) -> Option<&'a Self> {
        let covering = rules.into_iter().filter(|rule| rule.covers(key));
        covering.max_by_key(|rule| (!rule.pattern.ends_with('*'), rule.pattern.len()))
    }

    /// Checks what the types alone can't.
    pub fn check_pattern(pattern: &str) -> Result<(), SpecError> {
        match pattern.strip_suffix('*') {
            Some("") => Ok(()),
            Some(start) => check_name("key", start),
            None => check_name("key", pattern),
        }
    }
}

impl fmt::Display for KeyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max {
            Some(max) => write!(f, "{}={max}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_is_written() {
        let limit: KeyLimit = "host:example.org=4".parse().unwrap();
        assert_eq!(limit, KeyLimit { key: "host:example.org".to_owned(), max: Some(4) });
        assert_eq!(limit.to_string().parse(), Ok(limit));
        let bare = KeyLimit { key: "x".to_owned(), max: None };
        assert_eq!((bare.to_string().as_str(), "x".parse()), ("x", Ok(bare.clone())));
        for bad in ["", "x=", "=4", "x=-1", "x=0", "a b=1", "x=4=5"] {
            assert!(bad.parse::<KeyLimit>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_rule_that_says_most_of_a_key_is_its_own() {
        let rule = |pattern: &str| KeyRule { pattern: pattern.to_owned(), max: None, rate: None };
        let rules = ["*", "host:*", "host:a*", "host:a.org", "host:b.org*"].map(rule);
        let found = |key| KeyRule::of(&rules, key).map(|rule| rule.pattern.as_str());
        assert_eq!(found("host:a.org"), Some("host:a.org"));
        assert_eq!(found("host:a.net"), Some("host:a*"));
        assert_eq!(found("host:c"), Some("host:*"));
        assert_eq!(found("db"), Some("*"));
        assert_eq!(KeyRule::of(&rules[1..], "db"), None);
        for bad in ["", "a b", "a*b", "**", "-x*"] {
            assert!(KeyRule::check_pattern(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_few_and_each_is_given_once() {
        let key = |key: &str| KeyLimit { key: key.to_owned(), max: Some(1) };
        let limits = |keys| Limits { keys, ..Limits::default() }.check();
        assert!(limits(vec![key("a"), key("b")]).is_ok());
        assert_eq!(limits(vec![key("a"), key("a")]), Err(LimitsError::Twice("a".to_owned())));
        let many = (0..9).map(|number| key(&number.to_string())).collect();
        assert_eq!(limits(many), Err(LimitsError::TooMany(9)));
    }
}
