//! `twolane remove`: forgets final jobs and their output.

use super::change;
use super::desk::Desk;
use super::error::Error;
use super::select::{self, Select};
use crate::job::State;
use crate::protocol::{Remove, call};

/// Forget final jobs and their output.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = change::CODES)]
pub(super) struct Args {
    #[command(flatten)]
    select: Select,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let jobs = args.select.some("remove")?;
    if !args.yes {
        select::confirm("remove", &jobs, State::is_final, desk).await?;
    }
    let remove = Remove { jobs };
    let reply = desk.call::<call::Remove>(&remove).await?;
    change::tell("removed", &remove.jobs, &reply, desk)
}
