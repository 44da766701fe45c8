//! The command line as a whole: which commands there are and what they all take.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

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

/// A command by itself. The whole command line has a few hundred options, and building their
/// descriptions takes as long as a short job: the commands that scripts use most do without.
#[derive(Debug, Parser)]
#[command(name = crate::NAME, no_binary_name = true)]
struct Alone<A: clap::Args> {
    #[command(flatten)]
    globals: Globals,
    #[command(flatten)]
    args: A,
}

impl Cli {
    /// Reads a command line whose first word is the program's name.
    pub(super) fn read(line: &[OsString]) -> Result<Self, clap::Error> {
        // Whatever does not go the short way goes the long one, which knows how to say what is wrong.
        Self::read_shortly(line).map_or_else(|| Self::try_parse_from(line), Ok)
    }

    fn read_shortly(line: &[OsString]) -> Option<Self> {
        let (verb, words) = line.get(1..)?.split_first()?;
        match verb.to_str()? {
            "run" => alone(words, Command::Run),
            "submit" | "add" => alone(words, Command::Submit),
            "list" | "ls" => alone(words, Command::List),
            "show" => alone(words, Command::Show),
            "explain" => alone(words, Command::Explain),
            "logs" => alone(words, Command::Logs),
            "wait" => alone(words, Command::Wait),
            "cancel" | "kill" => alone(words, Command::Cancel),
            "status" => alone(words, Command::Status),
            _ => None,
        }
    }
}

fn alone<A: clap::Args>(words: &[OsString], command: fn(A) -> Command) -> Option<Cli> {
    let Alone { globals, args } = Alone::<A>::try_parse_from(words).ok()?;
    Some(Cli { globals, command: command(args) })
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

/// The commands.
#[derive(Debug, Subcommand)]
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
    use clap::CommandFactory;

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
    fn the_short_way_reads_what_the_long_way_reads() {
        for line in [
            "run -- true",
            "run --json -d --retries 2 make -j4 --quiet",
            "submit -q gpu --socket /x --user -- ls -l",
            "submit x {} ::: a b -- c",
            "submit --kind http url=x",
            "submit",
            "ls -x --state queued 3-9",
            "show last --json",
            "explain 12_7",
            "logs -f --tail 3 12",
            "wait --json all",
            "kill 12 13",
            "status --user",
        ] {
            let line: Vec<OsString> =
                format!("twolane {line}").split(' ').map(OsString::from).collect();
            let short = Cli::read_shortly(&line).unwrap_or_else(|| panic!("{line:?}"));
            let long = Cli::try_parse_from(&line).unwrap();
            assert_eq!(format!("{short:?}"), format!("{long:?}"));
        }
        for line in ["run", "run --help", "submit -p x", "submit --user --system x"] {
            let line: Vec<OsString> =
                format!("twolane {line}").split(' ').map(OsString::from).collect();
            assert!(Cli::read_shortly(&line).is_none(), "{line:?}");
            assert!(Cli::read(&line).is_err(), "{line:?}");
        }
    }
}
