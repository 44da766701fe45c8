//! The desk: the command line, one file per command.
//!
//! Owns what people type and read. Never decides about jobs: every verb is one call of the protocol, and
//! the daemon's answer is what is told. Invariant: standard output holds results alone; notices,
//! questions and errors go to standard error.
//!
//! | files | what they are |
//! |---|---|
//! | `args` | the command line as a whole |
//! | `desk`, `start`, `output`, `error`, `table`, `moment`, `when` | what every command has at hand |
//! | `job_options`, `environment`, `inputs`, `pattern`, `template`, `pipeline`, `sheet`, `batch`, `spool` | making, changing and sending jobs |
//! | `select`, `change`, `follow`, `graph` | naming jobs, changing them, copying their output, drawing them |
//! | the rest | a command each |

mod apply;
mod args;
mod batch;
mod cancel;
mod change;
mod completions;
mod config;
mod count;
mod desk;
mod drain;
mod edit;
mod environment;
mod error;
mod events;
mod explain;
mod follow;
mod graph;
mod hold;
mod inputs;
mod job_options;
mod kinds;
mod lend;
mod list;
mod logs;
mod man;
mod moment;
mod output;
mod pattern;
mod pipeline;
mod pool;
mod prune;
mod queue;
mod release;
mod reload;
mod remove;
mod restart;
mod retry;
mod run;
mod schedule;
mod select;
mod sheet;
mod show;
mod spool;
mod start;
mod stats;
mod status;
mod stop;
mod submit;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod wait;
mod waiting;
mod when;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::ExitCode;

use self::args::{Cli, Command, Globals};
use self::desk::{Desk, Surroundings};
use self::error::Error;
use self::output::Output;
use crate::job::exit_code;

/// Runs one command line; its first word is the program's name.
///
/// `daemon` is what `twolane daemon` does, with the words after `daemon`.
pub fn main(
    line: impl IntoIterator<Item = OsString>,
    daemon: fn(Vec<OsString>) -> ExitCode,
) -> ExitCode {
    let line: Vec<OsString> = line.into_iter().collect();
    // Before everything else: a daemon's start owes nothing to the command line's parser.
    if let [_, word, words @ ..] = line.as_slice()
        && word == OsStr::new("daemon")
    {
        return daemon(start::detached(words));
    }
    match Cli::read(&line) {
        Ok(Cli { globals, command: Command::Daemon { words } }) => {
            daemon(daemon_words(globals, words))
        }
        Ok(cli) => leave(command(cli)),
        Err(error) => leave(misused(&error, &line)),
    }
}

fn leave(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// What a daemon is told of the common options.
fn daemon_words(globals: Globals, mut words: Vec<OsString>) -> Vec<OsString> {
    if let Some(socket) = globals.socket {
        words.splice(0..0, ["--socket".into(), socket.into_os_string()]);
    }
    words
}

/// Shows what clap has to say: help, the version, or what was wrong.
fn misused(error: &clap::Error, line: &[OsString]) -> i32 {
    let json = line.iter().any(|word| word == OsStr::new("--json"));
    let text = in_our_words(&error.render().to_string());
    if error.use_stderr() && json {
        let text = text.trim_start_matches("error: ").trim_end().to_owned();
        let _ = writeln!(std::io::stderr(), "{}", Error::Usage(text).to_json());
    } else if text != error.render().to_string() {
        let _ = write!(std::io::stderr(), "{text}");
    } else {
        // Nobody can be told that they can't be told.
        let _ = error.print();
    }
    error.exit_code()
}

/// What the standard library says of numbers, as it is for people.
fn in_our_words(text: &str) -> String {
    const WHOLE: &str = "write a whole number, as in 4";
    [
        ("invalid digit found in string", WHOLE),
        ("cannot parse integer from empty string", WHOLE),
        ("number too large to fit in target type", "the number is too large"),
        ("number too small to fit in target type", "the number is too small"),
        ("invalid float literal", "write a number, as in 1.5"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

fn command(cli: Cli) -> i32 {
    let out = Output::standard(cli.globals.json, cli.globals.quiet);
    let mut desk = Desk::new(cli.globals, out, Surroundings::of_this_process());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(perform(cli.command, &mut desk)),
        Err(source) => Err(Error::System { what: "can't start", source }),
    };
    result.and_then(|code| desk.out.flush().map(|()| code)).unwrap_or_else(|error| {
        desk.out.fail(&error);
        error.exit_code()
    })
}

async fn perform(command: Command, desk: &mut Desk) -> Result<i32, Error> {
    match command {
        Command::Submit(args) => submit::run(args, desk).await,
        Command::Apply(args) => apply::run(args, desk).await,
        Command::Run(args) => run::run(args, desk).await,
        Command::List(args) => list::run(args, desk).await,
        Command::Show(args) => show::run(args, desk).await,
        Command::Explain(args) => explain::run(args, desk).await,
        Command::Logs(args) => logs::run(args, desk).await,
        Command::Follow(args) => logs::run(args.following(), desk).await,
        Command::Wait(args) => wait::run(args, desk).await,
        Command::Cancel(args) => cancel::run(args, desk).await,
        Command::Retry(args) => retry::run(args, desk).await,
        Command::Hold(args) => hold::run(args, desk).await,
        Command::Release(args) => release::run(args, desk).await,
        Command::Edit(args) => edit::run(args, desk).await,
        Command::Remove(args) => remove::run(args, desk).await,
        Command::Prune(args) => prune::run(args, desk).await,
        Command::Schedule(args) => schedule::run(args, desk).await,
        Command::Queue(args) => queue::run(args, desk).await,
        Command::Pool(args) => pool::run(args, desk).await,
        Command::Stats(args) => stats::run(args, desk).await,
        Command::Events(args) => events::run(args, desk).await,
        Command::Kinds(args) => kinds::run(args, desk).await,
        Command::Status(args) => status::run(args, desk).await,
        Command::Config(args) => config::run(args, desk).await,
        Command::Reload(args) => reload::run(args, desk).await,
        Command::Restart(args) => restart::run(&args),
        Command::Drain(args) => drain::run(args, desk).await,
        Command::Stop(args) => stop::run(args, desk).await,
        Command::Completions(args) => completions::run(args, desk),
        Command::Man(args) => man::run(&args, desk),
        // Taken before, where no desk is needed.
        Command::Daemon { .. } => Ok(exit_code::USAGE),
    }
}
