//! `twolane man`: manual pages.

use clap::CommandFactory;
use clap_mangen::Man;

use super::args::Cli;
use super::desk::{DONE, Desk};
use super::error::Error;

/// Print the manual page, of one command if it is named.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// The command
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub(super) fn run(args: &Args, desk: &mut Desk) -> Result<i32, Error> {
    let mut command = Cli::command();
    command.build();
    if let Some(name) = &args.command {
        let found = command.find_subcommand(name).cloned().ok_or_else(|| {
            Error::usage(format!(
                "there is no command {name:?}: `{} --help` lists them",
                crate::NAME
            ))
        })?;
        // Clap keeps names for the whole life of the process, which ends with this page.
        let full_name: &'static str = format!("{}-{}", crate::NAME, found.get_name()).leak();
        command = found.name(full_name);
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    desk.out.text(&String::from_utf8_lossy(&page))?;
    DONE
}
