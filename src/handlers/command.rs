//! The kind `command`: runs a program as a child process and waits for it without a thread.
//!
//! Owns what the child is given: its argument vector, its environment, its descriptors. How it is
//! started, waited for and ended is [`crate::process`]'s affair. Invariant: when an attempt is over,
//! nobody of its process group is left, however it ended.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::job::{Class, Context, Failure, Outcome, Params, Usage};
use crate::process::{
    ATTEMPT_VARIABLE, Child, Exit, Launch, Processes, ResolveError, Signal, SpawnError, Status,
    Stdin, resolve, terminate,
};

use super::handler::AsyncHandler;
use super::kind::{Kind, KindInfo};
use super::output::{Output, OutputError};
use super::param::{self, Param, ParamError, ParamKind};
use super::registry::Trades;
use super::run::{Report, Run};

/// The name of this kind.
pub const COMMAND: &str = "command";

const ARGV: &str = "argv";
const SHELL: &str = "shell";
const STDIN: &str = "stdin";

/// POSIX promises it, whatever the user's own shell is, so a job means the same everywhere.
const SHELL_PROGRAM: &str = "/bin/sh";
/// How soon files are opened again for which there was no descriptor.
const OPEN_AGAIN: Duration = Duration::from_millis(100);
/// Where programs are looked for when the environment has no PATH, as `execvp` does.
const FALLBACK_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The kind with its declaration.
pub(super) fn kind(trades: &Trades) -> Kind {
    let params = vec![
        Param::required(ARGV, ParamKind::List, "the program and its arguments"),
        Param::optional(SHELL, ParamKind::Bool, "join argv with spaces and let /bin/sh run it")
            .or("false"),
        Param::optional(STDIN, ParamKind::Path, "a file to read as standard input, else nothing"),
    ];
    let info = KindInfo {
        classes: vec![Class::Io, Class::Cpu],
        params,
        ..KindInfo::new(COMMAND, Class::Auto, "run a program")
    };
    let (processes, socket) = (trades.processes.clone(), trades.socket.clone());
    Kind::asynchronous(info, Command { processes, socket })
}

struct Command {
    processes: Processes,
    socket: Option<PathBuf>,
}

/// Why a command does not become a process.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Resolve(#[from] ResolveError),
    #[error("{0}")]
    Spawn(#[from] SpawnError),
    #[error("{0}")]
    Output(#[from] OutputError),
    #[error("cannot read the input file {}: {source}", path.display())]
    Input { path: PathBuf, source: io::Error },
    #[error("cannot enter the working directory {}: {source}", cwd.display())]
    WorkingDirectory { cwd: PathBuf, source: io::Error },
    #[error("there is no program to run: argv is empty")]
    Empty,
    #[error("the thread that opens files has failed")]
    Opener,
    #[error("it was cancelled before it began")]
    Cancelled,
}

impl AsyncHandler for Command {
    fn check(&self, params: &Params, _: &Context) -> Result<(), ParamError> {
        let argv = param::list(params, ARGV);
        if argv.first().is_none_or(|program| program.is_empty()) {
            return Err(ParamError::value(ARGV, "there is no program: name one and its arguments"));
        }
        match argv.iter().position(|argument| argument.contains('\0')) {
            None => Ok(()),
            Some(at) => {
                let problem = "contains a NUL byte, which no command line can carry";
                Err(ParamError::value(ARGV, format!("item {at} {problem}: remove it")))
            }
        }
    }

    fn run(self: Arc<Self>, run: Run) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        Box::pin(async move {
            if run.cancel.is_cancelled() {
                return Report::cancelled();
            }
            let (cancel, grace, progress) = (run.cancel.clone(), run.grace, run.progress.clone());
            progress.wait(true);
            let started = self.start(run).await;
            progress.wait(false);
            let child = match started {
                Ok(child) => child,
                Err(StartError::Cancelled) => return Report::cancelled(),
                Err(error) => return error.report(),
            };
            let exit = match cancel.run_until_cancelled(child.0.exited()).await {
                Some(exit) => {
                    end_stragglers(&child.0, grace).await;
                    exit
                }
                None => terminate(&child.0, grace).await,
            };
            report(&exit)
        })
    }
}

