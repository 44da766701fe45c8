//! How a job uses the machine, and where it therefore runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a job uses the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Mostly waits for something else.
    Io,
    /// Keeps cores busy.
    Cpu,
    /// Handler code that waits inside a call that can't be awaited.
    Blocking,
    /// The daemon watches and decides.
    #[default]
    Auto,
}

/// Where attempts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Tokio tasks: waiting costs almost nothing.
    Async,
    /// The work-stealing threads and their core permits.
    Pool,
}

/// A name that is none of those that were possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {given:?}: use one of {known}")]
pub struct UnknownName {
    /// What was named.
    pub what: &'static str,
    /// The name as given.
    pub given: String,
    /// The names that exist, separated by commas.
    pub known: &'static str,
}

impl Class {
    /// The class's name on the wire and the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Cpu => "cpu",
            Self::Blocking => "blocking",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Class {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Io, Self::Cpu, Self::Blocking, Self::Auto]
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or_else(|| UnknownName {
                what: "class",
                given: text.to_owned(),
                known: "io, cpu, blocking, auto",
            })
    }
}

impl Lane {
    /// The lane's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Pool => "pool",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Lane {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Async, Self::Pool].into_iter().find(|lane| lane.name() == text).ok_or_else(|| {
            UnknownName { what: "lane", given: text.to_owned(), known: "async, pool" }
        })
    }
}
