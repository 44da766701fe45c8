//! Messages that change things: jobs, queues, sizes, the daemon itself.

use serde::{Deserialize, Serialize};

use super::explain::Holder;
use super::job::JobSpec;
use super::select::Selector;
use crate::job::{JobId, State};

/// A call or reply without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// Ends jobs that are not final. With `all`: every unfinished one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cancel {
    /// Which jobs.
    pub jobs: Selector,
    /// Why, for the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Keeps jobs where they are until released. With `all`: every unfinished one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hold {
    /// Which jobs.
    pub jobs: Selector,
    /// Why, for the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Lets held jobs go on. With `all`: every held one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Release {
    /// Which jobs.
    pub jobs: Selector,
}

/// Changes jobs that have not started; of one that runs, what counts after its attempt. With `all`:
/// every unfinished one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edit {
    /// Which jobs.
    pub jobs: Selector,
    /// The fields that get a new value; parameters, keys, needs and variables one by one.
    pub set: Box<JobSpec>,
    /// The fields that lose their value, before others are set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
    /// The place among the jobs of its queue and priority: `first`, `last`, `before:ID` or `behind:ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Only if it has been edited exactly so often; any number by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edits: Option<u32>,
}

/// Runs final jobs again under their ids. With `all`: every failed or cancelled one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Which jobs.
    pub jobs: Selector,
    /// And the jobs that were skipped because of these, and because of those.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dependents: bool,
}

/// Forgets final jobs and their output. With `all`: every final one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Remove {
    /// Which jobs.
    pub jobs: Selector,
}

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeReply {
    /// The jobs that it changed.
    pub changed: Vec<JobId>,
    /// The jobs that it could not change, and why.
    pub declined: Vec<Declined>,
    /// The same of arrays, of whose elements only those stand above that were named one by one.
    #[serde(default)]
    pub arrays: Vec<ArrayChange>,
}

impl ChangeReply {
    /// Adds what another change did.
    pub fn append(&mut self, mut other: Self) {
        self.changed.append(&mut other.changed);
        self.declined.append(&mut other.declined);
        self.arrays.append(&mut other.arrays);
    }
}

/// What a change did to elements of one array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayChange {
    /// The array's id.
    pub array: JobId,
    /// How many elements it changed.
    pub changed: u64,
    /// How many it could not change.
    pub declined: u64,
    /// Why it could not, for the commonest reasons.
    pub reasons: Vec<DeclinedElements>,
}

/// Elements that a change passed over for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclinedElements {
    /// Why they were passed over.
    pub why: String,
    /// How many.
    pub count: u64,
    /// The first of them, [`super::MAX_DECLINED_TOLD`] at most.
    pub ids: Vec<JobId>,
}

/// A job that a change passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// Which job.
    pub id: JobId,
    /// Where it stands.
    pub state: Option<State>,
    /// Why it was passed over.
    pub why: String,
}

/// Forgets the final jobs of the caller's that ended long enough ago.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prune {
    /// Only those that ended at least so long ago, as a duration; all final ones by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than: Option<String>,
    /// Narrows which jobs.
    pub jobs: Selector,
    /// Change nothing, say how many.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What a prune removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneReply {
    /// How many jobs.
    pub removed: u64,
}

/// Asks for all queues.
pub type Queues = Empty;

/// All queues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuesReply {
    /// By name.
    pub queues: Vec<Queue>,
}

/// A queue as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// How many of its jobs may run at once; none for no limit of its own.
    pub max: Option<u32>,
    /// Its share when several queues have jobs ready.
    pub weight: u32,
    /// How many of its jobs may start in a span of time, such as `100/1m`.
    #[serde(default)]
    pub rate: Option<String>,
    /// Whether its jobs stay where they are.
    pub paused: bool,
    /// Why it was paused.
    pub reason: Option<String>,
    /// Jobs that are ready.
    pub queued: u64,
    /// Jobs under way.
    pub running: u64,
    /// Jobs held by hand.
    pub held: u64,
    /// Jobs that wait for other jobs.
    #[serde(default)]
    pub waiting: u64,
    /// Jobs that wait for a time.
    pub scheduled: u64,
}

/// Makes or changes a queue; what is left out stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetQueue {
    /// Its name.
    pub queue: String,
    /// How many of its jobs may run at once; 0 takes the limit away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Its share when several queues have jobs ready; 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// How many of its jobs may start in a span of time, such as `100/1m`; `off` takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
}

/// Drops a queue that has no unfinished jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveQueue {
    /// Its name.
    pub queue: String,
}

/// Nothing more of this queue starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Its name.
    pub queue: String,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The queue goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Its name.
    pub queue: String,
}

/// Asks for the sizes of the lanes and what they are doing.
pub type Lanes = Empty;

/// The lanes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanesReply {
    /// Core permits.
    pub cpu: u32,
    /// Core permits in use.
    pub cpu_used: u32,
    /// Core permits lent out by jobs that are blocked.
    pub cpu_lent: u32,
    /// Jobs of class `cpu` running.
    pub cpu_running: u32,
    /// The most jobs of class `io` at once.
    pub io: u32,
    /// Jobs of class `io` running.
    pub io_running: u32,
    /// The most extra threads for class `blocking`.
    pub blocking: u32,
    /// Jobs of class `blocking` running.
    pub blocking_running: u32,
    /// Threads of the pool that exist.
    pub threads: u32,
    /// Closures that wait for a thread.
    pub pool_queued: u64,
    /// The threads of the pool.
    pub workers: Vec<Worker>,
    /// The named resources.
    #[serde(default)]
    pub resources: Vec<Resource>,
}

/// A named resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// How much there is; of `memory`, bytes.
    pub capacity: u64,
    /// How much is taken; more than there is after a shrink.
    pub used: u64,
    /// The names of its units, if it has any.
    pub units: Vec<String>,
    /// Who holds it, the first few.
    pub holders: Vec<Holder>,
}

/// One thread of the pool since it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Its number.
    pub worker: u32,
    /// Closures run.
    pub run: u64,
    /// Of these, stolen from another thread.
    pub stolen: u64,
    /// Of these, taken from the common queue.
    pub injected: u64,
    /// Times it went to sleep.
    pub parked: u64,
    /// Time spent blocked, in seconds.
    pub blocked_seconds: f64,
    /// Time spent in closures, in seconds.
    pub busy_seconds: f64,
}

/// Changes the sizes of the lanes; what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SetLanes {
    /// Core permits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Jobs of class `io`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<u32>,
    /// Extra threads for class `blocking`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocking: Option<u32>,
    /// Write them to `settings.toml`, so that they survive a restart.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub persist: bool,
    /// Go back to what the config files say, and forget what was persisted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// Reads the config again.
pub type Reload = Empty;

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReply {
    /// Keys whose new value is in force.
    pub changed: Vec<String>,
    /// Keys that were in force and are not set any more.
    #[serde(default)]
    pub removed: Vec<String>,
    /// Keys whose new value counts only after a restart.
    pub needs_restart: Vec<String>,
}

/// Starts nothing more, also after a restart, or starts again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// End the drain instead.
    pub off: bool,
    /// Why, for the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Drains and then ends the daemon; the reply comes before it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// Do not wait for running jobs: end them now.
    pub now: bool,
}
