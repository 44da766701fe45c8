//! A daemon that is killed loses nothing it has acknowledged and runs nothing twice at once.

use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;
use twolane::client::Client;
use twolane::job::{JobId, State};
use twolane::protocol::{IdRange, JobSpec, Selector, Show, Submit, Wait, call};

use crate::fixture::{command, kind, shell, within};
use crate::instance::Daemon;

async fn client(state: &Path) -> Client {
    Client::connect(&state.join("twolane.sock")).await.unwrap()
}

async fn submit(client: &mut Client, jobs: Vec<JobSpec>) -> Option<JobId> {
    let path = std::env::var("PATH").unwrap_or_default();
    let context = twolane::protocol::Context {
        cwd: "/".to_owned(),
        env: [("PATH".to_owned(), path)].into(),
        ..Default::default()
    };
    let submit = Submit { jobs, context: Some(context), ..Submit::default() };
    client.call::<call::Submit>(&submit).await.ok()?.first
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_kill_is_there_and_ends() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let state = folder.path().to_owned();
    let (told, mut acknowledged) = tokio::sync::mpsc::channel(4_000);
    for worker in 0..8 {
        let (state, told) = (state.clone(), told.clone());
        tokio::spawn(async move {
            let mut client = client(&state).await;
            for number in 0..400 {
                let mut job = kind("sleep", &[("for", "0s")]);
                job.name = Some(format!("{worker}.{number}"));
                let name = job.name.clone();
                let Some(id) = submit(&mut client, vec![job]).await else { break };
                told.send((id, name)).await.unwrap();
            }
        });
    }
    drop(told);
    let mut jobs = Vec::new();
    // The kill comes in the middle: when a good part has been acknowledged and more is on its way.
    while let Some(job) = within(acknowledged.recv()).await {
        jobs.push(job);
        if jobs.len() == 1_000 {
            daemon.signal(Signal::KILL);
        }
    }
    daemon.child.wait().unwrap();
    assert!(jobs.len() >= 1_000);
    let _daemon = Daemon::start(folder.path());
    let mut client = client(&state).await;
    let all = Selector { all: true, ..Selector::default() };
    within(client.call::<call::Wait>(&Wait { jobs: all })).await.unwrap();
    for (id, name) in jobs {
        let job = client.call::<call::Show>(&Show { id }).await.unwrap().job;
        assert_eq!((job.name, job.state), (name, State::Succeeded), "job {id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_command_is_ended_before_its_job_runs_again() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let pids = folder.path().join("pids");
    let script = format!("echo $$ >> {}; exec sleep 600", pids.display());
    let mut once = shell(&script);
    once.at_most_once = true;
    let mut first_client = client(folder.path()).await;
    let first = submit(&mut first_client, vec![shell(&script), once]).await.unwrap();
    until_lines(&pids, 2).await;
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    let old: Vec<String> = lines(&pids);
    let _daemon = Daemon::start(folder.path());
    until_lines(&pids, 3).await;
    for pid in &old {
        assert!(is_gone(pid), "process {pid} of the last life is still there");
    }
    let mut client = client(folder.path()).await;
    let again = client.call::<call::Show>(&Show { id: first }).await.unwrap().job;
    assert_eq!((again.state, again.attempt_count), (State::Running, 2));
    let once = client.call::<call::Show>(&Show { id: first.after(1) }).await.unwrap().job;
    assert_eq!((once.state, once.exit_code), (State::Failed, Some(125)));
    assert_eq!(once.outcome.as_deref(), Some("interrupted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_its_group_and_its_environment_is_not_found_as_documented() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let (pids, hidden) = (folder.path().join("pids"), folder.path().join("hidden"));
    let script = format!(
        "test -e {hidden} || setsid env -i sh -c 'echo $$ > {hidden}; exec /bin/sleep 600' & \
         echo $$ >> {pids}; exec sleep 600",
        hidden = hidden.display(),
        pids = pids.display()
    );
    let mut first_client = client(folder.path()).await;
    submit(&mut first_client, vec![shell(&script)]).await.unwrap();
    until_lines(&pids, 1).await;
    until_lines(&hidden, 1).await;
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    let known = lines(&pids).remove(0);
    let _daemon = Daemon::start(folder.path());
    until_lines(&pids, 2).await;
    assert!(is_gone(&known), "the process that carries its token was found");
    let hidden = lines(&hidden).remove(0);
    assert!(!is_gone(&hidden), "it can be found after all: tell so in the documents");
    let hidden = rustix::process::Pid::from_raw(hidden.parse().unwrap()).unwrap();
    rustix::process::kill_process(hidden, Signal::KILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_gives_running_jobs_back_to_the_queue() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let mut first_client = client(folder.path()).await;
    let jobs = vec![command(&["sleep", "600"])];
    let id = submit(&mut first_client, jobs).await.unwrap();
    let running = Show { id };
    while first_client.call::<call::Show>(&running).await.unwrap().job.state != State::Running {
        tokio::task::yield_now().await;
    }
    let stop = twolane::protocol::Stop { now: true };
    first_client.call::<call::Stop>(&stop).await.unwrap();
    assert!(daemon.child.wait().unwrap().success());
    let _daemon = Daemon::start(folder.path());
    let mut client = client(folder.path()).await;
    let attempts =
        |job: twolane::protocol::Job| job.details.map_or(0, |details| details.attempts.len());
    let job = client.call::<call::Show>(&running).await.unwrap().job;
    assert!(!job.state.is_final(), "{job:?}");
    assert!(attempts(job) >= 1);
    let cancel = twolane::protocol::Cancel {
        jobs: Selector { ids: vec![IdRange { first: id, last: id }], ..Selector::default() },
        reason: None,
    };
    client.call::<call::Cancel>(&cancel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_uses_up_no_retry_and_forgets_no_reason() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let tries = folder.path().join("tries");
    // The first attempt is killed with the daemon; the others fail, and one retry is to be left for them.
    let script = format!(
        "echo x >> {tries}; test $(wc -l < {tries}) = 1 && exec sleep 600; exit 1",
        tries = tries.display()
    );
    let job = JobSpec { retries: Some(1), backoff: Some("0s".to_owned()), ..shell(&script) };
    let by_hand = JobSpec { hold: true, ..shell("true") };
    let mut first_client = client(folder.path()).await;
    let id = submit(&mut first_client, vec![job, by_hand]).await.unwrap();
    let only =
        |id: JobId| Selector { ids: vec![IdRange { first: id, last: id }], ..Selector::default() };
    let release = twolane::protocol::Release { jobs: only(id.after(1)) };
    let hold = twolane::protocol::Hold { jobs: only(id.after(1)), reason: Some("why".to_owned()) };
    until_lines(&tries, 1).await;
    let set = twolane::protocol::Pause { queue: "default".to_owned(), reason: None };
    first_client.call::<call::Pause>(&set).await.unwrap();
    first_client.call::<call::Release>(&release).await.unwrap();
    first_client.call::<call::Hold>(&hold).await.unwrap();
    let set = twolane::protocol::Resume { queue: "default".to_owned() };
    first_client.call::<call::Resume>(&set).await.unwrap();
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    let _daemon = Daemon::start(folder.path());
    let mut client = client(folder.path()).await;
    within(client.call::<call::Wait>(&Wait { jobs: only(id) })).await.unwrap();
    assert_eq!(
        lines(&tries).len(),
        3,
        "the attempt that was killed, one that failed and its retry"
    );
    let explain = twolane::protocol::Explain { id: id.after(1) };
    let told = client.call::<call::Explain>(&explain).await.unwrap();
    assert!(told.gates[0].detail.contains("(why)"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_that_is_to_be_held_is_held_after_a_kill() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let up = folder.path().join("up");
    let script = format!("echo x >> {}; exec sleep 600", up.display());
    let mut first_client = client(folder.path()).await;
    let id = submit(&mut first_client, vec![shell(&script)]).await.unwrap();
    until_lines(&up, 1).await;
    let jobs = Selector { ids: vec![IdRange { first: id, last: id }], ..Selector::default() };
    let hold = twolane::protocol::Hold { jobs, reason: Some("look first".to_owned()) };
    let reply = first_client.call::<call::Hold>(&hold).await.unwrap();
    assert_eq!(reply.changed, [id]);
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    let _daemon = Daemon::start(folder.path());
    let mut client = client(folder.path()).await;
    let job = client.call::<call::Show>(&Show { id }).await.unwrap().job;
    assert_eq!((job.state, job.reason.as_deref()), (State::Held, Some("look first")));
    let told = client.call::<call::Explain>(&twolane::protocol::Explain { id }).await.unwrap();
    assert!(told.gates[0].detail.contains("(look first)"), "{told:?}");
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until a job has written so many lines; it tells nobody else.
async fn until_lines(path: &Path, count: usize) {
    within(async {
        while lines(path).len() < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(crate) fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}
