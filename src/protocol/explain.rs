//! Messages about why a job is where it is.

use serde::{Deserialize, Serialize};

use crate::job::{Class, JobId, Lane, State};

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
    /// When it may be expected to start, if that can be said.
    #[serde(default)]
    pub forecast: Option<Forecast>,
    /// The schedule that it is a run of.
    #[serde(default)]
    pub schedule: Option<String>,
    /// The schedule's moment that it is the run of.
    #[serde(default)]
    pub slot: Option<String>,
}

/// When a job may be expected to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// When.
    pub at: String,
    /// In how long, in milliseconds.
    pub wait_ms: u64,
    /// Where that is known from: `moment` is exact if nothing else is in its way then, `rate` follows from how
    /// many may start in a span of time, `recent` from how long the latest attempts of its queue took.
    pub basis: String,
    /// For `recent`: how many attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// For `recent`: how long they took on average, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_ms: Option<u64>,
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
    /// How often the daemon died while the job ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crashes: Option<u32>,
    /// How often of these the job ran alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crashes_alone: Option<u32>,
    /// The moment that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Who says how much there is: a setting, or the job that said so last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
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
