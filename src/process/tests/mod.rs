//! Real children, real signals. Tests wait for events (pipes, exits), each with a generous bound.

mod adopting;
mod ending;
mod handing_over;
mod launching;
mod sweeping;

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::future::Future;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Bequest, Launch, Options, Processes, Signal, Stdin, resolve};

/// Far longer than anything here takes, so that only a hang meets it.
const BOUND: Duration = Duration::from_secs(60);

/// Longer than [`BOUND`]: a grace that a test must not need.
const ENDLESS: Duration = Duration::from_secs(600);

fn start() -> Processes {
    Processes::start(Options::default()).unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.expect("the bound of a test's wait")
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    resolve(OsStr::new(program), &path, Path::new("/")).unwrap()
}

fn null() -> OwnedFd {
    OpenOptions::new().write(true).open("/dev/null").unwrap().into()
}

/// A launch of these words, with PATH alone in its environment and its output thrown away.
fn launch(words: &[&str]) -> Launch {
    Launch {
        program: find(words[0]),
        argv: words.iter().map(OsString::from).collect(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cwd: None,
        umask: None,
        stdin: Stdin::Null,
        stdout: null(),
        stderr: null(),
    }
}

fn shell(script: &str) -> Launch {
    launch(&["sh", "-c", script])
}

/// The launch with its output in a pipe, and the end to read from.
fn piped(launch: Launch) -> (Launch, PipeReader) {
    let (reader, writer): (PipeReader, PipeWriter) = std::io::pipe().unwrap();
    (Launch { stdout: writer.into(), ..launch }, reader)
}

/// Reads on a thread that nobody waits for: the end of a runtime waits for its own, and a read that hangs
/// would keep the test from failing at its bound.
async fn reading<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> T {
    let (answer, read_out) = tokio::sync::oneshot::channel();
    // Nobody is listening after the bound.
    std::thread::spawn(move || drop(answer.send(read())));
    within(read_out).await.unwrap()
}

/// Everything until the last writer is gone.
async fn read_all(mut reader: PipeReader) -> String {
    let text = reading(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    text.await.unwrap()
}

/// One line, and the rest of the pipe.
async fn read_line(reader: PipeReader) -> (String, BufReader<PipeReader>) {
    let line = reading(move || {
        let mut lines = BufReader::new(reader);
        let mut line = String::new();
        lines.read_line(&mut line).map(|_| (line.trim_end().to_owned(), lines))
    });
    line.await.unwrap()
}

/// What the launch prints until it has ended.
async fn output_of(processes: &Processes, of: Launch) -> String {
    let (launch, reader) = piped(of);
    let child = within(processes.spawn(launch)).await.unwrap();
    let text = read_all(reader).await;
    within(child.exited()).await;
    text
}
