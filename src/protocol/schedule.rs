//! Messages about schedules: the same work again and again.

use serde::{Deserialize, Serialize};

use super::job::{Context, JobSpec};
use crate::job::{JobId, State};

/// Makes a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddSchedule {
    /// The job of each run; its name, if it has one, is the schedule's too.
    pub job: Box<JobSpec>,
    /// How often: five fields as in `0 3 * * *`, `@daily` and its like, or a span such as `15m`.
    pub every: String,
    /// The time zone whose calendar counts, by its name; UTC by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What becomes of a run that meets an earlier one: `skip` (the default), `queue` or `replace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// What becomes of runs whose moments passed while nobody could start them: `run-once` (the default)
    /// or `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<String>,
    /// The surroundings of its runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// Check everything, tell when it would run, change nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Asks for all schedules of the caller's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedules {
    /// Those of other users too; for admins.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_users: bool,
}

/// All schedules, each with its next moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulesReply {
    /// In the order they were made.
    pub schedules: Vec<Schedule>,
}

/// Asks for one schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShowSchedule {
    /// Its name, or its number.
    pub schedule: String,
}

/// One schedule, with its next moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleReply {
    /// The schedule.
    pub schedule: Schedule,
}

/// Nothing more comes of a schedule until it is resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseSchedule {
    /// Its name, or its number.
    pub schedule: String,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A paused schedule goes on with its first moment from now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeSchedule {
    /// Its name, or its number.
    pub schedule: String,
}

/// Drops a schedule; the jobs of its runs stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveSchedule {
    /// Its name, or its number.
    pub schedule: String,
}

/// A schedule as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its number; 0 of one that was only checked.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The user that made it.
    pub owner_uid: u32,
    /// How often it runs, as it was written.
    pub every: String,
    /// The time zone whose calendar counts.
    pub zone: String,
    /// `skip`, `queue` or `replace`.
    pub overlap: String,
    /// `run-once` or `skip`.
    pub missed: String,
    /// Whether it is paused.
    pub paused: bool,
    /// Why it is.
    pub reason: Option<String>,
    /// Why nothing comes of it although it is not paused.
    pub problem: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// The next moments: one in a list, several of one that is shown.
    pub next: Vec<String>,
    /// The job of its latest run.
    pub last_job: Option<JobId>,
    /// Where that job stands, if it is still there.
    pub last_state: Option<State>,
    /// The jobs of its runs that have not ended, oldest first.
    pub unfinished: Vec<JobId>,
    /// How many runs it has had.
    pub run_count: u64,
    /// How many were left out because an earlier one had not ended.
    pub skipped_count: u64,
    /// How many moments passed without a run of their own because nobody could start it.
    pub missed_count: u64,
    /// The queue of its runs.
    pub queue: String,
    /// The work of its runs in a line.
    pub summary: String,
}
