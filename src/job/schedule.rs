//! Schedules: the same work again and again, and how far each has come.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::class::UnknownName;
use super::every::Every;
use super::id::JobId;
use super::record::NewJob;
use super::spec::{Context, Spec, SpecError, check_name};
use super::time::{Deadline, WallTime};

/// A schedule's number: increasing, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleId(pub u64);

impl fmt::Display for ScheduleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What becomes of a run whose turn comes while an earlier one has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It is left out.
    #[default]
    Skip,
    /// It waits for the earlier one.
    Queue,
    /// The earlier one is cancelled, and it starts once that has ended.
    Replace,
}

impl Overlap {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Skip, Self::Queue, Self::Replace];

    /// Its name on the wire and the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Replace => "replace",
        }
    }
}

impl FromStr for Overlap {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|overlap| overlap.name() == text).ok_or_else(|| UnknownName {
            what: "overlap",
            given: text.to_owned(),
            known: "skip, queue, replace",
        })
    }
}

/// What becomes of runs whose moments passed while nobody could start them: the daemon was away,
/// the machine slept, the clock was set forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// One is run for all of them, at once.
    #[default]
    RunOnce,
    /// None is run.
    Skip,
}

impl Missed {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::RunOnce, Self::Skip];

    /// Its name on the wire and the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunOnce => "run-once",
            Self::Skip => "skip",
        }
    }
}

impl FromStr for Missed {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|missed| missed.name() == text).ok_or_else(|| UnknownName {
            what: "missed policy",
            given: text.to_owned(),
            known: "run-once, skip",
        })
    }
}

/// A schedule as it is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleRecord {
    /// Its number.
    pub id: ScheduleId,
    /// The user that made it, whose jobs its runs are.
    pub owner: u32,
    /// Its name, which no other schedule of the owner has.
    pub name: Arc<str>,
    /// How often it runs.
    pub every: Every,
    /// The time zone, by its name, whose calendar counts.
    pub zone: String,
    /// What becomes of a run that meets an earlier one.
    pub overlap: Overlap,
    /// What becomes of runs whose moments passed.
    pub missed: Missed,
    /// Nothing comes while it is paused.
    pub paused: bool,
    /// Why it is.
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: WallTime,
    /// The work of each run.
    pub spec: Arc<Spec>,
    /// The surroundings of each run.
    pub context: Arc<Context>,
    /// How far it has come.
    pub progress: Progress,
}

/// How far a schedule has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many of its moments were decided on: each turn is taken once.
    pub turn: u64,
    /// The next moment; none while it is paused, and when none comes any more.
    pub next: Option<Deadline>,
    /// The job of its latest run.
    pub last: Option<JobId>,
    /// How many runs it has had.
    pub runs: u64,
    /// How many were left out because an earlier one had not ended.
    pub skipped: u64,
    /// How many moments passed without a run of their own because nobody could start it.
    pub missed: u64,
}

/// A schedule's moment was decided on: its run, if it has one, and how far the schedule has come
/// with it are written down together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnTaken {
    /// Which schedule.
    pub schedule: ScheduleId,
    /// The job of the run.
    pub job: Option<NewJob>,
    /// How far it has come; its turn follows the one that is written down.
    pub progress: Progress,
}

/// Which run of which schedule a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRun {
    /// Which schedule.
    pub schedule: ScheduleId,
    /// Its name, which outlives it here.
    pub name: Arc<str>,
    /// The moment that it is the run of.
    pub slot: WallTime,
}

/// Checks the name of a schedule. One of digits alone would be taken for a number.
pub fn check_schedule_name(name: &str) -> Result<(), SpecError> {
    check_name("name", name)?;
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SpecError::Name { field: "the schedule's name", value: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_written() {
        for overlap in Overlap::ALL {
            assert_eq!(overlap.name().parse(), Ok(overlap));
        }
        for missed in Missed::ALL {
            assert_eq!(missed.name().parse(), Ok(missed));
        }
        assert!("keep".parse::<Overlap>().is_err() && "run".parse::<Missed>().is_err());
    }

    #[test]
    fn a_name_that_looks_like_a_number_is_refused() {
        assert!(check_schedule_name("every-3").is_ok());
        assert!(check_schedule_name("3").is_err() && check_schedule_name("a b").is_err());
    }
}
