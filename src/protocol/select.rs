//! Which jobs a call is about.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::job::Job;
use crate::job::{JobId, State};

/// Which jobs a call is about: the caller's own unless `all_users`. Fields narrow each other; `ids`,
/// `elements`, `last` and `all` widen each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// Ranges of job ids, both ends included. A range of one id must exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<IdRange>,
    /// Elements of arrays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<ElementRange>,
    /// The caller's last submission, whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
    /// Every job that the call can be about.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// States, or the outcomes `timed_out`, `interrupted` and `output_limit`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
    /// Queues.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<String>,
    /// Names; `*` stands for any characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Names of schedules whose runs they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<String>,
    /// Jobs of other users too; for admins.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_users: bool,
}

/// Job ids from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdRange {
    /// The smallest id.
    pub first: JobId,
    /// The largest id.
    pub last: JobId,
}

/// Elements of one array by their indexes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElementRange {
    /// The array's id.
    pub array: JobId,
    /// The smallest index.
    pub first: u64,
    /// The largest index.
    pub last: u64,
}

/// Why a text selects nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} does not select jobs: write ids such as 12, 12,15, 3-9, array elements such as 12_7 or 12_3-9, last, or all"
)]
pub struct SelectError(pub String);

impl Selector {
    /// Whether the selector names no job at all.
    pub fn is_empty(&self) -> bool {
        *self == Self { all_users: self.all_users, ..Self::default() }
    }

    /// Adds what one word of a command line selects.
    pub fn add(&mut self, word: &str) -> Result<(), SelectError> {
        for part in word.split(',') {
            self.add_part(part).ok_or_else(|| SelectError(word.to_owned()))?;
        }
        Ok(())
    }

    fn add_part(&mut self, part: &str) -> Option<()> {
        match part {
            "last" => self.last = true,
            "all" => self.all = true,
            _ => {
                if let Some((array, indexes)) = part.split_once('_') {
                    let array = array.parse().ok()?;
                    let (first, last) = range::<u64>(indexes)?;
                    self.elements.push(ElementRange { array, first, last });
                } else {
                    let (first, last) = range::<JobId>(part)?;
                    self.ids.push(IdRange { first, last });
                }
            }
        }
        Some(())
    }
}

fn range<T: FromStr + PartialOrd + Copy>(text: &str) -> Option<(T, T)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// Asks for one page of jobs. An empty selector means every job of the caller's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct List {
    /// Which jobs.
    pub jobs: Selector,
    /// Newest first instead of oldest first.
    pub newest_first: bool,
    /// Go on behind this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<JobId>,
    /// At most so many; [`super::MAX_PAGE`] is the most and the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Each array is one job, with [`Job::elements`]: the first of its elements that the page would have.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub collapse: bool,
    /// Only jobs that reached their final state at this moment or later; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_since: Option<String>,
}

/// How the elements of an array stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elements {
    /// The least index.
    pub first: u64,
    /// The greatest index.
    pub last: u64,
    /// How many there are in each state; states without any are left out.
    pub counts: Vec<ElementCount>,
}

/// How many elements of an array are in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementCount {
    /// The state.
    pub state: State,
    /// How many.
    pub jobs: u64,
}

/// One page of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListReply {
    /// The jobs, without their attempts.
    pub jobs: Vec<Job>,
    /// Whether there are jobs behind the last of these.
    pub more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(word: &str) -> Result<Selector, SelectError> {
        let mut selector = Selector::default();
        selector.add(word).map(|()| selector)
    }

    #[test]
    fn words_of_the_command_line_select_jobs() {
        let id = |number| JobId::new(number).unwrap();
        let selector = parse("12,3-9,12_7,12_3-9,last").unwrap();
        assert_eq!(selector.ids[0], IdRange { first: id(12), last: id(12) });
        assert_eq!(selector.ids[1], IdRange { first: id(3), last: id(9) });
        assert_eq!(selector.elements[0], ElementRange { array: id(12), first: 7, last: 7 });
        assert_eq!(selector.elements[1], ElementRange { array: id(12), first: 3, last: 9 });
        assert!(selector.last && !selector.all);
    }

    #[test]
    fn words_that_select_nothing_are_refused() {
        for word in ["", "x", "9-3", "0", "12,", "12_", "_3", "1-2-3", "-5"] {
            assert!(parse(word).is_err(), "{word:?}");
        }
    }
}
