//! Work that brings the daemon down is found out and stopped, and its bystanders are not.

use std::path::Path;
use std::process::ExitStatus;

use rustix::process::Signal;
use tempfile::TempDir;
use twolane::client::Client;
use twolane::job::{JobId, State};
use twolane::protocol::{Explain, Gate, Job, JobSpec, Retry, Show, Submit, Wait, call};

use crate::cli::User;
use crate::crash::{FREE, HARMLESS, KILL, Victim};
use crate::fixture::{kind, range, shell, within};
use crate::instance::Daemon;

async fn client(state: &Path) -> Client {
    Client::connect(&state.join("twolane.sock")).await.unwrap()
}

async fn submit(state: &Path, jobs: Vec<JobSpec>) -> JobId {
    let path = std::env::var("PATH").unwrap_or_default();
    let context = twolane::protocol::Context {
        cwd: state.parent().unwrap().display().to_string(),
        env: [("PATH".to_owned(), path)].into(),
        ..Default::default()
    };
    let submit = Submit { jobs, context: Some(context), ..Submit::default() };
    client(state).await.call::<call::Submit>(&submit).await.unwrap().first.unwrap()
}

async fn show(state: &Path, id: JobId) -> Job {
    client(state).await.call::<call::Show>(&Show { id }).await.unwrap().job
}

async fn until(state: &Path, id: JobId, wanted: State) -> Job {
    within(async {
        loop {
            let job = show(state, id).await;
            if job.state == wanted {
                return job;
            }
        }
    })
    .await
}

async fn gates(state: &Path, id: JobId) -> Vec<Gate> {
    client(state).await.call::<call::Explain>(&Explain { id }).await.unwrap().gates
}

/// How often the daemon died while the job ran, and how often of these alone.
fn crashes(job: &Job) -> (u32, u32) {
    let details = job.details.as_ref().unwrap();
    (details.crashes, details.crashes_alone)
}

async fn dies(mut daemon: Victim) -> ExitStatus {
    let end = tokio::task::spawn_blocking(move || daemon.child.wait().unwrap());
    within(end).await.unwrap()
}

