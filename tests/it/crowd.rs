//! What the system has too little of is waited for, and costs no job.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use twolane::client::Client;
use twolane::job::State;
use twolane::protocol::{
    Cancel, Empty, Explain, JobSpec, MAX_MESSAGE, Selector, Show, Submit, Wait, call,
};

use crate::fixture::{PATIENCE, command as command_of, kind, range, shell, within};
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

/// The most memory that the daemon has had, in bytes.
fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Clients that send the longest message, and how long they try.
const CROWD: usize = 100;
const HOGS: Duration = Duration::from_secs(3);
/// What the daemon may grow by: the long messages that it reads at once, and half as much for what is made of them.
const GROWTH: u64 = 24 * MAX_MESSAGE as u64;

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_with_long_messages_waits_its_turn_and_loses_no_job() {
    let folder = TempDir::new().unwrap();
    let daemon = Daemon::start(folder.path());
    let socket = folder.path().join("twolane.sock");
    let before = peak(&daemon);
    // Clients that send all but the end of the longest message: far more at once than the daemon may hold.
    let mut hogs = tokio::task::JoinSet::new();
    let (stuck, mut told) = tokio::sync::mpsc::channel(CROWD);
    for _ in 0..CROWD {
        let (socket, stuck) = (socket.clone(), stuck.clone());
        hogs.spawn(async move {
            let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
            let piece = vec![b' '; MAX_MESSAGE - 1];
            let sent = tokio::time::timeout(HOGS, stream.write_all(&piece)).await.is_ok();
            stuck.send(sent).await.unwrap();
            std::future::pending::<()>().await;
        });
    }
    let mut sent = 0;
    for _ in 0..CROWD {
        sent += usize::from(within(told.recv()).await.unwrap());
    }
    assert!((1..=16).contains(&sent), "{sent} of {CROWD} were read at once");
    // Others are served meanwhile, and long ones when their turn comes.
    let mut client = Client::connect(&socket).await.unwrap();
    let nap = || kind("sleep", &[("for", "0s")]);
    let short = Submit { jobs: vec![nap()], ..Submit::default() };
    within(client.call::<call::Submit>(&short)).await.unwrap();
    let jobs = vec![JobSpec { hold: true, ..nap() }; 2_000];
    let mut handing = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let submit = Submit { jobs: jobs.clone(), ..Submit::default() };
        let mut client = Client::connect(&socket).await.unwrap();
        handing.spawn(async move { client.call::<call::Submit>(&submit).await.unwrap().first });
    }
    hogs.shutdown().await;
    let taken = within(handing.join_all()).await;
    assert!(taken.iter().all(Option::is_some));
    let queues = within(client.call::<call::Queues>(&Empty {})).await.unwrap().queues;
    assert_eq!(queues[0].held, 20 * 2_000, "every job that was acknowledged is there");
    // One message whose jobs would take gigabytes.
    let head = r#"{"method":"io.twolane.Scheduler.Submit","parameters":{"jobs":[{}"#;
    let mut bomb = head.as_bytes().to_vec();
    while bomb.len() < MAX_MESSAGE - 10 {
        bomb.extend(b",{}");
    }
    bomb.extend(b"]}}\0");
    let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let answer = crate::refusals::exchange(&mut stream, &bomb).await.unwrap();
    assert_eq!(answer["error"], "io.twolane.Scheduler.LimitReached", "{answer}");
    let grown = peak(&daemon) - before;
    println!("it grew by {} MiB", grown >> 20);
    assert!(grown < GROWTH, "it grew by {} MiB", grown >> 20);
}

/// A user that nobody is, whose processes a limit counts; a user namespace has a count of its own.
const NOBODY: u32 = 3_054_321;

/// A command as a user for whom the kernel counts processes, which root is not.
fn as_somebody(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
    command.arg(program);
    command
}

/// The daemon as such a user.
fn daemon_with_limits(folder: &Path) -> Option<Command> {
    if rustix::process::geteuid().is_root() {
        // Where it is built it may be out of the user's reach.
        let program = folder.join("twolaned");
        std::fs::copy(env!("CARGO_BIN_EXE_twolaned"), &program).unwrap();
        std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        return Some(as_somebody(&program));
    }
    let user = ["--user", "--map-root-user"];
    let may = Command::new("unshare").args(user).arg("true").status();
    may.is_ok_and(|status| status.success()).then(|| {
        let mut command = Command::new("unshare");
        command.args(user).arg(env!("CARGO_BIN_EXE_twolaned"));
        command
    })
}

