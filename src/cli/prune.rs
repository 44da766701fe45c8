//! `twolane prune`: forgets jobs that ended long enough ago.

use super::count::counted;
use super::desk::{DONE, Desk};
use super::error::Error;
use super::select::Select;
use crate::job::{DurationError, parse_duration};
use crate::protocol::{Prune, call};

/// Forget final jobs that ended long enough ago, with their output.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// How long ago they must have ended
    #[arg(long, value_name = "DURATION", value_parser = span)]
    older_than: Option<String>,
    /// Forget nothing, say how many it would be
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    select: Select,
}

fn span(text: &str) -> Result<String, DurationError> {
    parse_duration(text).map(|_| text.to_owned())
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let jobs = args.select.any()?;
    if args.older_than.is_none() && jobs.is_empty() {
        return Err(Error::usage(
            "which jobs? Write --older-than 7d, or `twolane prune all` for every final one",
        ));
    }
    let prune = Prune { older_than: args.older_than, jobs, dry_run: args.dry_run };
    let reply = desk.call::<call::Prune>(&prune).await?;
    if desk.json() {
        desk.out.json(&reply)?;
    } else {
        let verb = if args.dry_run { "would remove" } else { "removed" };
        desk.out.line(format_args!("{verb} {}", counted(reply.removed, "job")))?;
    }
    DONE
}
