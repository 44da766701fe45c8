//! `twolane hold`: keeps jobs where they are.

use super::change;
use super::desk::Desk;
use super::error::Error;
use super::select::Select;
use crate::protocol::{Hold, call};

/// Keep jobs where they are until they are released.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = change::CODES)]
pub(super) struct Args {
    #[command(flatten)]
    select: Select,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let hold = Hold { jobs: args.select.some("hold")?, reason: args.reason };
    let reply = desk.call::<call::Hold>(&hold).await?;
    change::tell("held", &hold.jobs, &reply, desk)
}
