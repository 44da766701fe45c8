//! A daemon that answers what it is told to, and a desk in front of it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_util::codec::{AnyDelimiterCodec, Framed};

use crate::cli::args::{Cli, Globals};
use crate::cli::desk::{Desk, Surroundings};
use crate::cli::error::Error as CliError;
use crate::cli::output::{Output, Style};
use crate::cli::perform;
use crate::protocol::{Error, MAX_MESSAGE};

/// The longest that anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the daemon answers to a call.
pub(super) enum Answer {
    /// This and nothing more.
    Once(Value),
    /// These, the last of which says that it is.
    Many(Vec<Value>),
    /// The first at once, the second when the signal comes.
    Then(Value, Arc<Notify>, Value),
    /// A refusal.
    Refuse(Error),
    /// The end of the connection.
    HangUp,
}

type Script = dyn Fn(&str, &Value) -> Answer + Send + Sync;

/// A daemon that answers what it is told to.
pub(super) struct Fake {
    folder: tempfile::TempDir,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

/// What a command wrote, and the code it left with.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) code: i32,
}

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Fake {
    /// Begins to listen.
    pub(super) fn new(script: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = StdListener::bind(folder.path().join("s")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = UnixListener::from_std(listener).unwrap();
        let calls = Arc::default();
        tokio::spawn(listen(listener, Arc::new(script), Arc::clone(&calls)));
        Self { folder, calls }
    }

    /// What was called, with its parameters.
    pub(super) fn calls(&self) -> Vec<(String, Value)> {
        self.calls.lock().unwrap().clone()
    }

    /// The parameters of each call of a method.
    pub(super) fn calls_of(&self, method: &str) -> Vec<Value> {
        self.calls()
            .into_iter()
            .filter(|(name, _)| name == method)
            .map(|(_, value)| value)
            .collect()
    }

    /// A file in the daemon's folder.
    pub(super) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    /// Runs a command line.
    pub(super) async fn run(&self, line: &[&str]) -> Left {
        self.run_as(line, Style::default()).await
    }

    /// Runs a command line in a style of its own.
    pub(super) async fn run_as(&self, line: &[&str], style: Style) -> Left {
        let line: Vec<OsString> = [crate::NAME].iter().chain(line).map(OsString::from).collect();
        let Cli { globals, command } = Cli::read(&line).unwrap_or_else(|error| panic!("{error}"));
        self.at_desk(globals, style, async |desk| perform(command, desk).await).await
    }

    /// Does something at a desk in front of this daemon.
    pub(super) async fn at_desk(
        &self,
        globals: Globals,
        style: Style,
        act: impl AsyncFnOnce(&mut Desk) -> Result<i32, CliError>,
    ) -> Left {
        let (out, err) = (Sink::default(), Sink::default());
        let style = Style { json: globals.json, quiet: globals.quiet, ..style };
        let output = Output::to(Box::new(out.clone()), Box::new(err.clone()), style);
        let variables = [("PATH", "/bin"), ("API_KEY", "s"), ("TERM", "dumb")];
        let globals = Globals { socket: Some(self.socket()), ..globals };
        let mut desk = Desk::new(globals, output, Surroundings::of(&variables));
        let ended = tokio::time::timeout(PATIENCE, act(&mut desk)).await;
        let code = ended.expect("the command came to no end").unwrap_or_else(|error| {
            desk.out.fail(&error);
            error.exit_code()
        });
        let text = |sink: Sink| String::from_utf8(sink.0.take()).unwrap();
        Left { out: text(out), err: text(err), code }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }
}

async fn listen(
    listener: UnixListener,
    script: Arc<Script>,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&calls)));
    }
}

async fn serve(
    stream: UnixStream,
    script: Arc<Script>,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
) -> Option<()> {
    let codec = AnyDelimiterCodec::new_with_max_length(vec![0], vec![0], MAX_MESSAGE);
    let mut frames = Framed::new(stream, codec);
    loop {
        let call: Value = serde_json::from_slice(&frames.next().await?.ok()?).unwrap();
        let method = call["method"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
        let parameters = call["parameters"].clone();
        calls.lock().unwrap().push((method.clone(), parameters.clone()));
        let replies = match script(&method, &parameters) {
            Answer::Once(value) => vec![value],
            Answer::Many(values) => values,
            Answer::Then(first, signal, last) => {
                frames
                    .send(json!({ "parameters": first, "continues": true }).to_string())
                    .await
                    .ok()?;
                signal.notified().await;
                vec![last]
            }
            Answer::Refuse(error) => {
                let reply = error.to_reply();
                let text = json!({ "error": reply.name, "parameters": reply.parameters });
                frames.send(text.to_string()).await.ok()?;
                continue;
            }
            Answer::HangUp => return None,
        };
        let count = replies.len();
        for (place, reply) in replies.into_iter().enumerate() {
            let continues = place + 1 < count;
            let text = json!({ "parameters": reply, "continues": continues });
            frames.send(text.to_string()).await.ok()?;
        }
    }
}

/// The answer of a per-user daemon to Status.
pub(super) fn status() -> Answer {
    Answer::Once(json!({
        "version": "1.2.3", "pid": 77, "uid": 1000, "mode": "user", "health": "running",
        "started_at": "2024-01-01T00:00:00.000000Z", "socket": "/x/s", "state_dir": "/x/state",
        "config_files": [], "jobs": [{ "state": "queued", "count": 3 }, { "state": "running", "count": 0 }],
        "cpu": 2, "cpu_used": 1, "io": 100, "io_running": 0, "blocking": 8, "blocking_running": 0,
    }))
}

/// The answer to a Submit that accepts the jobs, which get ids from `first` on.
pub(super) fn accept(parameters: &Value, first: u64) -> Answer {
    let count = match parameters["array"].as_object() {
        Some(array) => {
            let number = |name: &str| array[name].as_u64().unwrap();
            (number("last") - number("first")) / number("step") + 1
        }
        None => parameters["jobs"].as_array().unwrap().len() as u64,
    };
    Answer::Once(json!({ "first": first, "last": first + count - 1, "warnings": [] }))
}

/// A piece of output.
pub(super) fn piece(stream: &str, bytes: &[u8]) -> Value {
    json!({ "attempt": 1, "stream": stream, "data": STANDARD.encode(bytes) })
}

/// The end of output, with how the job ended.
pub(super) fn ended(
    id: u64,
    state: &str,
    outcome: &str,
    code: i32,
    message: Option<&str>,
) -> Value {
    json!({ "attempt": 1, "stream": "out", "data": "", "finished": {
        "id": id, "state": state, "outcome": outcome, "exit_code": code, "message": message } })
}
