//! The settings in force: what the config said, and what was changed while running.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::retention::Keep;
use super::session::{Bounds, Connections};
use crate::config::{self, AfterCrash, EnvPolicy, Loaded, Mode, Settings, Sources};
use crate::job::{QueueRecord, WallTime};
use crate::protocol::{ConfigEntry, ConfigReply, Error, ReloadReply, SetLanes};
use crate::scheduler::{AgingError, LaneSizes};

/// The sizes of the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Core permits.
    pub(super) cpu: u32,
    /// Jobs of class `io`.
    pub(super) io: u32,
    /// Extra threads for class `blocking`.
    pub(super) blocking: u32,
}

/// The most threads and permits that can be asked for: more than any machine has cores, few enough
/// that a slip of the finger does not exhaust the process limit.
const MOST_THREADS: u32 = 4_096;
/// The most jobs of class `io`: each needs a few descriptors and some memory.
const MOST_IO: u32 = 1_000_000;
/// Descriptors that a running job of class `io` keeps: a pidfd or a socket. Output files are closed once the child
/// has them.
const DESCRIPTORS_PER_JOB: u64 = 1;
/// Descriptors kept for everything else: connections, the store, logs.
const DESCRIPTORS_KEPT: u64 = 1_024;

impl From<Sizes> for LaneSizes {
    fn from(sizes: Sizes) -> Self {
        Self { cpu: sizes.cpu, io: sizes.io, blocking: sizes.blocking }
    }
}

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// The daemon's own user.
    pub(super) uid: u32,
    /// Whose daemon it is.
    pub(super) mode: Mode,
    /// When it started.
    pub(super) started_at: WallTime,
    /// Where it listens.
    pub(super) socket: PathBuf,
    /// Where it keeps its state.
    pub(super) state_dir: PathBuf,
    /// How many descriptors it may open.
    pub(super) descriptors: u64,
}

/// The settings in force.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) about: About,
    pub(super) connections: Arc<Connections>,
    sources: Sources,
    loaded: Loaded,
    /// As the daemon started with them: what can't change while it runs is still as here.
    started: Loaded,
    sizes: Sizes,
}

impl Live {
    /// The settings as they were loaded.
    pub(super) fn new(
        about: About,
        connections: Arc<Connections>,
        sources: Sources,
        loaded: Loaded,
    ) -> Self {
        let sizes = sizes_of(&loaded.settings, about.descriptors);
        let started = loaded.clone();
        Self { about, connections, sources, loaded, started, sizes }
    }

    /// What the config says.
    pub(super) const fn settings(&self) -> &Settings {
        &self.loaded.settings
    }

    /// The sizes in force.
    pub(super) const fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// How long running jobs have when the daemon ends.
    pub(super) const fn drain_timeout(&self) -> Duration {
        self.loaded.settings.daemon.drain_timeout
    }

    /// Whether a job that a crash cut short is not run again.
    pub(super) fn interrupts_after_crash(&self) -> bool {
        self.loaded.settings.command.after_crash == AfterCrash::Interrupt
    }

    /// The queues that the config makes.
    pub(super) fn queues(&self) -> impl Iterator<Item = QueueRecord> {
        self.settings().queues.iter().map(|(name, queue)| queue.record(name))
    }

    /// What sessions check submissions against.
    pub(super) fn bounds(&self, queues: &BTreeMap<String, QueueRecord>) -> Bounds {
        let policy = self.settings().command.env;
        let listed = policy.map_or(self.about.mode == Mode::System, |env| env == EnvPolicy::List);
        Bounds {
            queues: Arc::new(queues.keys().cloned().collect()),
            cpu: self.sizes.cpu,
            resources: Arc::new(super::resources::capacities(self.settings())),
            keys: self.settings().limits.rules().into(),
            max_connections: self.settings().daemon.max_connections,
            keep: Keep {
                days: self.settings().store.keep_days,
                jobs: self.settings().store.keep_jobs,
            },
            output: self.output_options(),
            listed_env: listed,
        }
    }

    /// How much of what jobs print is kept.
    fn output_options(&self) -> crate::handlers::OutputOptions {
        let output = &self.settings().output;
        crate::handlers::OutputOptions {
            job_limit_bytes: output.job_limit,
            hard_limit_bytes: output.hard_limit,
            total_limit_bytes: output.total_limit,
            free_floor_bytes: output.free_floor,
        }
    }

    /// How the pool is built.
    pub(super) fn pool_options(&self) -> crate::pool::Options {
        let pool = &self.settings().pool;
        crate::pool::Options {
            cores: self.sizes.cpu as usize,
            blocking: self.sizes.blocking as usize,
            nice: pool.nice,
            watch: pool.watch,
            ..crate::pool::Options::default()
        }
    }

    /// How commands are started.
    pub(super) fn process_options(&self) -> crate::process::Options {
        let defaults = crate::process::Options::default();
        match self.settings().command.spawners {
            0 => defaults,
            spawners => crate::process::Options { spawners: spawners as usize, ..defaults },
        }
    }

