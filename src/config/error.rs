//! What is wrong with a setting, and where it stands.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Compiled in.
    Default,
    /// A line of a file, counted from 1.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// The command line, or a call that sets this key.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Flag(key) => write!(f, "command line {key}"),
        }
    }
}

/// One thing that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A file is there, or was named, and can't be read.
    #[error("{}: can't be read: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A text is not TOML.
    #[error("{place}: not TOML: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser said.
        message: String,
    },
    /// No setting has this name.
    #[error("{place}: unknown setting `{key}`{}", hint(.meant.as_deref()))]
    Unknown {
        /// Where.
        place: Place,
        /// The name as written, with its section.
        key: String,
        /// The setting that was most likely meant.
        meant: Option<String>,
    },
    /// The value is of another type than the setting.
    #[error("{place}: `{key}` is {wanted}, not {value}")]
    WrongType {
        /// Where.
        place: Place,
        /// Which setting.
        key: String,
        /// What it takes.
        wanted: String,
        /// What was written.
        value: String,
    },
    /// The value is of the right type, and can't be.
    #[error("{place}: `{key}` can't be {value}: {why}")]
    Impossible {
        /// Where.
        place: Place,
        /// Which setting.
        key: String,
        /// What was written.
        value: String,
        /// Why not, and what can be.
        why: String,
    },
    /// Values that are right one by one don't make settings together.
    #[error("the settings don't fit together: {0}")]
    Unfit(String),
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(
        || ": `twolane config` lists all".to_owned(),
        |name| format!(": did you mean `{name}`?"),
    )
}

/// Why no settings were loaded: everything that is wrong, in the order of the layers.
#[derive(Debug)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Why changed settings were not written down.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// What was to be written is wrong, or what stands in the file already.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The file could not be written; the old one stands.
    #[error("{}: the settings can't be written: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
