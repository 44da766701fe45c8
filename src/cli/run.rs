//! `twolane run`: hands a job in, shows its output as it comes, and leaves with its exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::pin::pin;

use futures_util::{Stream, StreamExt};
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook_tokio::Signals;

use super::batch::Sender;
use super::desk::{DONE, Desk};
use super::environment::Disposition;
use super::error::Error;
use super::follow;
use super::job_options::{JobOptions, texts};
use super::lend;
use super::output::Streams;
use super::spool::{self, Spool};
use super::submit;
use super::waiting;
use crate::client::{CallError, Client, Replies};
use crate::job::{JobId, exit_code};
use crate::protocol::{Cancel, Finished, IdRange, JobSpec, Logs, Selector, call};

/// The exit code of a program that can't write to its pipe any more.
const BROKEN_PIPE: i32 = exit_code::SIGNAL_BASE + 13;

/// Run a job, show its output and leave with its exit code.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// The command with its arguments, or the kind's key=value parameters
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD",
        required = true
    )]
    words: Vec<OsString>,
    /// Print the job's id and leave it running
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    job: JobOptions,
}

const NOTES: &str = "\
A job that is run so is run at most once unless --retries is given. Piped standard input is read to
its end first. Ctrl-C asks, the second one cancels the job; Ctrl-\\ leaves it running.
Exit codes: the job's own; 128+N if signal N ended it; 127 not found, 126 not executable, 125
interrupted, 124 timed out, 123 cancelled, 122 skipped, 121 refused, 120 no daemon.";

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// To be warned first.
    Warn,
    /// To end the job.
    Cancel,
    /// To leave the job alone.
    Detach,
    /// To leave at once.
    Leave,
}

/// Why the job is not watched any more, and the code to leave with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It has ended.
    Final(i32),
    /// It goes on.
    Left(i32),
}

pub(super) async fn run(mut args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let words = texts(std::mem::take(&mut args.words))?;
    let mut spec = args.job.spec(words)?;
    spec.cwd.clone_from(&args.job.cwd);
    submit::absolute_folder(&mut spec)?;
    spec.at_most_once |= args.job.retries.is_none();
    let spool = take_input(&mut spec, desk)?;
    let disposition = Disposition::of_this_process();
    let client = desk.connect().await?;
    let mut signals = signals(&disposition)?;
    let (client, id) = tokio::select! {
        handed = hand_in(client, &args.job, spec, disposition.umask, desk) => handed?,
        Some(signal) = signals.next() => {
            desk.out.say("interrupted while the job was handed in: `twolane list` tells whether it was");
            keep(spool);
            return Ok(exit_code::SIGNAL_BASE + signal);
        }
    };
    if args.detach {
        if desk.json() {
            desk.out.json(&serde_json::json!({ "ids": [id] }))?;
        } else {
            desk.out.line(id)?;
        }
        keep(spool);
        desk.out.flush()?;
        return DONE;
    }
    let terminal = io::stderr().is_terminal();
    let end = attend(client, id, signals, terminal, desk).await;
    if !matches!(end, Ok(End::Final(_))) {
        keep(spool);
    }
    match end? {
        End::Final(code) | End::Left(code) => Ok(code),
    }
}

fn keep(spool: Option<Spool>) {
    if let Some(spool) = spool {
        spool.keep();
    }
}

fn take_input(spec: &mut JobSpec, desk: &mut Desk) -> Result<Option<Spool>, Error> {
    if spec.argv.is_none() {
        return Ok(None);
    }
    let spool = spool::standard_input(desk)?;
    if let Some(spool) = &spool {
        spec.params.insert("stdin".to_owned(), spool.path_text()?.into());
    }
    Ok(spool)
}

async fn hand_in(
    mut client: Client,
    options: &JobOptions,
    spec: JobSpec,
    umask: Option<u32>,
    desk: &mut Desk,
) -> Result<(Client, JobId), Error> {
    let context = submit::context(options, umask, desk, &mut client).await?;
    let mut sender = Sender::new(client, context, None, false)?;
    sender.add(spec, 1).await.map_err(|failed| failed.error)?;
    let sent = sender.send().await.map_err(|failed| failed.error)?;
    for warning in sender.take_warnings() {
        desk.out.notice(warning);
    }
    let id = sent.first().map(|range| range.first).ok_or(CallError::Closed)?;
    Ok((sender.into_client(), id))
}

