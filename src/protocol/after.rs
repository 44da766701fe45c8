//! What a job requires of others, as it is written: `12`, `any:3-9`, `fail:12_7`, `ok:last`, `ok:@0`.

use super::select::Selector;
use crate::job::Condition;

/// One part of what a job requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// How the other jobs have to end.
    pub on: Condition,
    /// Which jobs.
    pub whom: Whom,
}

/// Which other jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The job at this place of the same call, counted from 0.
    Place(u64),
    /// Jobs that were submitted before.
    Earlier(Selector),
}

/// Why a text says nothing about what a job requires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no jobs to wait for: write an id, a range or array elements such as 12, 3-9 or 12_7, with ok: (the default), any: or fail: before each, as in ok:12,any:13"
)]
pub struct AfterError(String);

impl After {
    /// Reads what one text says; parts are separated by commas and each has a condition of its own.
    pub fn parse(text: &str) -> Result<Vec<Self>, AfterError> {
        text.split(',')
            .map(|part| Self::parse_part(part).ok_or_else(|| AfterError(text.to_owned())))
            .collect()
    }

    fn parse_part(part: &str) -> Option<Self> {
        let (on, whom) = match part.split_once(':') {
            Some((on, whom)) => (on.parse().ok()?, whom),
            None => (Condition::Ok, part),
        };
        if let Some(place) = whom.strip_prefix('@') {
            return Some(Self { on, whom: Whom::Place(place.parse().ok()?) });
        }
        let mut selector = Selector::default();
        selector.add(whom).ok()?;
        // All of one's jobs would include the one that is to wait.
        (!selector.all).then_some(Self { on, whom: Whom::Earlier(selector) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_a_condition_and_ok_is_the_usual_one() {
        let parts = After::parse("12,any:3-9,fail:12_7,@4").unwrap();
        let told: Vec<_> = parts.iter().map(|part| part.on).collect();
        assert_eq!(told, [Condition::Ok, Condition::Any, Condition::Fail, Condition::Ok]);
        assert_eq!(parts[3].whom, Whom::Place(4));
        assert!(matches!(&parts[1].whom, Whom::Earlier(selector) if selector.ids.len() == 1));
    }

    #[test]
    fn what_names_no_earlier_job_is_refused() {
        for text in ["", "x", "ok:", "maybe:12", "all", "any:all", "12,", "@x", "ok:@-1", "0"] {
            assert!(After::parse(text).is_err(), "{text:?}");
        }
    }
}
