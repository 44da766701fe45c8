//! Identities: of a job, of a store, of one attempt.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A job's number: increasing, never used again, short enough to type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(u64);

/// Why a text or number is no job id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not a whole number.
    #[error("{0:?} is not a job id: job ids are whole numbers, such as 12")]
    NotANumber(String),
    /// Zero, or beyond [`JobId::MAX`].
    #[error("{0} is not a job id: job ids go from 1 to {max}", max = JobId::MAX)]
    OutOfRange(u64),
    /// The text is not `STORE-LIFE-COUNTER`.
    #[error("{0:?} is not an attempt token")]
    NotAToken(String),
}

impl JobId {
    /// The first id of every store.
    pub const FIRST: Self = Self(1);

    /// The largest id: every JSON reader can hold it exactly (2^53 - 1).
    pub const MAX: u64 = (1 << 53) - 1;

    /// Takes a number from 1 to [`JobId::MAX`].
    pub fn new(number: u64) -> Result<Self, IdError> {
        if (1..=Self::MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(IdError::OutOfRange(number))
        }
    }

    /// The plain number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id that lies `steps` after this one; saturates at [`JobId::MAX`].
    #[must_use]
    pub fn after(self, steps: u64) -> Self {
        Self(self.0.saturating_add(steps).min(Self::MAX))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let number = text.parse().map_err(|_| IdError::NotANumber(text.to_owned()))?;
        Self::new(number)
    }
}

/// Which store a job lives in: random, made once when the store is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreId(u64);

impl StoreId {
    /// Wraps the random number that names the store.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The plain number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The name of one attempt, which no other attempt ever had.
///
/// The life number is raised and synced at every daemon start, so a counter that restarts from zero
/// cannot meet an old token. Written as `STORE-LIFE-COUNTER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptToken {
    /// The store that the job lives in.
    pub store: StoreId,
    /// The daemon start, counted over the store's whole existence, that made the token.
    pub life: u64,
    /// The attempt, counted within that life.
    pub counter: u64,
}

impl fmt::Display for AttemptToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.store, self.life, self.counter)
    }
}

impl FromStr for AttemptToken {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::NotAToken(text.to_owned());
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or_else(wrong);
        let store = u64::from_str_radix(part()?, 16).map_err(|_| wrong())?;
        let life = part()?.parse().map_err(|_| wrong())?;
        let counter = part()?.parse().map_err(|_| wrong())?;
        Ok(Self { store: StoreId(store), life, counter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        let token = AttemptToken { store: StoreId::new(0xab), life: 3, counter: 120 };
        assert_eq!(token.to_string(), "00000000000000ab-3-120");
        assert_eq!(token.to_string().parse(), Ok(token));
        assert!("ab-3".parse::<AttemptToken>().is_err());
    }

    #[test]
    fn an_id_is_at_least_one_and_exact_in_json() {
        assert_eq!("0".parse::<JobId>(), Err(IdError::OutOfRange(0)));
        assert_eq!("9007199254740991".parse::<JobId>().map(JobId::get), Ok(JobId::MAX));
        assert!("9007199254740992".parse::<JobId>().is_err());
        assert!("12x".parse::<JobId>().is_err());
    }
}