    /// How the scheduler decides.
    pub(super) fn scheduler_options(&self) -> Result<crate::scheduler::Options, AgingError> {
        let scheduler = &self.settings().scheduler;
        Ok(crate::scheduler::Options {
            max_running: scheduler.max_running,
            aging: scheduler.aging.parse()?,
            backfill: scheduler.backfill,
        })
    }

    /// How the built-in kinds behave.
    pub(super) fn handler_options(&self) -> crate::handlers::Options {
        let http = &self.settings().http;
        crate::handlers::Options {
            http: crate::handlers::HttpOptions {
                connect_timeout_ms: http.connect_timeout.as_millis() as u64,
                idle_timeout_ms: http.idle_timeout.as_millis() as u64,
                dns_lookups: http.dns_lookups as usize,
                idle_connections_per_host: http.idle_connections_per_host as usize,
                body_limit_bytes: http.body_limit,
                redirects: http.redirects,
            },
        }
    }

    /// The files that were read.
    pub(super) fn files(&self) -> Vec<String> {
        self.loaded.files.iter().map(|file| file.display().to_string()).collect()
    }

    /// Every value and where it came from.
    pub(super) fn config_reply(&self) -> ConfigReply {
        let entry = |entry: &config::Entry| ConfigEntry {
            key: entry.key.clone(),
            value: entry.value.clone(),
            origin: entry.origin.clone(),
        };
        ConfigReply { entries: self.loaded.entries.iter().map(entry).collect() }
    }

    /// Works out new sizes and makes them the ones in force; `persist` writes them down first.
    pub(super) fn resized(&mut self, change: &SetLanes) -> Result<Sizes, Error> {
        let sizes = if change.reset { self.reset()? } else { self.sizes };
        let sizes = Sizes {
            cpu: within("cpu", change.cpu, sizes.cpu, 1, MOST_THREADS)?,
            io: within("io", change.io, sizes.io, 1, MOST_IO)?,
            blocking: within("blocking", change.blocking, sizes.blocking, 0, MOST_THREADS)?,
        };
        if change.persist {
            self.persist(change)?;
        }
        self.sizes = sizes;
        Ok(sizes)
    }

    fn reset(&mut self) -> Result<Sizes, Error> {
        config::forget(&self.about.state_dir, &["lanes.cpu", "lanes.io", "lanes.blocking"])
            .map_err(|error| invalid(&error))?;
        let loaded = config::load(&self.sources).map_err(|error| invalid(&error))?;
        self.loaded = loaded;
        Ok(sizes_of(&self.loaded.settings, self.about.descriptors))
    }

    fn persist(&mut self, change: &SetLanes) -> Result<(), Error> {
        let named = [
            ("lanes.cpu", change.cpu),
            ("lanes.io", change.io),
            ("lanes.blocking", change.blocking),
        ];
        let texts: Vec<(&str, String)> =
            named.iter().filter_map(|(key, size)| Some((*key, (*size)?.to_string()))).collect();
        let pairs: Vec<(&str, &str)> =
            texts.iter().map(|(key, text)| (*key, text.as_str())).collect();
        config::persist(&self.about.state_dir, &pairs).map_err(|error| invalid(&error))?;
        self.loaded = config::load(&self.sources).map_err(|error| invalid(&error))?;
        Ok(())
    }

    /// Reads the config again. With an error the old one stays in force.
    pub(super) fn reload(&mut self) -> Result<ReloadReply, Error> {
        let fresh = config::load(&self.sources).map_err(|error| invalid(&error))?;
        let config::Difference { changed, removed, .. } = config::diff(&self.loaded, &fresh);
        let needs_restart = config::diff(&self.started, &fresh).needs_restart;
        let resized = fresh.settings.lanes != self.loaded.settings.lanes;
        self.loaded = fresh;
        if resized {
            self.sizes = sizes_of(&self.loaded.settings, self.about.descriptors);
        }
        Ok(ReloadReply { changed, removed, needs_restart })
    }
}

/// The sizes that the config asks for, as far as the descriptors suffice.
pub(super) fn sizes_of(settings: &Settings, descriptors: u64) -> Sizes {
    let room = descriptors.saturating_sub(DESCRIPTORS_KEPT) / DESCRIPTORS_PER_JOB;
    let io = settings.lanes.io.min(u32::try_from(room.max(1)).unwrap_or(u32::MAX));
    if io < settings.lanes.io {
        tracing::warn!(
            "lanes.io = {} needs more descriptors than the {descriptors} there are: {io} are used; raise LimitNOFILE",
            settings.lanes.io
        );
    }
    Sizes { cpu: settings.lanes.cores(), io, blocking: settings.lanes.blocking }
}

fn within(field: &str, asked: Option<u32>, now: u32, least: u32, most: u32) -> Result<u32, Error> {
    let size = asked.unwrap_or(now);
    if (least..=most).contains(&size) {
        return Ok(size);
    }
    let message = format!("{field}={size} is out of range: give {least} to {most}");
    Err(Error::InvalidValue { field: field.to_owned(), message })
}

fn invalid(error: &dyn std::error::Error) -> Error {
    Error::InvalidConfig { message: error.to_string() }
}
