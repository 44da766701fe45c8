//! What a user asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::class::Class;
use super::id::JobId;
use super::limits::Limits;
use super::retry::RetryPolicy;

/// The parameters of a kind: names and JSON values, checked against the kind's declaration.
pub type Params = serde_json::Map<String, serde_json::Value>;

/// What a user asked for: the work and the conditions it runs under.
///
/// Two jobs of one array have the same spec; what differs between them stands in [`ArrayPlace`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// What sort of work: `command`, `http`, `checksum`, …
    pub kind: String,
    /// The kind's parameters.
    pub params: Params,
    /// How the job uses the machine, as the user said it.
    pub class: Class,
    /// The queue it stands in.
    pub queue: String,
    /// Higher goes first.
    pub priority: i32,
    /// A name for lists and selectors.
    pub name: Option<String>,
    /// How many core permits it takes on the pool.
    pub cpus: u32,
    /// Whether and how soon a failed attempt is followed by another.
    pub retry: RetryPolicy,
    /// How long one attempt may run; suspend does not count.
    pub timeout: Option<Duration>,
    /// How long a cancelled or timed-out attempt has between TERM and KILL; `None` takes the daemon's.
    pub grace: Option<Duration>,
    /// Never run again when it is unknown whether an attempt ended.
    pub at_most_once: bool,
    /// A file of the user's that takes the output instead of the captured ones; may hold
    /// `{id} {index} {name} {attempt}`.
    pub output: Option<PathBuf>,
    /// Standard error goes to the same file as standard output.
    pub merge: bool,
    /// The limits it stands under beside those of its queue and lane, if any.
    pub limits: Option<Box<Limits>>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            kind: String::new(),
            params: Params::new(),
            class: Class::Auto,
            queue: Self::DEFAULT_QUEUE.to_owned(),
            priority: 0,
            name: None,
            cpus: 1,
            retry: RetryPolicy::default(),
            timeout: None,
            grace: None,
            at_most_once: false,
            output: None,
            merge: false,
            limits: None,
        }
    }
}

/// Why a spec is refused, whatever its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A name is empty, too long or has characters that lists and paths can't take.
    #[error("{field} {value:?} is not a name: use up to {most} letters, digits, and any of . _ - : @ + / (no leading -)", most = Spec::MAX_NAME)]
    Name {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: String,
    },
    /// No core permits, or more than any machine has.
    #[error("cpus {0} is out of range: give 1 to {most}", most = Spec::MAX_CPUS)]
    Cpus(u32),
    /// A timeout of nothing.
    #[error("a timeout of 0 would end the job before it starts: leave it out for none")]
    ZeroTimeout,
}

impl Spec {
    /// The queue of jobs that name none.
    pub const DEFAULT_QUEUE: &'static str = "default";
    /// The longest name, in bytes: fits a line of a list and a file name.
    pub const MAX_NAME: usize = 128;
    /// More core permits than this no machine has.
    pub const MAX_CPUS: u32 = 4096;

    /// Checks what holds for every kind.
    pub fn check(&self) -> Result<(), SpecError> {
        check_name("queue", &self.queue)?;
        if let Some(name) = &self.name {
            check_name("name", name)?;
        }
        if !(1..=Self::MAX_CPUS).contains(&self.cpus) {
            return Err(SpecError::Cpus(self.cpus));
        }
        if self.timeout == Some(Duration::ZERO) {
            return Err(SpecError::ZeroTimeout);
        }
        Ok(())
    }
}

/// Checks a name of a job or queue.
pub(crate) fn check_name(field: &'static str, value: &str) -> Result<(), SpecError> {
    let fits = |c: char| c.is_alphanumeric() || "._-:@+/".contains(c);
    let good = !value.is_empty()
        && value.len() <= Spec::MAX_NAME
        && !value.starts_with('-')
        && value.chars().all(fits);
    if good { Ok(()) } else { Err(SpecError::Name { field, value: value.to_owned() }) }
}

/// What the jobs of one submission share: the surroundings of the submitter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Context {
    /// The directory that relative paths start from.
    pub cwd: PathBuf,
    /// The file mode mask, if one was recorded.
    pub umask: Option<u32>,
    /// Environment variables; the values may be secret and are never logged.
    pub env: BTreeMap<String, String>,
}

/// Which element of which array a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArrayPlace {
    /// The id of the array's first element, which names the array.
    pub array: JobId,
    /// The element's index, as the user numbered it.
    pub index: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_a_list_or_a_path_are_refused() {
        let named = |name: &str| Spec { name: Some(name.to_owned()), ..Spec::default() }.check();
        assert!(named("encode/møøse-1").is_ok());
        for bad in ["", "-x", "a b", "a\nb", "a\0b", &"x".repeat(129)] {
            assert!(named(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_job_needs_a_core_and_time() {
        assert_eq!(Spec { cpus: 0, ..Spec::default() }.check(), Err(SpecError::Cpus(0)));
        let spec = Spec { timeout: Some(Duration::ZERO), ..Spec::default() };
        assert_eq!(spec.check(), Err(SpecError::ZeroTimeout));
    }
}
