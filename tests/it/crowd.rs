//! What the system has too little of is waited for, and costs no job.

use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use twolane::client::Client;
use twolane::job::State;
use twolane::protocol::{Empty, Selector, Submit, Wait, call};

use crate::fixture::{PATIENCE, kind, shell, within};
use crate::instance::Daemon;

/// Clients at the same time, and descriptors that a process of them needs beside theirs.
const CLIENTS: usize = 10_000;
const BESIDE: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_clients_are_served_and_no_job_is_lost() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if most < CLIENTS as u64 + BESIDE {
        eprintln!("SKIPPED: {most} descriptors are too few for {CLIENTS} clients");
        return;
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let folder = TempDir::new().unwrap();
    let _daemon = Daemon::start(folder.path());
    let socket = folder.path().join("twolane.sock");
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        clients.push(Client::connect(&socket).await.unwrap());
    }
    // Each of them asks for something, and a tenth hand in a job.
    let submit = Submit { jobs: vec![kind("sleep", &[("for", "0s")])], ..Submit::default() };
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 10 == 0 {
            within(client.call::<call::Submit>(&submit)).await.unwrap();
        } else {
            within(client.call::<call::Queues>(&Empty {})).await.unwrap();
        }
    }
    let all = Selector { all: true, ..Selector::default() };
    let last = clients.last_mut().unwrap();
    within(last.call::<call::Wait>(&Wait { jobs: all })).await.unwrap();
    let stats = within(last.call::<call::Stats>(&Empty {})).await.unwrap();
    assert_eq!((stats.succeeded, stats.connections), (CLIENTS as u64 / 10, CLIENTS as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_descriptors_says_so_and_starts_its_jobs_when_there_are_some() {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new("sh");
    let script = "ulimit -n 128; exec \"$0\" --state-dir \"$1\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_twolaned")]).arg(folder.path());
    let _daemon = Daemon::of(command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null()));
    let socket = folder.path().join("twolane.sock");
    let mut client = Client::connect(&socket).await.unwrap();
    within(client.call::<call::Status>(&Empty {})).await.unwrap();
    // More connections than it has descriptors; those that it can't take wait in line.
    let crowd: Vec<_> =
        (0..200).map(|_| std::os::unix::net::UnixStream::connect(&socket).unwrap()).collect();
    until_stuck(&mut client).await;
    let jobs = vec![shell("exit 0"); 5];
    let submit = Submit { jobs, ..Submit::default() };
    let first = within(client.call::<call::Submit>(&submit)).await.unwrap().first.unwrap();
    let show = twolane::protocol::Show { id: first };
    let running = within(async {
        loop {
            let job = client.call::<call::Show>(&show).await.unwrap().job;
            if job.state != State::Queued {
                return job;
            }
        }
    })
    .await;
    assert_eq!(running.state, State::Running, "{running:?}");
    within(async {
        loop {
            let status = client.call::<call::Status>(&Empty {}).await.unwrap();
            if status.health == "degraded" && status.problem.unwrap().contains("LimitNOFILE") {
                break;
            }
        }
    })
    .await;
    drop(crowd);
    let all = Selector { all: true, ..Selector::default() };
    let ended = within(client.call::<call::Wait>(&Wait { jobs: all })).await.unwrap();
    assert!(ended.finished.iter().all(|job| job.state == State::Succeeded), "{ended:?}");
}

/// Waits until the daemon has taken as many connections as it can.
async fn until_stuck(client: &mut Client) {
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut same = 0;
    let mut last = 0;
    while same < 50 {
        let now = within(client.call::<call::Stats>(&Empty {})).await.unwrap().connections;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        assert!(std::time::Instant::now() < deadline, "it goes on taking connections");
    }
    assert!(last < 200, "it had descriptors for all of them: {last}");
}
