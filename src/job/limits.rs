//! What a job shares with others by name: keys that bound how many run at once, named resources.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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

/// At most so many jobs with this key run at once. The newest submission of a key decides for all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimit {
    /// The key.
    pub key: String,
    /// How many of its jobs may run at once.
    pub max: u32,
}

/// Why limits are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// The text is not `KEY=N`.
    #[error("{0:?} is not a limit: write KEY=N, such as host:example.org=4, with N from 1")]
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
            if *max == 0 {
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
        let (key, max) = text.split_once('=').ok_or_else(malformed)?;
        let max = max.parse().map_err(|_| malformed())?;
        check_name("key", key)?;
        if max == 0 {
            Err(LimitsError::Zero(key.to_owned()))
        } else {
            Ok(Self { key: key.to_owned(), max })
        }
    }
}

impl fmt::Display for KeyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_is_written() {
        let limit: KeyLimit = "host:example.org=4".parse().unwrap();
        assert_eq!(limit, KeyLimit { key: "host:example.org".to_owned(), max: 4 });
        assert_eq!(limit.to_string().parse(), Ok(limit));
        for bad in ["", "x", "x=", "=4", "x=-1", "x=0", "a b=1", "x=4=5"] {
            assert!(bad.parse::<KeyLimit>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_few_and_each_is_given_once() {
        let key = |key: &str| KeyLimit { key: key.to_owned(), max: 1 };
        let limits = |keys| Limits { keys, ..Limits::default() }.check();
        assert!(limits(vec![key("a"), key("b")]).is_ok());
        assert_eq!(limits(vec![key("a"), key("a")]), Err(LimitsError::Twice("a".to_owned())));
        let many = (0..9).map(|number| key(&number.to_string())).collect();
        assert_eq!(limits(many), Err(LimitsError::TooMany(9)));
    }
}
