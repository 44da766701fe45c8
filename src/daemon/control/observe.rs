//! What the loop tells of itself.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::super::session::Connections;
use super::super::session::gates::holder;
use super::Control;
use crate::config::Mode;
use crate::job::{Change, Class, JobId, Outcome, State};
use crate::protocol::{self, LanesReply, Resource, StatsReply, StatusReply, Worker, to_rfc3339};
use crate::scheduler::ResourceView;

/// Counters since the daemon started.
#[derive(Debug)]
pub(in super::super) struct Counters {
    since: Instant,
    pub(super) calls: u64,
    pub(super) events: u64,
    pub(super) started: u64,
    submitted: u64,
    submissions: u64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    retried: u64,
    commits: u64,
    changes: u64,
    commit_time: Duration,
    commit_longest: Duration,
    turn_longest: Duration,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            calls: 0,
            events: 0,
            started: 0,
            submitted: 0,
            submissions: 0,
            succeeded: 0,
            failed: 0,
            cancelled: 0,
            retried: 0,
            commits: 0,
            changes: 0,
            commit_time: Duration::ZERO,
            commit_longest: Duration::ZERO,
            turn_longest: Duration::ZERO,
        }
    }
}

impl Counters {
    pub(super) fn turn(&mut self, took: Duration) {
        self.turn_longest = self.turn_longest.max(took);
    }

    pub(super) fn committed(&mut self, batch: &[Change], took: Duration) {
        self.commits += 1;
        self.changes += batch.len() as u64;
        self.commit_time += took;
        self.commit_longest = self.commit_longest.max(took);
        let accepts = |change: &Change| matches!(change, Change::Submitted { .. });
        self.submissions += u64::from(batch.iter().any(accepts));
    }

    /// Counts what a change says that was taken.
    pub(super) fn took(&mut self, change: &Change) {
        match change {
            Change::Submitted { jobs, fold } => {
                self.submitted += jobs.len() as u64 + fold.map_or(0, |fold| fold.count);
            }
            Change::ScheduleTurned(turn) => self.submitted += u64::from(turn.job.is_some()),
            Change::Ended { next: State::Cancelled, .. }
            | Change::Moved { to: State::Cancelled, .. } => self.cancelled += 1,
            Change::FoldMoved { folded, to: State::Cancelled, .. } => {
                self.cancelled += folded.count;
            }
            Change::Ended { next, .. } if !next.is_final() => self.retried += 1,
            _ => {}
        }
    }

    pub(super) fn ended(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Succeeded => self.succeeded += 1,
            Outcome::Cancelled => {}
            _ => self.failed += 1,
        }
    }
}

impl Control {
    /// How far the running ones of these jobs are.
    pub(super) fn progress(&self, jobs: &[JobId]) -> Vec<(JobId, u64, Option<u64>)> {
        let wanted: HashSet<JobId> = jobs.iter().copied().collect();
        let all = self.lanes.progress();
        all.filter(|(job, _)| wanted.contains(job))
            .map(|(job, (done, total))| (job, done, total))
            .collect()
    }

    pub(super) fn queues_reply(&self) -> Vec<protocol::Queue> {
        let queue = |record: &crate::job::QueueRecord| {
            let view = self.scheduler.queue(&record.name);
            let count = |pick: fn(&crate::scheduler::QueueView) -> u32| {
                view.as_ref().map_or(0, |view| u64::from(pick(view)))
            };
            protocol::Queue {
                name: record.name.clone(),
                max: record.max,
                rate: record.rate.map(|rate| rate.to_string()),
                weight: record.weight,
                paused: record.paused,
                reason: record.reason.clone(),
                queued: count(|view| view.queued),
                running: count(|view| view.running),
                held: count(|view| view.held),
                waiting: count(|view| view.waiting),
                scheduled: count(|view| view.scheduled),
            }
        };
        self.queues.values().map(queue).collect()
    }

