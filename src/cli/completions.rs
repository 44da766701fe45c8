//! `twolane completions`: what a shell needs to complete command lines.

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;
use super::desk::{DONE, Desk};
use super::error::Error;

/// Print what a shell needs to complete command lines.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), crate::NAME, &mut script);
    desk.out.text(&String::from_utf8_lossy(&script))?;
    DONE
}
