//! A daemon in this process, on a real socket in a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use twolane::client::Client;
use twolane::daemon::{Args, Builder, Running};
use twolane::job::JobId;
use twolane::protocol::{
    Context, Finished, IdRange, Job, JobSpec, Logs, Selector, Show, Submit, Wait, call,
};

/// Long enough for anything on a machine that does much else; nothing waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a watcher may stay silent before something is made to happen for it.
const NUDGE: Duration = Duration::from_millis(20);

/// A daemon and its folder; both end with it.
pub(crate) struct Fixture {
    running: Option<Running>,
    socket: PathBuf,
    folder: TempDir,
}

impl Fixture {
    /// A daemon with two core permits, so that tests mean the same on every machine.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with settings: `("lanes.cpu", "1")`.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        Self::in_folder(TempDir::new().unwrap(), settings, |builder| builder).await
    }

    /// The same over a state that is there already, and with whatever an embedder adds.
    pub(crate) async fn in_folder(
        folder: TempDir,
        settings: &[(&str, &str)],
        embed: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let args = Args { state_dir: Some(folder.path().join("state")), ..Args::default() };
        let mut builder = Builder::new(args).setting("lanes.cpu", "2");
        for (key, value) in settings {
            builder = builder.setting(key, value);
        }
        let running = embed(builder).start().await.expect("the daemon starts");
        let socket = running.socket().to_owned();
        Self { running: Some(running), socket, folder }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// A folder for a test's own files; also the working directory of its jobs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.socket).await.expect("the daemon answers")
    }

    /// Ends the daemon, running jobs or not, and gives the folder back.
    pub(crate) async fn stop(mut self) -> TempDir {
        let running = self.running.take().expect("it runs until here");
        running.stop(true).await;
        within(running.ended()).await.expect("it ends in order");
        self.folder
    }

    pub(crate) fn context(&self) -> Context {
        let path = std::env::var("PATH").unwrap_or_default();
        Context {
            cwd: self.folder().display().to_string(),
            umask: Some(0o022),
            env: BTreeMap::from([("PATH".to_owned(), path)]),
        }
    }

    /// Submits jobs; the ids are consecutive from the first.
    pub(crate) async fn submit(&self, jobs: Vec<JobSpec>) -> JobId {
        let submit = Submit { jobs, context: Some(self.context()), ..Submit::default() };
        let reply = self.client().await.call::<call::Submit>(&submit).await;
        reply.expect("the jobs are taken").first.expect("they have ids")
    }

    pub(crate) async fn submit_one(&self, job: JobSpec) -> JobId {
        self.submit(vec![job]).await
    }

    /// Waits until the job is final.
    pub(crate) async fn wait(&self, id: JobId) -> Finished {
        self.wait_all(id, 1).await.remove(0)
    }

    /// Waits until so many jobs from `first` on are final; in the order of their ids.
    pub(crate) async fn wait_all(&self, first: JobId, count: u64) -> Vec<Finished> {
        let wait = Wait { jobs: range(first, count) };
        let mut client = self.client().await;
        let reply = within(client.call::<call::Wait>(&wait)).await.expect("they end");
        assert_eq!(reply.remaining, 0);
        let mut finished = reply.finished;
        finished.sort_by_key(|finished| finished.id);
        finished
    }

    pub(crate) async fn show(&self, id: JobId) -> Job {
        self.client().await.call::<call::Show>(&Show { id }).await.expect("it is there").job
    }

    /// Everything the job wrote to standard output, once it is final.
    pub(crate) async fn output(&self, id: JobId) -> String {
        let logs = Logs { id, attempt: None, stream: None, follow: true, tail: None, from: None };
        let mut replies =
            self.client().await.stream::<call::Logs>(&logs).await.expect("the call goes out");
        let mut bytes = Vec::new();
        while let Some(reply) = within(replies.next()).await {
            bytes.extend(decoded(&reply.expect("the log is read").data));
        }
        String::from_utf8(bytes).expect("the job wrote text")
    }

    /// Waits until the daemon has told that the job runs.
    pub(crate) async fn running(&self, id: JobId) {
        self.until(id, |job| job.state == twolane::job::State::Running).await;
    }

    /// Waits, from event to event, until the job is as wanted.
    pub(crate) async fn until(&self, id: JobId, wanted: impl Fn(&Job) -> bool) -> Job {
        let watch = twolane::protocol::Watch { all_users: true };
        let client = self.client().await;
        let mut events = client.stream::<call::Watch>(&watch).await.expect("the call goes out");
        // The watcher is there once it has heard of something.
        while tokio::time::timeout(NUDGE, events.next()).await.is_err() {
            self.nudge().await;
        }
        loop {
            let job = self.show(id).await;
            if wanted(&job) {
                return job;
            }
            within(events.next()).await.expect("events go on").expect("events are told");
        }
    }

    /// Makes something happen, so that every watcher hears of something.
    async fn nudge(&self) {
        let set = twolane::protocol::SetQueue {
            queue: "nudge".to_owned(),
            max: None,
            weight: None,
            rate: None,
        };
        self.client().await.call::<call::SetQueue>(&set).await.expect("the queue is set");
    }
}

/// Fails the test instead of hanging it.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it happens in time")
}

pub(crate) fn decoded(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).expect("output is base64")
}

pub(crate) fn range(first: JobId, count: u64) -> Selector {
    let last = first.after(count - 1);
    Selector { ids: vec![IdRange { first, last }], ..Selector::default() }
}

pub(crate) fn command(argv: &[&str]) -> JobSpec {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    JobSpec { argv: Some(argv), ..JobSpec::default() }
}

pub(crate) fn shell(script: &str) -> JobSpec {
    command(&["sh", "-c", script])
}

/// A job of this kind with parameters as text.
pub(crate) fn kind(kind: &str, params: &[(&str, &str)]) -> JobSpec {
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    JobSpec { kind: Some(kind.to_owned()), params, ..JobSpec::default() }
}
