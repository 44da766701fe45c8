//! A daemon of the real program that a test restarts, and what a test needs to see it.

use std::fs::File;
use std::io::{BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;
use twolane::client::{CallError, Client};
use twolane::job::{JobId, State};
use twolane::protocol::{
    Context, Empty, Error, Finished, Job, JobSpec, Restart, RestartReply, Show, StatusReply,
    Submit, Wait, call,
};

use crate::fixture::{range, within};
use crate::instance::Daemon;

/// A daemon of the real program, perhaps of a copy of its own.
pub(crate) struct Site {
    pub(crate) daemon: Daemon,
    pub(crate) program: PathBuf,
    pub(crate) folder: TempDir,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::of(TempDir::new().unwrap(), Path::new(env!("CARGO_BIN_EXE_twolaned")))
    }

    /// With a program that may be replaced.
    pub(crate) fn with_own_program() -> Self {
        let folder = TempDir::new().unwrap();
        let program = folder.path().join("twolaned");
        install(&program);
        Self::of(folder, &program)
    }

    pub(crate) fn of(folder: TempDir, program: &Path) -> Self {
        let daemon = Daemon::of(&mut line(program, folder.path()));
        Self { daemon, program: program.to_owned(), folder }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.child.id()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("state").join("twolane.sock")
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.socket()).await.unwrap()
    }

    pub(crate) async fn status(&self) -> StatusReply {
        within(self.client().await.call::<call::Status>(&Empty {})).await.unwrap()
    }

    pub(crate) async fn submit(&self, job: JobSpec) -> JobId {
        let context = Context {
            cwd: self.folder.path().display().to_string(),
            umask: Some(0o022),
            env: [("PATH".to_owned(), std::env::var("PATH").unwrap())].into(),
        };
        let submit = Submit { jobs: vec![job], context: Some(context), ..Submit::default() };
        let reply = within(self.client().await.call::<call::Submit>(&submit)).await.unwrap();
        reply.first.unwrap()
    }

    pub(crate) async fn show(&self, id: JobId) -> Job {
        within(self.client().await.call::<call::Show>(&Show { id })).await.unwrap().job
    }

    pub(crate) async fn until(&self, id: JobId, wanted: impl Fn(&Job) -> bool) -> Job {
        within(async {
            loop {
                let job = self.show(id).await;
                if wanted(&job) {
                    return job;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    pub(crate) async fn running(&self, id: JobId) -> Job {
        self.until(id, |job| job.state == State::Running).await
    }

    pub(crate) async fn wait(&self, id: JobId) -> Finished {
        let wait = Wait { jobs: range(id, 1) };
        let reply = within(self.client().await.call::<call::Wait>(&wait)).await.unwrap();
        reply.finished.into_iter().next().unwrap()
    }

    pub(crate) async fn ask_to_restart(&self, now: bool) -> Result<RestartReply, CallError> {
        within(self.client().await.call::<call::Restart>(&Restart { now })).await
    }

    /// Restarts, and sees the next program answer in the same process.
    pub(crate) async fn restart(&self) -> RestartReply {
        let before = self.status().await;
        let reply = self.ask_to_restart(true).await.unwrap();
        let after = self.status().await;
        assert_ne!(before.started_at, after.started_at, "another program answers");
        assert_eq!((before.pid, after.pid), (self.pid(), self.pid()));
        assert_eq!(after.health, "running");
        reply
    }

    pub(crate) fn cli(&self, words: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twolane"));
        command.arg("--socket").arg(self.socket()).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("TWOLANE_ATTEMPT").current_dir(self.folder.path()).spawn().unwrap()
    }
}

pub(crate) fn line(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--state-dir").arg(folder.join("state")).env_remove("NOTIFY_SOCKET");
    command.env("TWOLANE_CFG__LANES__CPU", "2").env("TWOLANE_CFG__DAEMON__DRAIN_TIMEOUT", "0s");
    command.stdin(Stdio::null());
    command
}

/// Puts a new copy of the program there, as a package would.
pub(crate) fn install(program: &Path) {
    let fresh = program.with_extension("new");
    std::fs::copy(env!("CARGO_BIN_EXE_twolaned"), &fresh).unwrap();
    std::fs::rename(fresh, program).unwrap();
}

/// Lets a test say when a job goes on: the job reads lines from it.
pub(crate) fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// Opens the pipe once the job reads from it.
pub(crate) async fn open(path: PathBuf) -> File {
    let opening = tokio::task::spawn_blocking(move || File::options().write(true).open(path));
    within(opening).await.unwrap().unwrap()
}

/// The next line of a process, which must come.
pub(crate) async fn next(
    mut lines: Lines<BufReader<ChildStdout>>,
) -> (String, Lines<BufReader<ChildStdout>>) {
    let reading = tokio::task::spawn_blocking(move || {
        let line = lines.next().expect("a line").unwrap();
        (line, lines)
    });
    within(reading).await.unwrap()
}

pub(crate) async fn ended(child: Child) -> (Option<i32>, String, String) {
    let waiting = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = within(waiting).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

pub(crate) fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// A process that nobody has waited for yet does not live.
pub(crate) fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

pub(crate) fn refusal(result: Result<RestartReply, CallError>) -> String {
    match result {
        Err(CallError::Refused(Error::RestartRefused { message })) => message,
        other => panic!("{other:?}"),
    }
}

/// Puts a program there that does this and says yes.
pub(crate) fn put_script(program: &Path, script: &str) {
    let fresh = program.with_extension("new");
    std::fs::write(
        &fresh,
        format!("#!/bin/sh\ncd {}\n{script}\n", program.parent().unwrap().display()),
    )
    .unwrap();
    let executable = Command::new("chmod").arg("755").arg(&fresh).status().unwrap();
    assert!(executable.success());
    std::fs::rename(fresh, program).unwrap();
}
