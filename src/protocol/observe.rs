//! Messages that tell how the daemon is.

use serde::{Deserialize, Serialize};

use super::manage::Empty;
use crate::job::{Class, JobId, State};

/// Asks for the kinds of work.
pub type Kinds = Empty;

/// The kinds of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindsReply {
    /// By name.
    pub kinds: Vec<Kind>,
}

/// A kind of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// What it does, in a sentence.
    pub doc: String,
    /// The class it runs as when the job says `auto`.
    pub class: Class,
    /// The classes it can run as.
    pub classes: Vec<Class>,
    /// How often it is retried when the job says nothing.
    pub retries: u32,
    /// Its parameters.
    pub params: Vec<Parameter>,
}

/// A parameter of a kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name; `header.*` stands for any name that begins so.
    pub name: String,
    /// What values it takes.
    pub value: String,
    /// Whether it must be there.
    pub required: bool,
    /// What it is when it is not there.
    pub default: Option<String>,
    /// What it means.
    pub doc: String,
}

/// Asks for counters.
pub type Stats = Empty;

/// Counters since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsReply {
    /// Since when, in seconds.
    pub uptime_seconds: f64,
    /// Jobs accepted.
    pub submitted: u64,
    /// Attempts started.
    pub started: u64,
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed, timed out or were interrupted.
    pub failed: u64,
    /// Jobs cancelled.
    pub cancelled: u64,
    /// Retries scheduled.
    pub retried: u64,
    /// Synced commits.
    pub commits: u64,
    /// Changes in those commits.
    pub changes: u64,
    /// Jobs accepted per synced commit that accepted any.
    pub jobs_per_commit: f64,
    /// Time spent in commits, in seconds.
    pub commit_seconds: f64,
    /// The longest commit, in seconds.
    pub commit_longest_seconds: f64,
    /// Calls answered.
    pub calls: u64,
    /// Connections open.
    pub connections: u64,
    /// Connections ever.
    pub connections_ever: u64,
    /// The longest time one turn of the control loop took, in seconds.
    pub turn_longest_seconds: f64,
    /// Events that the control loop handled.
    pub events: u64,
    /// Closures run by the pool.
    pub pool_run: u64,
    /// Of these, stolen by another thread.
    pub pool_stolen: u64,
    /// Processor time of the daemon itself, in seconds.
    pub daemon_cpu_seconds: f64,
    /// Memory of the daemon itself.
    pub daemon_rss_bytes: u64,
}

/// Asks how the daemon is.
pub type Status = Empty;

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReply {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// The user it runs as.
    pub uid: u32,
    /// `system` or `user`.
    pub mode: String,
    /// `running`, `draining` or `degraded`.
    pub health: String,
    /// Why it is degraded or draining.
    pub problem: Option<String>,
    /// Since when it runs.
    pub started_at: String,
    /// The socket it answers on.
    pub socket: String,
    /// Where it keeps its state.
    pub state_dir: String,
    /// The config files it read.
    pub config_files: Vec<String>,
    /// Jobs by state.
    pub jobs: Vec<StateCount>,
    /// The sizes: core permits.
    pub cpu: u32,
    /// Core permits in use.
    pub cpu_used: u32,
    /// The sizes: jobs of class `io`.
    pub io: u32,
    /// Jobs of class `io` running.
    pub io_running: u32,
    /// The sizes: extra threads for class `blocking`.
    pub blocking: u32,
    /// Jobs of class `blocking` running.
    pub blocking_running: u32,
}

/// How many jobs are in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCount {
    /// Which state.
    pub state: State,
    /// How many.
    pub count: u64,
}

/// Asks for the config in force.
pub type Config = Empty;

/// The config in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigReply {
    /// By key.
    pub entries: Vec<ConfigEntry>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigEntry {
    /// Its key: `lanes.cpu`.
    pub key: String,
    /// Its value, as TOML.
    pub value: String,
    /// Where it came from: `default`, a file, the environment, a flag.
    pub origin: String,
}

/// Asks for what happens from now on; always with `more`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Watch {
    /// Events of all users; for admins.
    pub all_users: bool,
}

/// Something that happened and is synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchReply {
    /// What.
    pub event: Event,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: String,
    /// What: `submitted`, `started`, `ended`, `moved`, `removed`, `queue`, `schedule`, or `missed` when this client
    /// read too slowly and events were left out.
    pub event: String,
    /// Which job; for `submitted`, the first.
    pub job: Option<JobId>,
    /// For `submitted`, the last job.
    pub last_job: Option<JobId>,
    /// Where the job stands now.
    pub state: Option<State>,
    /// Which attempt.
    pub attempt: Option<u32>,
    /// How the attempt ended, in one word.
    pub outcome: Option<String>,
    /// Which queue.
    pub queue: Option<String>,
    /// Which schedule, by its name.
    #[serde(default)]
    pub schedule: Option<String>,
    /// For `missed`: how many events were left out.
    pub missed: Option<u64>,
}
