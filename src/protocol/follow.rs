//! Messages that follow jobs: waiting for their end, reading their output, lending while waiting.

use serde::{Deserialize, Serialize};

use super::select::{ElementCount, Selector};
use crate::job::{JobId, State};

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
    /// In the last reply: how the elements of arrays ended, of which only those are told above that were named
    /// one by one.
    #[serde(default)]
    pub arrays: Vec<ArrayEnd>,
}

/// How elements of an array ended that were waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayEnd {
    /// The array's id.
    pub array: JobId,
    /// How many ended in each state; states without any are left out.
    pub counts: Vec<ElementCount>,
    /// 0 if all of them succeeded, else 1.
    pub exit_code: i32,
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
