//! The command line as a whole: which commands there are and what they all take.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::{
    apply, cancel, completions, config, drain, edit, events, explain, hold, kinds, list, logs, man,
    pool, prune, queue, release, reload, remove, restart, retry, run, schedule, show, stats,
    status, stop, submit, wait,
};

/// One queue, one command, two lanes: jobs that wait cost nothing, jobs that work get every core.
#[derive(Debug, Parser)]
#[command(name = crate::NAME, version, max_term_width = 100, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) globals: Globals,
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Cli {
    /// Reads a command line whose first word is the program's name.
    pub(super) fn read(line: &[OsString]) -> Result<Self, clap::Error> {
        // Whatever can't be read is read once more by what knows all commands and can say what is wrong.
        Self::try_parse_from(line).or_else(|_| {
            let mut whole = Self::whole();
            let mut found = whole.try_get_matches_from_mut(line)?;
            Self::from_arg_matches_mut(&mut found).map_err(|error| error.format(&mut whole))
        })
    }

    /// The command line with the options of all commands.
    pub(super) fn whole() -> clap::Command {
        let mut command = Self::command();
        command.build();
        command
    }
}

/// What every command takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Common options")]
pub(super) struct Globals {
    /// The daemon's socket
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// Your own daemon
    #[arg(long, global = true, conflicts_with = "system")]
    pub(super) user: bool,
    /// The system's daemon
    #[arg(long, global = true)]
    pub(super) system: bool,
    /// Do not start a daemon when none answers
    #[arg(long, global = true)]
    pub(super) no_start: bool,
    /// Results and errors as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Only results, no notices
    #[arg(long, global = true)]
    pub(super) quiet: bool,
}

/// The commands. There are a few hundred options, and making them all takes as long as a short job: a
/// command's own are made when it is the one that was typed.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    #[command(visible_alias = "add")]
    Submit(submit::Args),
    Run(run::Args),
    Apply(apply::Args),
    #[command(visible_alias = "ls")]
    List(list::Args),
    Show(show::Args),
    Explain(explain::Args),
    Logs(logs::Args),
    /// Show a job's output until it is final; the same as `logs -f`
    Follow(logs::Args),
    Wait(wait::Args),
    #[command(visible_alias = "kill")]
    Cancel(cancel::Args),
    Retry(retry::Args),
    Hold(hold::Args),
    Release(release::Args),
    Edit(edit::Args),
    #[command(visible_alias = "rm")]
    Remove(remove::Args),
    Prune(prune::Args),
    Schedule(schedule::Args),
    Queue(queue::Args),
    Pool(pool::Args),
    Stats(stats::Args),
    Events(events::Args),
    Kinds(kinds::Args),
    Status(status::Args),
    Config(config::Args),
    Reload(reload::Args),
    #[command(hide = true)]
    Restart(restart::Args),
    Drain(drain::Args),
    Stop(stop::Args),
    /// Be the daemon, in the foreground
    #[command(disable_help_flag = true)]
    Daemon {
        /// The daemon's own flags; --help lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
        words: Vec<OsString>,
    },
    Completions(completions::Args),
    Man(man::Args),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_after_the_command_belong_to_the_command() {
        let line = ["twolane", "submit", "-q", "gpu", "ls", "-q", "--json", "--", "x"];
        let Command::Submit(_) = Cli::try_parse_from(line).unwrap().command else { panic!() };
        let cli = Cli::try_parse_from(line).unwrap();
        assert!(!cli.globals.json);
    }

    #[test]
    fn only_what_was_typed_is_made_and_errors_know_all() {
        let quick = Cli::command();
        let options = |name| quick.find_subcommand(name).unwrap().get_arguments().count();
        assert_eq!((options("submit"), options("list")), (0, 0));
        for line in ["run", "run --help", "submit -p x", "submit --user --system x", "--help"] {
            let line: Vec<OsString> =
                format!("twolane {line}").split(' ').map(OsString::from).collect();
            let told = Cli::read(&line).unwrap_err().to_string();
            let whole = Cli::whole().try_get_matches_from(&line).unwrap_err().to_string();
            assert_eq!(told, whole);
        }
    }
}