impl Command {
    async fn start(&self, run: Run) -> Result<Reins, StartError> {
        let argv = arguments(&run.params);
        let program = find(argv.first().ok_or(StartError::Empty)?, &run.context)?;
        let env = self.environment(&run);
        let input = param::text(&run.params, STDIN).map(|path| run.context.cwd.join(path));
        let (stdin, (stdout, stderr)) =
            open_files(input, run.output, &run.cancel, &self.processes).await?;
        let launch = Launch {
            program,
            argv,
            env,
            cwd: Some(&run.context.cwd).filter(|cwd| !cwd.as_os_str().is_empty()).cloned(),
            umask: run.context.umask,
            stdin,
            stdout,
            stderr,
        };
        // On a task of its own, which nobody aborts: a child that was started just when the attempt was
        // dropped is received all the same, and its reins end it. One that began just when it was cancelled is received
        // too, and has its grace.
        let (processes, cancel) = (self.processes.clone(), run.cancel.clone());
        let wanted = move || !cancel.is_cancelled();
        let spawning = async move { processes.spawn_patiently(launch, wanted).await.map(Reins) };
        match tokio::spawn(spawning).await.unwrap_or(Err(SpawnError::Stopped)) {
            Err(error) if error.is_retryable() && run.cancel.is_cancelled() => {
                Err(StartError::Cancelled)
            }
            started => Ok(started?),
        }
    }

    /// The submitter's variables, and over them those that tell the command what it is part of.
    fn environment(&self, run: &Run) -> Vec<(OsString, OsString)> {
        let own = [
            ("TWOLANE_JOB", Some(run.job.to_string().into())),
            (ATTEMPT_VARIABLE, Some(run.token.to_string().into())),
            ("TWOLANE_CPUS", Some(run.cpus.to_string().into())),
            ("TWOLANE_INDEX", run.index.map(|index| index.to_string().into())),
            ("TWOLANE_NAME", run.name.as_deref().map(OsString::from)),
            ("TWOLANE_SOCKET", self.socket.as_ref().map(|path| path.clone().into_os_string())),
        ];
        let given =
            run.context.env.iter().filter(|(name, _)| !own.iter().any(|own| own.0 == *name));
        let given = given.map(|(name, value)| (name.into(), value.into()));
        let set = own.iter().filter_map(|(name, value)| Some(((*name).into(), value.clone()?)));
        given.chain(set).collect()
    }
}

/// The argument vector; with `shell` that of the shell that reads it as one script.
fn arguments(params: &Params) -> Vec<OsString> {
    let argv = param::list(params, ARGV);
    if param::flag(params, SHELL) {
        return vec![SHELL_PROGRAM.into(), "-c".into(), argv.join(" ").into()];
    }
    argv.into_iter().map(OsString::from).collect()
}

/// Looks the program up with the PATH and in the directory of the submitter. A directory that has
/// gone would look like a missing program, so it is told apart.
fn find(program: &OsStr, context: &Context) -> Result<PathBuf, StartError> {
    let path = context.env.get("PATH").map_or(FALLBACK_PATH, String::as_str);
    resolve(program, OsStr::new(path), &context.cwd).map_err(|error| match enter(&context.cwd) {
        Err(source) => StartError::WorkingDirectory { cwd: context.cwd.clone(), source },
        Ok(()) => error.into(),
    })
}

fn enter(cwd: &Path) -> io::Result<()> {
    if cwd.as_os_str().is_empty() {
        return Ok(());
    }
    cwd.read_dir().map(drop)
}

