//! The numbers that stand for names in the file. They are part of the format: none is ever changed.

use std::time::Duration;

use rusqlite::Row;

use crate::job::{ArrayPlace, Class, Condition, Failure, JobId, Lane, Outcome, State};

/// A number in the file that stands for nothing this program knows.
#[derive(Debug, thiserror::Error)]
#[error("{what} {value} means nothing: the file is damaged")]
pub(super) struct Unreadable {
    what: &'static str,
    value: i64,
}

impl Unreadable {
    /// Wraps the finding as the error of reading a column.
    pub(super) fn column(what: &'static str, value: i64) -> rusqlite::Error {
        rusqlite::Error::FromSqlConversionFailure(
            0,
            rusqlite::types::Type::Integer,
            Box::new(Self { what, value }),
        )
    }
}

/// The number of a state.
pub(super) const fn of_state(state: State) -> i64 {
    match state {
        State::Scheduled => 0,
        State::Waiting => 1,
        State::Held => 2,
        State::Queued => 3,
        State::Running => 4,
        State::Succeeded => 5,
        State::Failed => 6,
        State::Cancelled => 7,
        State::Skipped => 8,
    }
}

/// The state of a number.
pub(super) fn state(code: i64) -> rusqlite::Result<State> {
    State::ALL
        .into_iter()
        .find(|state| of_state(*state) == code)
        .ok_or_else(|| Unreadable::column("state", code))
}

/// The number of a condition.
pub(super) const fn of_condition(condition: Condition) -> i64 {
    match condition {
        Condition::Ok => 0,
        Condition::Any => 1,
        Condition::Fail => 2,
    }
}

/// The condition of a number.
pub(super) fn condition(code: i64) -> rusqlite::Result<Condition> {
    Condition::ALL
        .into_iter()
        .find(|condition| of_condition(*condition) == code)
        .ok_or_else(|| Unreadable::column("condition", code))
}

/// The number of a class.
pub(super) const fn of_class(class: Class) -> i64 {
    match class {
        Class::Io => 0,
        Class::Cpu => 1,
        Class::Blocking => 2,
        Class::Auto => 3,
    }
}

/// The class of a number.
pub(super) fn class(code: i64) -> rusqlite::Result<Class> {
    [Class::Io, Class::Cpu, Class::Blocking, Class::Auto]
        .into_iter()
        .find(|class| of_class(*class) == code)
        .ok_or_else(|| Unreadable::column("class", code))
}

/// The number of a lane.
pub(super) const fn of_lane(lane: Lane) -> i64 {
    match lane {
        Lane::Async => 0,
        Lane::Pool => 1,
    }
}

/// The lane of a number.
pub(super) fn lane(code: i64) -> rusqlite::Result<Lane> {
    match code {
        0 => Ok(Lane::Async),
        1 => Ok(Lane::Pool),
        other => Err(Unreadable::column("lane", other)),
    }
}

/// An outcome as it stands in the columns `outcome`, `detail` and `message`.
pub(super) fn of_outcome(outcome: &Outcome) -> (i64, Option<i32>, Option<&str>) {
    match outcome {
        Outcome::Succeeded => (0, None, None),
        Outcome::Failed(Failure::Exit(code)) => (1, Some(*code), None),
        Outcome::Failed(Failure::Signal(signal)) => (2, Some(*signal), None),
        Outcome::Failed(Failure::NotFound(text)) => (3, None, Some(text)),
        Outcome::Failed(Failure::NotExecutable(text)) => (4, None, Some(text)),
        Outcome::Failed(Failure::Error(text)) => (5, None, Some(text)),
        Outcome::Failed(Failure::OutputLimit) => (6, None, None),
        Outcome::TimedOut => (7, None, None),
        Outcome::Cancelled => (8, None, None),
        Outcome::Interrupted => (9, None, None),
    }
}

/// The outcome of three columns that start at `first`; `None` where there is none yet.
pub(super) fn outcome(row: &Row, first: usize) -> rusqlite::Result<Option<Outcome>> {
    let Some(code) = row.get::<_, Option<i64>>(first)? else { return Ok(None) };
    let number = || row.get::<_, i32>(first + 1);
    let text = || row.get::<_, String>(first + 2);
    let outcome = match code {
        0 => Outcome::Succeeded,
        1 => Outcome::Failed(Failure::Exit(number()?)),
        2 => Outcome::Failed(Failure::Signal(number()?)),
        3 => Outcome::Failed(Failure::NotFound(text()?)),
        4 => Outcome::Failed(Failure::NotExecutable(text()?)),
        5 => Outcome::Failed(Failure::Error(text()?)),
        6 => Outcome::Failed(Failure::OutputLimit),
        7 => Outcome::TimedOut,
        8 => Outcome::Cancelled,
        9 => Outcome::Interrupted,
        other => return Err(Unreadable::column("outcome", other)),
    };
    Ok(Some(outcome))
}

/// The numbers of all outcomes that are told by one word (see [`Outcome::word`]).
pub(super) fn outcomes_told_by(word: &str) -> Vec<i64> {
    let all = [
        Outcome::Succeeded,
        Outcome::Failed(Failure::Exit(1)),
        Outcome::Failed(Failure::Signal(1)),
        Outcome::Failed(Failure::NotFound(String::new())),
        Outcome::Failed(Failure::NotExecutable(String::new())),
        Outcome::Failed(Failure::Error(String::new())),
        Outcome::Failed(Failure::OutputLimit),
        Outcome::TimedOut,
        Outcome::Cancelled,
        Outcome::Interrupted,
    ];
    let told = all.iter().filter(|outcome| outcome.word() == word);
    told.map(|outcome| of_outcome(outcome).0).collect()
}

/// A span as nanoseconds; the longest that fits is 292 years.
pub(super) fn of_span(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// The span of a number of nanoseconds.
pub(super) fn span(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.max(0) as u64)
}

/// The job id in a column.
pub(super) fn job_id(row: &Row, column: usize) -> rusqlite::Result<JobId> {
    let number: i64 = row.get(column)?;
    u64::try_from(number)
        .ok()
        .and_then(|number| JobId::new(number).ok())
        .ok_or_else(|| Unreadable::column("job id", number))
}

/// The place in an array that two columns starting at `first` tell.
pub(super) fn place(row: &Row, first: usize) -> rusqlite::Result<Option<ArrayPlace>> {
    match row.get::<_, Option<i64>>(first + 1)? {
        None => Ok(None),
        Some(index) => {
            Ok(Some(ArrayPlace { array: job_id(row, first)?, index: index.max(0) as u64 }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_number_and_reads_back() {
        for known in State::ALL {
            assert_eq!(state(of_state(known)).unwrap(), known);
        }
        for known in [Class::Io, Class::Cpu, Class::Blocking, Class::Auto] {
            assert_eq!(class(of_class(known)).unwrap(), known);
        }
        for known in Condition::ALL {
            assert_eq!(condition(of_condition(known)).unwrap(), known);
        }
        for known in [Lane::Async, Lane::Pool] {
            assert_eq!(lane(of_lane(known)).unwrap(), known);
        }
        assert!(state(9).is_err() && class(4).is_err() && lane(-1).is_err());
    }

    #[test]
    fn a_word_finds_every_outcome_it_tells() {
        assert_eq!(outcomes_told_by("error"), [3, 4, 5]);
        assert_eq!(outcomes_told_by("timed_out"), [7]);
        assert!(outcomes_told_by("exploded").is_empty());
    }
}
