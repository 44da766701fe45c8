//! Messages about jobs: submitting, showing, waiting, reading output.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::select::Selector;
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
    /// The jobs; with `array`, exactly one.
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
    /// Units done of the running attempt.
    pub progress_done: Option<u64>,
    /// Units in all of the running attempt.
    pub progress_total: Option<u64>,
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
    /// The longest an attempt may run.
    pub timeout_seconds: Option<f64>,
    /// Never run again when it is unknown whether an attempt ended.
    pub at_most_once: bool,
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

/// Asks why a job is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// Which job.
    pub id: JobId,
}

/// Why a job is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainReply {
    /// Which job.
    pub id: JobId,
    /// Where it stands.
    pub state: State,
    /// The class it runs as.
    pub class: Class,
    /// The lane it runs on.
    pub lane: Lane,
    /// Why that class and lane.
    pub why: String,
    /// Everything it must still pass; empty when nothing keeps it.
    pub gates: Vec<Gate>,
    /// Its place among the ready jobs of its queue, from 1.
    #[serde(default)]
    pub place: Option<u64>,
    /// How many ready jobs its queue has.
    #[serde(default)]
    pub of: Option<u64>,
}

/// One thing that a job must pass before it can start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// What sort of gate: `held`, `time`, `queue_paused`, `queue_limit`, `lane_limit`, `permits`, …
    pub gate: String,
    /// The gate in a sentence, with its numbers.
    pub detail: String,
    /// The queue, key or class that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How much the job asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
    /// How much is taken, or how many run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// How much there is, or how many may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// How long until it opens by itself, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// The job that goes first or has to end, or the array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Where that job stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The moment that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Who holds what it waits for, the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<Holder>,
}

/// A running job that holds something others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Which job.
    pub job: JobId,
    /// How much of it.
    pub amount: u64,
}

/// Waits until jobs are final. With `more`, each reply brings those that have become final since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Which jobs; the set is fixed when the call comes.
    pub jobs: Selector,
}

/// Jobs that are final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitReply {
    /// In the order they became so.
    pub finished: Vec<Finished>,
    /// How many are still waited for.
    pub remaining: u64,
}

/// A job that is final, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Its id.
    pub id: JobId,
    /// Its final state.
    pub state: State,
    /// How its last attempt ended, in one word.
    pub outcome: Option<String>,
    /// The exit code that stands for it, as the command line uses it.
    pub exit_code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The outcome's text.
    pub message: Option<String>,
}

/// Lends the core permits of a running job that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lend {
    /// The token of its attempt.
    pub attempt: String,
}

/// Reads a job's output; always with `more`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// Which job.
    pub id: JobId,
    /// Which attempt; the latest by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Only this stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    /// Go on until the job is final, through retries.
    #[serde(default)]
    pub follow: bool,
    /// Begin with the last so many lines of each stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
}

/// One of a job's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, or both when they are merged.
    Out,
    /// Standard error.
    Err,
}

/// A piece of output, or the end of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsReply {
    /// Which attempt it came from; 0 while there was none.
    pub attempt: u32,
    /// Which stream.
    pub stream: Stream,
    /// The bytes, as base64 (RFC 4648, with padding).
    pub data: String,
    /// So many bytes that stood here are not kept any more.
    #[serde(default)]
    pub cut: Option<u64>,
    /// In the last reply: how the job ended, if it is final.
    pub finished: Option<Finished>,
}
