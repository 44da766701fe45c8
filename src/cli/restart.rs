//! `twolane restart`: replaces the daemon's program while jobs go on.

use serde_json::json;

use super::desk::{DONE, Desk};
use super::error::Error;
use super::stop::without_jobs;
use super::way_back::WayBack;
use crate::client::CallError;
use crate::protocol::{Empty, Restart, call};

/// Start the installed program in the daemon's place; commands go on meanwhile.
///
/// What runs inside the daemon, which is all kinds but command, has as long as `daemon.restart_timeout` to end, and is queued
/// again if it has not, which uses up no try; what runs at most once ends as failed (interrupted).
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Queue what runs inside the daemon again at once
    #[arg(long)]
    now: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    without_jobs("restart", "retry", &args.words)?;
    let mut client = desk.connect_only().await?;
    let before = client.call::<call::Status>(&Empty {}).await?;
    let reply = client.call::<call::Restart>(&Restart { now: args.now }).await?;
    // The old program has said its last word; the next one answers on the same socket.
    let next = WayBack::of(desk).after(&CallError::Closed).await;
    let mut client = next.ok_or(CallError::Closed)?;
    let after = client.call::<call::Status>(&Empty {}).await?;
    if after.started_at == before.started_at {
        let message =
            "the daemon goes on as before: its log tells why the new program could not be started";
        return Err(Error::NotRestarted(message.to_owned()));
    }
    if desk.json() {
        desk.out.json(&json!({
            "version_before": reply.version,
            "version": after.version,
            "pid": after.pid,
            "kept": reply.kept,
            "queued_again": reply.queued_again,
        }))?;
        return DONE;
    }
    let version = if after.version == reply.version {
        format!("version {}", after.version)
    } else {
        format!("version {} in place of {}", after.version, reply.version)
    };
    desk.out.notice(format_args!(
        "the daemon was restarted, {version}; commands that go on: {}, other jobs queued again: {}",
        reply.kept, reply.queued_again
    ));
    DONE
}
