//! `twolane drain`: starts nothing more.

use super::desk::{DONE, Desk};
use super::error::Error;
use super::stop::without_jobs;
use crate::protocol::{Drain, call};

/// Start nothing more; what runs goes on.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Start jobs again
    #[arg(long)]
    off: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", conflicts_with = "off")]
    reason: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    without_jobs("drain", "hold", &args.words)?;
    let reply =
        desk.call_only::<call::Drain>(&Drain { off: args.off, reason: args.reason }).await?;
    if desk.json() {
        desk.out.json(&reply)?;
    } else if args.off {
        desk.out.notice("jobs start again");
    } else {
        desk.out.notice(
            "nothing more starts, also after a restart; `twolane drain --off` ends that, `twolane stop` ends the daemon",
        );
    }
    DONE
}
