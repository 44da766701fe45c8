//! `twolane status`: which daemon answers, and how it is.

use jiff::Timestamp;

use super::desk::{DONE, Desk};
use super::error::Error;
use super::moment;
use super::table::visible;
use crate::protocol::{Empty, StatusReply, call};

/// Say which daemon answers, and how it is.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args, desk: &mut Desk) -> Result<i32, Error> {
    let status = desk.call_only::<call::Status>(&Empty {}).await?;
    if desk.json() {
        desk.out.json(&status)?;
        return DONE;
    }
    for (name, value) in lines(&status, Timestamp::now()) {
        desk.out.line(format_args!("{name:<10}{}", visible(&value)))?;
    }
    for other in desk.others_alive().await {
        let text = format!("also alive: the daemon at {} (--socket {0} asks it)", other.display());
        desk.out.notice(text);
    }
    DONE
}

fn lines(status: &StatusReply, now: Timestamp) -> Vec<(&'static str, String)> {
    let health = match &status.problem {
        Some(problem) => format!("{}: {problem}", status.health),
        None => status.health.clone(),
    };
    let up = moment::short(moment::between(&status.started_at, None, now));
    let counts: Vec<String> = status
        .jobs
        .iter()
        .filter(|entry| entry.count > 0)
        .map(|entry| format!("{} {}", entry.count, entry.state))
        .collect();
    let jobs = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let lanes = format!(
        "cpu {}/{}, io {}/{}, blocking {}/{}",
        status.cpu_used,
        status.cpu,
        status.io_running,
        status.io,
        status.blocking_running,
        status.blocking
    );
    let mut told = vec![
        (
            "daemon",
            format!(
                "{} daemon {}, pid {}, uid {}, up {up}",
                status.mode, status.version, status.pid, status.uid
            ),
        ),
        ("health", health),
        ("jobs", jobs),
        ("lanes", lanes),
        ("socket", status.socket.clone()),
        ("state", status.state_dir.clone()),
    ];
    if !status.config_files.is_empty() {
        told.push(("config", status.config_files.join(", ")));
    }
    told
}
