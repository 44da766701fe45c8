//! `twolane cancel`: ends jobs.

use super::change;
use super::desk::Desk;
use super::error::Error;
use super::select::{self, Select};
use crate::protocol::{Cancel, call};

/// End jobs that are not final.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = change::CODES)]
pub(super) struct Args {
    #[command(flatten)]
    select: Select,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let jobs = args.select.some("cancel")?;
    if !args.yes {
        select::confirm("cancel", &jobs, |state| !state.is_final(), desk).await?;
    }
    let cancel = Cancel { jobs, reason: args.reason };
    let reply = desk.call::<call::Cancel>(&cancel).await?;
    change::tell("cancelled", &cancel.jobs, &reply, desk)
}
