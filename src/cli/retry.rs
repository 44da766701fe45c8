//! `twolane retry`: runs final jobs again.

use super::change;
use super::desk::Desk;
use super::error::Error;
use super::select::Select;
use crate::protocol::{Retry, call};

/// Run final jobs again, under their ids.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = change::CODES)]
pub(super) struct Args {
    #[command(flatten)]
    select: Select,
    /// And those that were skipped because of them
    #[arg(long)]
    dependents: bool,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let retry = Retry { jobs: args.select.some("retry")?, dependents: args.dependents };
    let reply = desk.call::<call::Retry>(&retry).await?;
    change::tell("runs again:", &retry.jobs, &reply, desk)
}
