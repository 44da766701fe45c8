//! Messages about who waits for whom.

use serde::{Deserialize, Serialize};

use super::job::Job;
use super::select::Selector;
use crate::job::JobId;

/// Asks for some jobs and all that are connected with them by what jobs require of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Graph {
    /// Where to begin.
    pub jobs: Selector,
}

/// Jobs and what they require of each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphReply {
    /// The jobs in the order of their ids, without their attempts.
    pub nodes: Vec<Job>,
    /// What they require; the other job may have been removed.
    pub edges: Vec<GraphEdge>,
    /// There is more than [`super::MAX_PAGE`] jobs, and some were left out.
    pub more: bool,
}

/// What one job requires of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphEdge {
    /// The job that requires it.
    pub job: JobId,
    /// The other job.
    pub after: JobId,
    /// How that one has to end: `ok`, `any` or `fail`.
    pub on: String,
    /// How that stands: `open`, `met` or `lost`.
    pub standing: String,
}
