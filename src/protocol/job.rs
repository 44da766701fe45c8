//! Messages about jobs: submitting, showing, waiting, reading output.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::MAX_BATCH;
use super::select::Elements;
use crate::job::{Class, JobId, Lane, Params, State};

/// One job to be done. Every field but the kind's own parameters may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobSpec {
    /// The kind; `command` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The program and its arguments: short for `params.argv` of kind `command`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// The kind's parameters.
    #[serde(skip_serializing_if = "Params::is_empty")]
    pub params: Params,
    /// How the job uses the machine; `auto` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The queue; `default` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Higher goes first; 0 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// A name for lists and selectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Core permits it takes on the pool; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Keys it counts under, as `KEY=N`: at most N of the owner's jobs with that key run at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// How much it takes of each named resource while it runs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<String, u64>,
    /// How much memory it takes, such as `4G`: short for `needs.memory` in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Runs after the first; the kind's own number by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The pause before each: `10s`, or `exp:2s..10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<String>,
    /// After which failures: exit codes, ranges of them, `signal`, `timeout`, `error`, `output_limit`, with
    /// commas between; after any that may end better by default, which 126 and 127 for a program that can't be
    /// executed or found are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<String>,
    /// The longest an attempt may run, as a duration such as `90s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// The time between TERM and KILL, as a duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<String>,
    /// Never run again when it is unknown whether an attempt ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_most_once: bool,
    /// What it requires of other jobs before it starts: texts such as `12`, `any:3-9`, `fail:12_7`, or
    /// `ok:@0` for the job at place 0 of the same call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Not before this moment, in RFC 3339; it must not be past.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Not before so much time has passed, as a duration such as `2h30m`; instead of `at`.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// A key that no other unfinished job of the caller's may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<String>,
    /// What to do if one has: `skip` takes that one instead and is the default, `replace` cancels it unless it
    /// runs, `fail` refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<String>,
    /// Stays where it is until released.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
    /// A file that takes the output; may hold `{id} {index} {name} {attempt}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Standard error goes to the same file as standard output.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub merge: bool,
    /// The directory that relative paths start from, instead of the context's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Environment variables beside the context's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// The submitter's surroundings, shared by all jobs of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Context {
    /// The working directory, absolute.
    pub cwd: String,
    /// The file mode mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// The environment to run in.
    pub env: BTreeMap<String, String>,
}

/// An array: the same job once for each index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Array {
    /// The smallest index.
    pub first: u64,
    /// The largest index, included.
    pub last: u64,
    /// From one index to the next; 1 by default.
    #[serde(default = "one")]
    pub step: u64,
    /// How many elements may run at once; any number by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
}

const fn one() -> u64 {
    1
}

/// Submits jobs: all or none of one call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Submit {
    /// The jobs; with `array`, exactly one. Of more than [`MAX_BATCH`] one more is kept, to be refused.
    #[serde(deserialize_with = "at_most_one_too_many")]
    pub jobs: Vec<JobSpec>,
    /// Their surroundings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// Makes an array of the one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array: Option<Array>,
    /// The submission that this call continues, by its first id; for inputs that take several calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission: Option<JobId>,
    /// Check everything, change nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// A message full of empty jobs would take hundreds of times its length once they are read.
fn at_most_one_too_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<JobSpec>, D::Error> {
    struct Jobs;

    impl<'de> Visitor<'de> for Jobs {
        type Value = Vec<JobSpec>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of jobs")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut jobs = Vec::new();
            while jobs.len() <= MAX_BATCH
                && let Some(job) = list.next_element()?
            {
                jobs.push(job);
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(jobs)
        }
    }

    from.deserialize_seq(Jobs)
}

/// The jobs are synced to disk. Their ids are consecutive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitReply {
    /// The first id; none after a dry run, or if no job is new.
    pub first: Option<JobId>,
    /// The last id.
    pub last: Option<JobId>,
    /// Jobs that were there already and were taken instead of new ones.
    #[serde(default)]
    pub existing: Vec<Existing>,
    /// What the submitter should know though nothing is wrong.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A job that was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Existing {
    /// Which job of the call it stands for, from 0.
    pub index: u64,
    /// Its id.
    pub id: JobId,
}

/// Asks for everything about one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Which job.
    pub id: JobId,
}

/// Everything about one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShowReply {
    /// The job with its attempts.
    pub job: Job,
}

