//! `twolane release`: lets held jobs go on.

use super::change;
use super::desk::Desk;
use super::error::Error;
use super::select::Select;
use crate::protocol::{Release, call};

/// Let held jobs go on.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = change::CODES)]
pub(super) struct Args {
    #[command(flatten)]
    select: Select,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let release = Release { jobs: args.select.some("release")? };
    let reply = desk.call::<call::Release>(&release).await?;
    change::tell("released", &release.jobs, &reply, desk)
}
