//! `twolane reload`: has the daemon read its config again.

use super::desk::{DONE, Desk};
use super::error::Error;
use super::stop::without_jobs;
use crate::protocol::{Empty, ReloadReply, call};

/// Have the daemon read its config again.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    without_jobs("reload", "retry", &args.words)?;
    let reply = desk.call_only::<call::Reload>(&Empty {}).await?;
    if desk.json() {
        desk.out.json(&reply)?;
        return DONE;
    }
    let ReloadReply { changed, removed, needs_restart } = &reply;
    if changed.is_empty() && removed.is_empty() && needs_restart.is_empty() {
        desk.out.line("nothing has changed")?;
    }
    for key in changed {
        desk.out.line(format_args!("in force: {key}"))?;
    }
    for key in removed {
        desk.out.line(format_args!("no longer set: {key}"))?;
    }
    for key in needs_restart {
        desk.out.line(format_args!("needs a restart: {key}"))?;
    }
    DONE
}