/// The signals that mean something to a running job, except those that were ignored from the start: a
/// shell's background job is not to react to Ctrl-C.
fn signals(disposition: &Disposition) -> Result<Signals, Error> {
    let heard =
        [SIGINT, SIGTERM, SIGQUIT].into_iter().filter(|&signal| !disposition.ignores(signal));
    Signals::new(heard).map_err(|source| Error::System { what: "can't listen for signals", source })
}

/// Shows the job's output until it ends or is left alone.
pub(super) async fn attend(
    client: Client,
    id: JobId,
    mut signals: impl Stream<Item = i32> + Unpin,
    terminal: bool,
    desk: &mut Desk,
) -> Result<End, Error> {
    let logs = Logs { id, attempt: None, stream: None, follow: true, tail: None };
    let _lent = lend::while_waiting(desk).await;
    let replies = client.stream::<call::Logs>(&logs).await?;
    let mut watching = pin!(watch(replies, desk.out.streams()));
    let (mut asked, mut cancelled, mut deaf) = (false, false, false);
    let mut patience = pin!(tokio::time::sleep(waiting::PATIENCE));
    let mut patient = true;
    loop {
        let signal = tokio::select! {
            watched = &mut watching => return conclude(watched, id, desk),
            signal = signals.next(), if !deaf => signal,
            () = &mut patience, if patient => {
                patient = false;
                waiting::tell(id, desk).await;
                continue;
            }
        };
        let Some(signal) = signal else {
            deaf = true;
            continue;
        };
        match wish(signal, terminal, asked, cancelled) {
            Wish::Warn => {
                asked = true;
                desk.out.say(format_args!(
                    "press Ctrl-C again to cancel job {id}, or Ctrl-\\ to leave it running"
                ));
            }
            Wish::Cancel => {
                cancelled = true;
                cancel(id, desk).await?;
            }
            Wish::Detach => {
                desk.out.say(format_args!("job {id} goes on: `{} logs -f {id}`", crate::NAME));
                return Ok(End::Left(exit_code::SUCCESS));
            }
            Wish::Leave => return Ok(End::Left(exit_code::SIGNAL_BASE + signal)),
        }
    }
}

const fn wish(signal: i32, terminal: bool, asked: bool, cancelled: bool) -> Wish {
    match signal {
        SIGQUIT => Wish::Detach,
        _ if cancelled => Wish::Leave,
        SIGINT if terminal && !asked => Wish::Warn,
        _ => Wish::Cancel,
    }
}

/// Copies the job's output until there is no more; tells how the job ended, and how many bytes were gone before they
/// could be read.
async fn watch(
    mut replies: Replies<call::Logs>,
    mut streams: Streams,
) -> Result<(Finished, u64), Error> {
    let mut missing = 0;
    loop {
        let reply = replies.next().await.unwrap_or(Err(CallError::Closed))?;
        follow::copy(&reply, &mut streams).await?;
        missing += reply.cut.unwrap_or(0);
        if let Some(finished) = reply.finished {
            return Ok((finished, missing));
        }
    }
}

/// Says what the caller has to know about the end of watching.
fn conclude(
    watched: Result<(Finished, u64), Error>,
    id: JobId,
    desk: &mut Desk,
) -> Result<End, Error> {
    let name = crate::NAME;
    match watched {
        Ok((finished, missing)) => {
            if let Some(text) = follow::ending(&finished) {
                desk.out.say(format_args!("job {id}: {text}"));
            }
            if missing > 0 {
                desk.out.say(format_args!(
                    "job {id}: {missing} bytes of its output are missing above: it printed faster than they were read, and more than is kept"
                ));
            }
            // Who counts on every byte must not take this for success.
            let code = follow::code(&finished);
            Ok(End::Final(if missing > 0 { code.max(exit_code::FAILURE) } else { code }))
        }
        Err(Error::NobodyReads) => {
            desk.out.say(format_args!(
                "nobody reads the output any more; job {id} goes on: `{name} cancel {id}` ends it, `{name} logs {id}` shows all"
            ));
            Ok(End::Left(BROKEN_PIPE))
        }
        Err(Error::Call(error)) => {
            let about = format!("job {id} is not watched any more (`{name} logs -f {id}`)");
            Err(Error::CallAbout { about, error })
        }
        Err(error) => Err(error),
    }
}

async fn cancel(id: JobId, desk: &mut Desk) -> Result<(), Error> {
    let jobs = Selector { ids: vec![IdRange { first: id, last: id }], ..Selector::default() };
    let reason = Some(format!("{} run was interrupted", crate::NAME));
    desk.call_only::<call::Cancel>(&Cancel { jobs, reason }).await?;
    Ok(())
}
