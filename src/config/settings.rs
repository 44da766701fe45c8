//! The settings, section by section, as a file spells them. The defaults are those of the rooms.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::text;
use crate::handlers::{HttpOptions, OutputOptions};
use crate::job::{KeyRule, QueueRecord, Rate};
use crate::pool::Options as PoolOptions;
use crate::scheduler::Options as SchedulerOptions;
use crate::store::sqlite::Options as StoreOptions;

/// Every setting of the daemon, in force or proposed. `Default` holds the compiled defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `[lanes]`: the three sizes.
    pub lanes: LaneSettings,
    /// `[pool]`: how the pool's threads behave.
    pub pool: PoolSettings,
    /// `[scheduler]`: what goes first.
    pub scheduler: SchedulerSettings,
    /// `[store]`: what is kept, and how long.
    pub store: StoreSettings,
    /// `[output]`: how much of what jobs print is kept.
    pub output: OutputSettings,
    /// `[command]`: how commands are run.
    pub command: CommandSettings,
    /// `[http]`: how the kind `http` behaves where a job says nothing.
    pub http: HttpSettings,
    /// `[daemon]`: the daemon itself.
    pub daemon: DaemonSettings,
    /// `[queues.NAME]`: queues that exist without anyone having made them.
    pub queues: BTreeMap<String, QueueSettings>,
    /// `[resources.NAME]`: what jobs take from with `--need`.
    pub resources: BTreeMap<String, ResourceSettings>,
    /// `[limits]`: limits that jobs need not bring themselves.
    pub limits: LimitSettings,
}

/// How much may run at once in each lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaneSettings {
    /// Core permits; 0 for as many as there are cores.
    pub cpu: u32,
    /// Attempts on the async lane.
    pub io: u32,
    /// Threads beyond one a core, for closures that block.
    pub blocking: u32,
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self { cpu: 0, io: 16_384, blocking: PoolOptions::default().blocking as u32 }
    }
}

impl LaneSettings {
    /// Core permits in numbers: as many as this process may use cores where the setting says 0.
    pub fn cores(&self) -> u32 {
        if self.cpu > 0 { self.cpu } else { num_cpus::get().max(1) as u32 }
    }
}

/// How the pool's threads behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolSettings {
    /// How much nicer than the event loop each pool thread is, 0 to 19.
    pub nice: i32,
    /// Whether closures that wait without having said so are noticed and their permits lent.
    pub watch: bool,
}

impl Default for PoolSettings {
    fn default() -> Self {
        let pool = PoolOptions::default();
        Self { nice: pool.nice, watch: pool.watch }
    }
}

/// What goes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerSettings {
    /// How many jobs of all classes together may run at once.
    pub max_running: Option<u32>,
    /// How long a job waits until it counts as one priority point higher, or `off`.
    pub aging: String,
    /// How many smaller jobs may overtake one that needs more than is free.
    pub backfill: u32,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        let scheduler = SchedulerOptions::default();
        Self {
            max_running: scheduler.max_running,
            // Spelled as people do; a test holds it equal to the scheduler's own default.
            aging: "1h".to_owned(),
            backfill: scheduler.backfill,
        }
    }
}

/// What is kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// Above this size, in bytes, the database's log is folded back and cut.
    #[serde(with = "text::size")]
    pub wal_limit: u64,
    /// How many days a finished job is kept; 0 for ever.
    pub keep_days: u32,
    /// How many finished jobs are kept; 0 for any number.
    pub keep_jobs: u32,
}

impl Default for StoreSettings {
    fn default() -> Self {
        let store = StoreOptions::default();
        Self { wal_limit: store.wal_limit_bytes, keep_days: 30, keep_jobs: 100_000 }
    }
}

/// What becomes of a command that was running when the daemon died, unless its job says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AfterCrash {
    /// It is run again.
    #[default]
    Rerun,
    /// It ends as failed (interrupted).
    Interrupt,
}

/// Which of the submitter's variables a command gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvPolicy {
    /// All but session variables and names that look secret.
    #[default]
    Inherit,
    /// The documented list alone.
    List,
}

/// How commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandSettings {
    /// What becomes of a command that was running when the daemon died.
    pub after_crash: AfterCrash,
    /// Which variables a command gets; unset, a system daemon takes the list and a user's inherits.
    pub env: Option<EnvPolicy>,
    /// How long a command has between TERM and KILL.
    #[serde(with = "text::duration")]
    pub grace: Duration,
    /// Threads that start children; 0 for one to every four cores, at least two.
    pub spawners: u32,
}

impl Default for CommandSettings {
    fn default() -> Self {
        Self {
            after_crash: AfterCrash::default(),
            env: None,
            grace: Duration::from_secs(10),
            spawners: 0,
        }
    }
}