fn touch(folder: &Path, name: &str) {
    std::fs::write(folder.join(name), "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_condemned_after_two_runs_alone_and_its_bystanders_are_pardoned() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let daemon = Victim::alive(folder.path());
    let poison = JobSpec { retries: Some(9), ..kind("poison", &[]) };
    let command = shell("echo x >> began; until [ -e free ]; do sleep 0.01; done");
    let jobs = vec![kind("linger", &[]), kind("linger", &[]), command, poison];
    let first = submit(&state, jobs).await;
    let (command, poison) = (first.after(2), first.after(3));
    for id in [first, first.after(1), command, poison] {
        until(&state, id, State::Running).await;
    }
    touch(folder.path(), KILL);
    assert!(!dies(daemon).await.success());
    // All three that ran inside are suspected now; whatever the order, only the poison kills twice more.
    touch(folder.path(), FREE);
    for _ in 0..2 {
        assert!(!dies(Victim::doomed(folder.path())).await.success());
    }
    let _daemon = Victim::alive(folder.path());
    let wait = Wait { jobs: range(first, 4) };
    let ends = within(client(&state).await.call::<call::Wait>(&wait)).await.unwrap().finished;
    let condemned = ends.iter().find(|end| end.id == poison).unwrap();
    let words = format!(
        "the daemon died 3 times while it ran, 2 of them alone; `twolane retry {poison}` runs it again"
    );
    assert_eq!((condemned.state, condemned.exit_code), (State::Failed, 125));
    assert_eq!(condemned.message.as_ref(), Some(&words));
    let job = show(&state, poison).await;
    assert_eq!((job.outcome.as_deref(), job.attempt_count), (Some("interrupted"), 3));
    assert_eq!((job.reason.as_ref(), crashes(&job)), (Some(&words), (3, 2)));
    assert!(gates(&state, poison).await[0].detail.ends_with(&words));
    for bystander in [first, first.after(1)] {
        let job = show(&state, bystander).await;
        assert_eq!((job.state, job.attempt_count), (State::Succeeded, 2), "{job:?}");
        assert_eq!(crashes(&job), (0, 0));
    }
    assert_eq!(crashes(&show(&state, command).await), (0, 0), "a command can't have done it");
    touch(folder.path(), HARMLESS);
    let retry = Retry { jobs: range(poison, 1), ..Retry::default() };
    client(&state).await.call::<call::Retry>(&retry).await.unwrap();
    let wait = Wait { jobs: range(poison, 1) };
    within(client(&state).await.call::<call::Wait>(&wait)).await.unwrap();
    let job = show(&state, poison).await;
    assert_eq!((job.state, crashes(&job)), (State::Succeeded, (0, 0)), "{job:?}");
    assert_eq!(job.reason, None);
}

#[test]
fn a_suspect_runs_alone_and_says_so_and_so_do_those_that_wait_for_it() {
    let user = User::new();
    user.out(&["submit", "--kind", "sleep", "for=600s"]);
    user.out(&["submit", "--at-most-once", "--kind", "sleep", "for=600s"]);
    until_running(&user, "1");
    until_running(&user, "2");
    user.kill_daemon();
    until_running(&user, "1");
    assert_eq!(user.code(&["wait", "2"]), Some(125));
    let told = user.out(&["show", "1"]);
    assert!(
        told.contains("suspected     the daemon died once while it ran, so it runs alone"),
        "{told}"
    );
    assert!(!user.out(&["show", "2"]).contains("suspected"), "it is not run again");
    // Another one waits for it, a command does not.
    user.out(&["submit", "--kind", "sleep", "for=0s"]);
    assert_eq!(user.code(&["run", "--", "true"]), Some(0));
    let told = user.out(&["explain", "3"]);
    assert!(told.contains("- apart: job 1 runs alone, since the daemon died"), "{told}");
    let gates = user.json(&["explain", "3", "--json"])["gates"].clone();
    assert_eq!((&gates[0]["gate"], &gates[0]["job"]), (&"apart".into(), &1.into()));
    // It is lost alone, then it is held: held, it keeps nobody out.
    user.kill_daemon();
    until_running(&user, "1");
    assert!(
        user.out(&["show", "1"]).contains("the daemon died 2 times while it ran, 1 of them alone")
    );
    user.out(&["hold", "1"]);
    user.kill_daemon();
    assert_eq!(user.code(&["wait", "1"]), Some(125));
    assert_eq!(user.code(&["wait", "3"]), Some(0));
    let job = user.json(&["show", "1", "--json"]);
    assert_eq!((&job["crashes"], &job["crashes_alone"]), (&3.into(), &2.into()));
    assert_eq!((&job["outcome"], &job["exit_code"]), (&"interrupted".into(), &125.into()));
    assert!(user.out(&["show", "1"]).contains("`twolane retry 1` runs it again"));
    user.out(&["retry", "1"]);
    until_running(&user, "1");
    assert!(!user.out(&["show", "1"]).contains("suspected"));
    user.out(&["stop", "--now"]);
}

fn until_running(user: &User, id: &str) {
    let deadline = std::time::Instant::now() + crate::fixture::PATIENCE;
    while user.json(&["show", id, "--json"])["state"] != "running" {
        assert!(std::time::Instant::now() < deadline, "job {id} does not start");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_planned_stop_nor_a_reboot_makes_a_suspect() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let mut daemon = Daemon::start(&state);
    let id = submit(&state, vec![kind("sleep", &[("for", "600s")])]).await;
    for reboot in [false, true, false, true, true] {
        until(&state, id, State::Running).await;
        if reboot {
            daemon.signal(Signal::KILL);
        } else {
            let stop = twolane::protocol::Stop { now: true };
            client(&state).await.call::<call::Stop>(&stop).await.unwrap();
        }
        daemon.child.wait().unwrap();
        if reboot {
            let store = rusqlite::Connection::open(state.join("twolane.db")).unwrap();
            store.execute("UPDATE store SET boot_id = 'another'", []).unwrap();
        }
        daemon = Daemon::start(&state);
    }
    let job = until(&state, id, State::Running).await;
    assert_eq!((job.attempt_count, crashes(&job)), (6, (0, 0)));
    // And now a crash, to see that it would have been noticed.
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    let _daemon = Daemon::start(&state);
    let job = until(&state, id, State::Running).await;
    assert_eq!((job.attempt_count, crashes(&job)), (7, (1, 0)));
}