    pub(super) fn lanes_reply(&self) -> LanesReply {
        let stats = self.pool.stats();
        let sizes = self.settings.sizes();
        let used = self.used();
        LanesReply {
            cpu: sizes.cpu,
            cpu_used: stats.permits_in_use as u32,
            cpu_lent: stats.permits_lent as u32,
            cpu_running: used.cpu,
            io: sizes.io,
            io_running: used.io,
            blocking: sizes.blocking,
            blocking_running: used.blocking,
            threads: stats.threads as u32,
            pool_queued: stats.queued as u64,
            workers: stats
                .workers
                .iter()
                .enumerate()
                .map(|(at, worker)| to_worker(at, worker))
                .collect(),
            resources: self.scheduler.resources().iter().map(to_resource).collect(),
        }
    }

    fn used(&self) -> super::super::settings::Sizes {
        let mut used = super::super::settings::Sizes { cpu: 0, io: 0, blocking: 0 };
        for view in self.scheduler.classes() {
            match view.class {
                Class::Io => used.io = view.used,
                Class::Blocking => used.blocking = view.used,
                Class::Cpu | Class::Auto => used.cpu = view.used,
            }
        }
        used
    }

    pub(super) fn stats_reply(&self) -> StatsReply {
        let counters = &self.state.counters;
        let pool = self.pool.stats();
        let (connections, connections_ever) = Connections::read(&self.settings.connections);
        let own = super::super::clock::own_usage();
        StatsReply {
            uptime_seconds: counters.since.elapsed().as_secs_f64(),
            submitted: counters.submitted,
            started: counters.started,
            succeeded: counters.succeeded,
            failed: counters.failed,
            cancelled: counters.cancelled,
            retried: counters.retried,
            commits: counters.commits,
            changes: counters.changes,
            jobs_per_commit: ratio(counters.submitted, counters.submissions),
            commit_seconds: counters.commit_time.as_secs_f64(),
            commit_longest_seconds: counters.commit_longest.as_secs_f64(),
            calls: counters.calls,
            connections,
            connections_ever,
            turn_longest_seconds: counters.turn_longest.as_secs_f64(),
            events: counters.events,
            pool_run: pool.workers.iter().map(|worker| worker.run).sum(),
            pool_stolen: pool.workers.iter().map(|worker| worker.stolen).sum(),
            daemon_cpu_seconds: own.cpu.as_secs_f64(),
            daemon_rss_bytes: own.rss_bytes,
        }
    }

    pub(super) fn status_reply(&self) -> StatusReply {
        let sizes = self.settings.sizes();
        let used = self.used();
        let (health, problem) = self.health();
        let about = &self.settings.about;
        StatusReply {
            version: crate::VERSION.to_owned(),
            pid: std::process::id(),
            uid: about.uid,
            mode: match about.mode {
                Mode::System => "system".to_owned(),
                Mode::User => "user".to_owned(),
            },
            health: health.to_owned(),
            problem,
            started_at: to_rfc3339(about.started_at),
            socket: about.socket.display().to_string(),
            state_dir: about.state_dir.display().to_string(),
            config_files: self.settings.files(),
            jobs: Vec::new(),
            cpu: sizes.cpu,
            cpu_used: self.pool.permits().in_use() as u32,
            io: sizes.io,
            io_running: used.io,
            blocking: sizes.blocking,
            blocking_running: used.blocking,
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn to_resource(view: &ResourceView) -> Resource {
    Resource {
        name: view.name.to_string(),
        capacity: view.capacity,
        used: view.used,
        units: view.units.iter().map(ToString::to_string).collect(),
        holders: view.holders.iter().map(holder).collect(),
    }
}

fn to_worker(number: usize, stats: &crate::pool::WorkerStats) -> Worker {
    Worker {
        worker: number as u32,
        run: stats.run,
        stolen: stats.stolen,
        injected: stats.injected,
        parked: stats.parked,
        blocked_seconds: stats.blocked.as_secs_f64(),
        busy_seconds: stats.busy.as_secs_f64(),
    }
}