/// A job as it is shown. Times are RFC 3339 in UTC with microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Where it stands.
    pub state: State,
    /// Its kind.
    pub kind: String,
    /// How it uses the machine, as asked for.
    pub class: Class,
    /// The lane of its latest attempt.
    pub lane: Option<Lane>,
    /// Its queue.
    pub queue: String,
    /// Higher goes first.
    pub priority: i32,
    /// Its name.
    pub name: Option<String>,
    /// The user that submitted it.
    pub owner_uid: u32,
    /// The first id of the submission it came with.
    pub submission: JobId,
    /// The array it is an element of.
    pub array: Option<JobId>,
    /// Its index in that array.
    pub index: Option<u64>,
    /// When it came.
    pub submitted_at: String,
    /// When its latest attempt started.
    pub started_at: Option<String>,
    /// When it reached its final state.
    pub finished_at: Option<String>,
    /// Not before this moment.
    pub not_before: Option<String>,
    /// How many attempts it has had.
    pub attempt_count: u32,
    /// How its latest ended attempt ended, in one word.
    pub outcome: Option<String>,
    /// The exit code that stands for that outcome.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The outcome's text.
    pub message: Option<String>,
    /// Why it was held, cancelled or skipped.
    pub reason: Option<String>,
    /// The work in a line: the command, or the kind's main parameter.
    pub summary: String,
    /// Core permits.
    pub cpus: u32,
    /// Runs after the first.
    pub retries: u32,
    /// The keys it counts under, as `KEY=N`.
    #[serde(default)]
    pub keys: Vec<String>,
    /// How much it takes of each named resource while it runs.
    #[serde(default)]
    pub needs: BTreeMap<String, u64>,
    /// How many elements of its array may run at once.
    #[serde(default)]
    pub array_at_once: Option<u32>,
    /// How the elements of its array stand, where it is told for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elements: Option<Elements>,
    /// Units done of the running attempt.
    pub progress_done: Option<u64>,
    /// Units in all of the running attempt.
    pub progress_total: Option<u64>,
    /// The schedule that it is a run of.
    #[serde(default)]
    pub schedule: Option<String>,
    /// The schedule's moment that it is the run of.
    #[serde(default)]
    pub slot: Option<String>,
    /// The rest, told by Show alone.
    #[serde(flatten)]
    pub details: Option<Details>,
}

/// What only Show tells of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// The kind's parameters.
    pub params: Params,
    /// The pause before each retry.
    pub backoff: String,
    /// After which failures it is retried, if not after any.
    #[serde(default)]
    pub retry_on: Option<String>,
    /// The longest an attempt may run.
    pub timeout_seconds: Option<f64>,
    /// The time between TERM and KILL when it is ended, if it has one of its own.
    #[serde(default)]
    pub grace_seconds: Option<f64>,
    /// Never run again when it is unknown whether an attempt ended.
    pub at_most_once: bool,
    /// Standard error goes to the same file as standard output.
    #[serde(default)]
    pub merge: bool,
    /// How often it was edited.
    #[serde(default)]
    pub edits: u32,
    /// How often the daemon died while it ran, since an attempt last ended otherwise.
    #[serde(default)]
    pub crashes: u32,
    /// How often of these it ran alone.
    #[serde(default)]
    pub crashes_alone: u32,
    /// The directory it runs in.
    pub cwd: String,
    /// The names of its environment variables; values are never told.
    pub env_names: Vec<String>,
    /// The user's file that takes its output.
    pub output: Option<String>,
    /// Where the captured output of its latest attempt lies.
    pub output_path: Option<String>,
    /// Its unique key.
    #[serde(default)]
    pub unique: Option<String>,
    /// What it requires of other jobs.
    #[serde(default)]
    pub after: Vec<Required>,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// What a job requires of another, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Required {
    /// The other job.
    pub job: JobId,
    /// How it has to end: `ok`, `any` or `fail`.
    pub on: String,
    /// How that stands: `open`, `met` or `lost`.
    pub standing: String,
    /// How the other job ended, in words.
    pub ended: Option<String>,
}

/// One attempt as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Its token.
    pub token: String,
    /// The class it ran as.
    pub class: Class,
    /// The lane it ran on.
    pub lane: Lane,
    /// When it started.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// How it ended, in one word.
    pub outcome: Option<String>,
    /// The exit code that stands for the outcome.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The outcome's text.
    pub message: Option<String>,
    /// Processor time in seconds.
    pub cpu_seconds: Option<f64>,
    /// Time from start to end in seconds.
    pub wall_seconds: Option<f64>,
    /// The most memory it held at once, where that is known.
    pub max_rss_bytes: Option<u64>,
}