/// Threads of a process.
fn threads(pid: u32) -> u64 {
    std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_processes_says_so_and_starts_its_jobs_when_there_are_some() {
    let folder = TempDir::new().unwrap();
    let Some(mut command) = daemon_with_limits(folder.path()) else {
        eprintln!("SKIPPED: neither root nor allowed to make a user namespace");
        return;
    };
    let state = folder.path().join("state");
    command.arg("--state-dir").arg(&state).stdin(Stdio::null());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let daemon = Daemon::of(&mut command);
    let mut client = Client::connect(&state.join("twolane.sock")).await.unwrap();
    // It has all its threads once it has run something.
    let io = |job: JobSpec| JobSpec { class: Some("io".to_owned()), ..job };
    let one = |job: JobSpec| Submit { jobs: vec![io(job)], ..Submit::default() };
    within(client.call::<call::Submit>(&one(shell("exit 0")))).await.unwrap();
    let all = Wait { jobs: Selector { all: true, ..Selector::default() } };
    within(client.call::<call::Wait>(&all)).await.unwrap();
    let limit = |most: u64| {
        let mut command = as_somebody(Path::new("prlimit"));
        command.arg(format!("--pid={}", daemon.child.id())).arg(format!("--nproc={most}:"));
        assert!(command.status().unwrap().success());
    };
    limit(threads(daemon.child.id()) + 2);
    let jobs = vec![io(command_of(&["sleep", "600"])); 6];
    let submit = Submit { jobs, ..Submit::default() };
    let first = within(client.call::<call::Submit>(&submit)).await.unwrap().first.unwrap();
    until_health(&mut client, "degraded", "TasksMax").await;
    // Whoever has no process says why, and can be cancelled; whoever has one says nothing of the kind.
    let mut waiting = Vec::new();
    for id in (0..6).map(|offset| first.after(offset)) {
        let told = within(client.call::<call::Explain>(&Explain { id })).await.unwrap();
        if told.gates.iter().any(|gate| gate.gate == "no_room") {
            waiting.push(id);
        }
    }
    assert!((4..6).contains(&waiting.len()), "{waiting:?}");
    let cancel = |id, count| Cancel { jobs: range(id, count), reason: None };
    // Also those behind others that are being tried.
    let cancelled = &waiting[..3];
    for id in cancelled {
        within(client.call::<call::Cancel>(&cancel(*id, 1))).await.unwrap();
        let wait = Wait { jobs: range(*id, 1) };
        within(client.call::<call::Wait>(&wait)).await.unwrap();
    }
    // In-process work and everybody's questions go on meanwhile.
    within(client.call::<call::Submit>(&one(kind("sleep", &[("for", "0s")])))).await.unwrap();
    let slept = Wait { jobs: range(first.after(6), 1) };
    let slept = within(client.call::<call::Wait>(&slept)).await.unwrap().finished;
    assert_eq!(slept[0].state, State::Succeeded);
    limit(threads(daemon.child.id()) + 1_000);
    until_health(&mut client, "running", "").await;
    let ids = (0..6).map(|offset| first.after(offset));
    for id in ids.filter(|id| !cancelled.contains(id)) {
        let job = client.call::<call::Show>(&Show { id }).await.unwrap().job;
        assert_eq!((job.state, job.attempt_count), (State::Running, 1), "{job:?}");
        let told = client.call::<call::Explain>(&Explain { id }).await.unwrap();
        assert!(told.gates.is_empty(), "{told:?}");
    }
    within(client.call::<call::Cancel>(&cancel(first, 6))).await.unwrap();
    let ends = within(client.call::<call::Wait>(&Wait { jobs: range(first, 6) })).await.unwrap();
    assert!(ends.finished.iter().all(|job| job.state == State::Cancelled), "{ends:?}");
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
    until_health(&mut client, "degraded", "LimitNOFILE").await;
    drop(crowd);
    let all = Selector { all: true, ..Selector::default() };
    let ended = within(client.call::<call::Wait>(&Wait { jobs: all })).await.unwrap();
    assert!(ended.finished.iter().all(|job| job.state == State::Succeeded), "{ended:?}");
}

/// Waits until the daemon says that it is so, and why.
async fn until_health(client: &mut Client, health: &str, why: &str) {
    within(async {
        loop {
            let status = client.call::<call::Status>(&Empty {}).await.unwrap();
            if status.health == health && status.problem.unwrap_or_default().contains(why) {
                break;
            }
        }
    })
    .await;
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
