//! `twolane stats`: counters since the daemon started.

use super::desk::{DONE, Desk};
use super::error::Error;
use super::moment;
use crate::job::format_size;
use crate::protocol::{Empty, StatsReply, call};

/// Show counters since the daemon started.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, desk: &mut Desk) -> Result<i32, Error> {
    let stats = desk.call_only::<call::Stats>(&Empty {}).await?;
    if desk.json() {
        desk.out.json(&stats)?;
        return DONE;
    }
    for (name, value) in lines(&stats) {
        desk.out.line(format_args!("{name:<12}{value}"))?;
    }
    DONE
}

fn lines(stats: &StatsReply) -> Vec<(&'static str, String)> {
    vec![
        ("up", moment::seconds(stats.uptime_seconds)),
        ("jobs", format!("{} submitted, {} cancelled", stats.submitted, stats.cancelled)),
        (
            "attempts",
            format!(
                "{} started, {} succeeded, {} failed, {} to be retried",
                stats.started, stats.succeeded, stats.failed, stats.retried
            ),
        ),
        (
            "commits",
            format!(
                "{} with {} changes, {:.1} jobs in each that took jobs, {} in all, longest {}",
                stats.commits,
                stats.changes,
                stats.jobs_per_commit,
                moment::seconds(stats.commit_seconds),
                moment::seconds(stats.commit_longest_seconds)
            ),
        ),
        (
            "calls",
            format!(
                "{} over {} connections, {} open",
                stats.calls, stats.connections_ever, stats.connections
            ),
        ),
        (
            "loop",
            format!(
                "{} events, longest turn {}",
                stats.events,
                moment::seconds(stats.turn_longest_seconds)
            ),
        ),
        ("pool", format!("{} closures run, {} stolen", stats.pool_run, stats.pool_stolen)),
        (
            "daemon",
            format!(
                "{} of processor time, {} of memory",
                moment::seconds(stats.daemon_cpu_seconds),
                format_size(stats.daemon_rss_bytes)
            ),
        ),
    ]
}
