//! Starting a per-user daemon when none answers, and what the started process does first.
//!
//! The daemon is this same program. It is started without a shell, in the folder `/`, with its log as
//! standard error, and its standard output is a pipe on which it says one line when it listens, or why
//! it can't. Only one command at a time starts a daemon: the others wait for its lock and then connect.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, IntoRawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FlockOperation;

use super::environment;
use super::error::Error;
use super::output::Output;
use crate::client::Client;

/// How long a daemon may take from its start until it listens: a million jobs are read in two seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a daemon says on its pipe when it listens.
const READY: &str = "READY";
/// The hidden flag of the daemon that names the descriptor of the pipe.
const READY_FLAG: &str = "--ready-fd";

/// Starts a daemon that listens at `socket`, waits until it does, and connects to it.
pub(super) async fn daemon(
    socket: &Path,
    state_dir: &Path,
    out: &mut Output,
) -> Result<Client, Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(state_dir);
    made.map_err(prepare(state_dir))?;
    let _lock = lock(&state_dir.join("start.lock"))?;
    if let Ok(client) = Client::connect(socket).await {
        return Ok(client);
    }
    let log = state_dir.join("daemon.log");
    let said = launch(socket, &log)?;
    match (Client::connect(socket).await, said.as_str()) {
        (Ok(client), READY) => {
            out.notice(format_args!("started your own daemon (`{} stop` ends it)", crate::NAME));
            Ok(client)
        }
        // It found another one that had been started by hand meanwhile.
        (Ok(client), _) => Ok(client),
        (Err(error), READY) => Err(error.into()),
        (Err(_), _) => Err(Error::Start { problem: said, log }),
    }
}

/// What the process that [`daemon`] started does first: it leaves the terminal's session and keeps the
/// pipe from everything that it will start itself. Returns the words for the daemon's own flags.
pub(super) fn detached(words: &[OsString]) -> Vec<OsString> {
    let mut words = words.to_vec();
    let flag = words.iter().position(|word| word == OsStr::new(READY_FLAG));
    if let Some(value) = flag.and_then(|flag| words.get_mut(flag + 1))
        && value == OsStr::new("1")
        && let Ok(number) = take_pipe()
    {
        *value = number.to_string().into();
    }
    words
}

fn take_pipe() -> io::Result<i32> {
    // Fails only for the leader of a process group, which then is detached already.
    let _ = rustix::process::setsid();
    let pipe = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    // The daemon opens it by its number; it is closed when the daemon ends.
    Ok(pipe.into_raw_fd())
}

fn launch(socket: &Path, log: &Path) -> Result<String, Error> {
    let stderr =
        OpenOptions::new().create(true).append(true).mode(0o600).open(log).map_err(prepare(log))?;
    let system = |what| move |source| Error::System { what, source };
    let (reader, writer) = io::pipe().map_err(system("can't make a pipe"))?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(crate::NAME)
        .args([OsStr::new("daemon"), OsStr::new("--socket"), socket.as_os_str()])
        .args([READY_FLAG, "1"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(stderr);
    for (name, _) in std::env::vars_os().filter(|(name, _)| environment::is_of_a_session(name)) {
        command.env_remove(name);
    }
    command.spawn().map_err(system("can't start a daemon"))?;
    drop(command);
    Ok(listen(reader))
}

/// The line that the daemon says, or what became of it.
fn listen(mut pipe: impl Read + AsFd) -> String {
    let deadline = Instant::now() + PATIENCE;
    let mut text = Vec::new();
    let mut piece = [0; 1024];
    while !text.contains(&b'\n') {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let polled = poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&timeout));
        match polled {
            Ok(0) => return format!("it said nothing for {} s", PATIENCE.as_secs()),
            Err(rustix::io::Errno::INTR) => continue,
            _ => {}
        }
        match pipe.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => text.extend_from_slice(&piece[..count]),
        }
    }
    match String::from_utf8_lossy(&text).trim() {
        "" => "it ended without a word".to_owned(),
        said => said.to_owned(),
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let file = opened.map_err(prepare(path))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)
        .map_err(|errno| prepare(path)(errno.into()))?;
    Ok(file)
}

fn prepare(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Prepare { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn heard(text: &str) -> String {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        drop(writer);
        listen(reader)
    }

    #[test]
    fn a_daemon_is_heard_to_the_end_of_its_line() {
        assert_eq!(heard("READY\n"), READY);
        assert_eq!(heard("the lock is held by process 7"), "the lock is held by process 7");
        assert_eq!(heard(""), "it ended without a word");
    }

    #[test]
    fn words_for_a_daemon_in_the_foreground_stay_as_they_are() {
        let words: Vec<OsString> = ["--socket", "/x", "--ready-fd", "7"].map(Into::into).to_vec();
        assert_eq!(detached(&words), words);
    }
}
