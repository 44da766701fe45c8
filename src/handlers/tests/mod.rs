//! What the tests of several kinds share: a run to hand to a handler, and bounded waits.

mod command;

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::job::{AttemptToken, Context, JobId, StoreId};
use crate::process::{self, Processes};

use super::{Options, Output, Progress, Run, Trades};

/// Longer than any wait of a healthy test on a busy machine.
const GENEROUS: Duration = Duration::from_secs(60);

/// One set of spawner and reaper threads for all tests of the process.
static PROCESSES: LazyLock<Processes> =
    LazyLock::new(|| Processes::start(process::Options::default()).unwrap());

impl Trades {
    pub(super) fn for_tests() -> Self {
        Self { processes: PROCESSES.clone(), socket: None, options: Options::default() }
    }
}

/// The future's output, or a failed test if it never comes.
pub(super) async fn bounded<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(GENEROUS, future).await.expect("nothing happened for a minute")
}

/// A run with these parameters whose output goes nowhere that is looked at.
pub(super) fn run(params: Value) -> Run {
    run_in(Path::new("/nonexistent"), params)
}

/// A run in this folder; its output goes to `1.out` and `1.err` there.
pub(super) fn run_in(folder: &Path, params: Value) -> Run {
    let Value::Object(params) = params else { panic!("parameters are an object") };
    let path = std::env::var("PATH").unwrap_or_default();
    Run {
        job: JobId::new(12).unwrap(),
        attempt: 1,
        token: AttemptToken { store: StoreId::new(0xab), life: 3, counter: 7 },
        name: None,
        index: None,
        cpus: 1,
        params,
        context: Arc::new(Context {
            cwd: folder.to_owned(),
            umask: Some(0o022),
            env: [("PATH".to_owned(), path)].into(),
        }),
        output: Output::new(folder.join("1.out"), Some(folder.join("1.err"))),
        cancel: tokio_util::sync::CancellationToken::new(),
        grace: GENEROUS,
        outside: Arc::default(),
        progress: Arc::new(Progress::default()),
    }
}

/// What the run wrote: output and errors; nothing where there is no file.
pub(super) fn written(folder: &TempDir) -> (String, String) {
    let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    (read("1.out"), read("1.err"))
}