/// How the kind `http` behaves where a job says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// How long making a connection may take, name look-up and TLS included.
    #[serde(with = "text::duration")]
    pub connect_timeout: Duration,
    /// How long the other side may be silent in the middle of an answer.
    #[serde(with = "text::duration")]
    pub idle_timeout: Duration,
    /// How many name look-ups may be under way at once.
    pub dns_lookups: u32,
    /// How many idle connections are kept for each host.
    pub idle_connections_per_host: u32,
    /// How much of an answer's body is kept, in bytes.
    #[serde(with = "text::size")]
    pub body_limit: u64,
    /// How many redirects are followed.
    pub redirects: u32,
}

impl Default for HttpSettings {
    fn default() -> Self {
        let http = HttpOptions::default();
        Self {
            connect_timeout: Duration::from_millis(http.connect_timeout_ms),
            idle_timeout: Duration::from_millis(http.idle_timeout_ms),
            dns_lookups: http.dns_lookups as u32,
            idle_connections_per_host: http.idle_connections_per_host as u32,
            body_limit: http.body_limit_bytes,
            redirects: http.redirects,
        }
    }
}

/// How much of what jobs print is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputSettings {
    /// Of one attempt, in bytes: of more only head and tail stay.
    #[serde(with = "text::size")]
    pub job_limit: u64,
    /// An attempt that has printed more than this ends.
    #[serde(with = "text::size")]
    pub hard_limit: u64,
    /// Of all jobs together, in bytes.
    #[serde(with = "text::size")]
    pub total_limit: u64,
    /// With less than this free on the disk, the attempt whose output takes most of it ends.
    #[serde(with = "text::size")]
    pub free_floor: u64,
}

impl Default for OutputSettings {
    fn default() -> Self {
        let output = OutputOptions::default();
        Self {
            job_limit: output.job_limit_bytes,
            hard_limit: output.hard_limit_bytes,
            total_limit: output.total_limit_bytes,
            free_floor: output.free_floor_bytes,
        }
    }
}

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DaemonSettings {
    /// How long running jobs have to end by themselves when the daemon stops.
    #[serde(with = "text::duration")]
    pub drain_timeout: Duration,
    /// How long jobs that run inside the daemon have to end by themselves when its program is replaced.
    #[serde(with = "text::duration")]
    pub restart_timeout: Duration,
    /// Connections at once; further ones are closed at once.
    pub max_connections: u32,
    /// What is logged: a level, or levels by module as in `info,twolane=debug`.
    pub log: String,
}

impl Default for DaemonSettings {
    fn default() -> Self {
        Self {
            drain_timeout: Duration::from_secs(30),
            // Shorter than a drain: nothing new starts meanwhile, and what has not ended loses no try.
            restart_timeout: Duration::from_secs(10),
            max_connections: 12_000,
            log: "info".to_owned(),
        }
    }
}

/// A named resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceSettings {
    /// How much there is; where there are units, their number counts.
    #[serde(with = "text::size")]
    pub capacity: u64,
    /// The names of its units.
    pub units: Vec<String>,
    /// The variable that tells an attempt which units are its own.
    pub env: String,
}

/// Limits that jobs need not bring themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// `[limits.keys.NAME]`: keys of `--limit-key`; a `*` at the end stands for any ending.
    pub keys: BTreeMap<String, KeySettings>,
}

impl LimitSettings {
    /// The rules as the scheduler knows them.
    pub fn rules(&self) -> Vec<KeyRule> {
        let rule = |(pattern, key): (&String, &KeySettings)| KeyRule {
            pattern: pattern.clone(),
            max: key.max.filter(|max| *max > 0),
            rate: key.rate,
        };
        self.keys.iter().map(rule).collect()
    }
}

/// What each key of a name may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeySettings {
    /// How many jobs with the key may run at once; 0 or unset for no limit but those of the jobs.
    pub max: Option<u32>,
    /// How many may start in a span of time.
    pub rate: Option<Rate>,
}

/// A queue that exists without anyone having made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSettings {
    /// How many of its jobs may run at once; 0 or unset for no limit of its own.
    pub max: Option<u32>,
    /// Its share when several queues have jobs ready.
    pub weight: u32,
    /// How many of its jobs may start in a span of time.
    pub rate: Option<Rate>,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { max: None, weight: QueueRecord::DEFAULT_WEIGHT, rate: None }
    }
}

impl QueueSettings {
    /// The queue as the scheduler knows it.
    pub fn record(&self, name: &str) -> QueueRecord {
        let max = self.max.filter(|max| *max > 0);
        QueueRecord { max, weight: self.weight, rate: self.rate, ..QueueRecord::named(name) }
    }
}