/// Opens the child's files. Captured files lie in the state directory and are opened right here;
/// the user's may lie where an open takes long, so they are opened on a thread that may block. While there is no descriptor
/// left they are tried again, until the attempt is cancelled.
async fn open_files(
    input: Option<PathBuf>,
    mut output: Output,
    cancel: &CancellationToken,
    processes: &Processes,
) -> Result<(Stdin, (OwnedFd, OwnedFd)), StartError> {
    let mut short = None;
    loop {
        let opened;
        if input.is_none() && !output.is_users() {
            opened = output.open().map(|files| (Stdin::Null, files)).map_err(StartError::from);
        } else {
            let input = input.clone();
            let open = move || {
                let opened = open_both(input, &mut output);
                (output, opened)
            };
            let done = tokio::task::spawn_blocking(open).await;
            (output, opened) = done.map_err(|_| StartError::Opener)?;
        }
        match opened {
            Err(error) if error.is_for_want_of_descriptors() => {
                short.get_or_insert_with(|| processes.short());
                let pause = tokio::time::sleep(OPEN_AGAIN);
                if cancel.run_until_cancelled(pause).await.is_none() {
                    return Err(StartError::Cancelled);
                }
            }
            opened => return opened,
        }
    }
}

fn open_both(
    input: Option<PathBuf>,
    output: &mut Output,
) -> Result<(Stdin, (OwnedFd, OwnedFd)), StartError> {
    Ok((open_input(input)?, output.open()?))
}

fn open_input(input: Option<PathBuf>) -> Result<Stdin, StartError> {
    let Some(path) = input else { return Ok(Stdin::Null) };
    // Opening a pipe without a writer would wait for one, and no cancellation could reach it.
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
    let whole = opened.and_then(|file| {
        let regular = file.metadata()?.is_file();
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        regular.then_some(file).ok_or_else(wrong)
    });
    match whole {
        Ok(file) => Ok(Stdin::Fd(file.into())),
        Err(source) => Err(StartError::Input { path, source }),
    }
}

/// What the command left behind in its group is ended, as if it had been cancelled.
async fn end_stragglers(child: &Child, grace: Duration) {
    if child.stragglers() {
        child.end_stragglers(grace).await;
    }
}

/// A child that is killed with its tree if the attempt's future is dropped before its end.
struct Reins(Child);

impl Drop for Reins {
    fn drop(&mut self) {
        if self.0.exit().is_none() || self.0.stragglers() {
            // It fails only if everybody has ended meanwhile.
            let _ = self.0.end_tree(Signal::KILL);
        }
    }
}

impl StartError {
    /// Whether it may well go when others have closed theirs.
    fn is_for_want_of_descriptors(&self) -> bool {
        let (Self::Output(OutputError::Open { source, .. }) | Self::Input { source, .. }) = self
        else {
            return false;
        };
        matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
    }

    fn report(&self) -> Report {
        let text = self.to_string();
        let code = match self {
            Self::Resolve(error) => Some(error.exit_code()),
            Self::Spawn(error) => error.exit_code(),
            _ => None,
        };
        Report::ended(Outcome::Failed(match code {
            Some(127) => Failure::NotFound(text),
            Some(_) => Failure::NotExecutable(text),
            None => Failure::Error(text),
        }))
    }
}

fn report(exit: &Exit) -> Report {
    let outcome = match exit.status {
        Status::Code(0) => Outcome::Succeeded,
        Status::Code(code) => Outcome::Failed(Failure::Exit(code)),
        Status::Signal(signal, _) => Outcome::Failed(Failure::Signal(signal)),
        Status::Lost => Outcome::Failed(Failure::Error(
            "the exit status was taken by other code of the daemon's process".to_owned(),
        )),
    };
    Report::ended(outcome).with_usage(Usage {
        cpu: exit.rusage.cpu(),
        wall: exit.wall,
        max_rss_bytes: exit.rusage.max_rss_bytes,
    })
}
