//! A pid that belongs to somebody else by now is nobody's to signal.
//!
//! The kernel gives a pid away again when it has gone round all others. Inside a pid namespace of its own a test can say
//! where it goes on counting, so a stranger really gets the pid of a job's process that has ended.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;
use twolane::client::Client;
use twolane::job::{JobId, State};
use twolane::process::{ATTEMPT_VARIABLE, Owner, leftovers};
use twolane::protocol::{Show, Submit, call};

use crate::fixture::{PATIENCE, shell, within};
use crate::instance::Daemon;

const INSIDE: &str = "TWOLANE_TEST_PID_NAMESPACE";

/// How often a pid is asked for: whatever else the kernel makes in the namespace meanwhile may take it.
const TRIES: usize = 200;

/// Whether this is the process of its own that the test is to run in; else it runs there, or the reason is told why not.
fn in_a_pid_namespace(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    for more in [&[][..], &["--user", "--map-root-user"]] {
        let unshare = |words: &[&OsStr]| -> Option<ExitStatus> {
            let mut command = Command::new("unshare");
            command.args(more).args(["--pid", "--fork", "--mount-proc"]).args(words);
            command.env(INSIDE, "1").status().ok()
        };
        let possible = ["sh", "-c", "echo 100 > /proc/sys/kernel/ns_last_pid"].map(OsStr::new);
        if unshare(&possible).is_some_and(|status| status.success()) {
            let program = std::env::current_exe().unwrap();
            let name = format!("strangers::{test}");
            let words = ["--exact", &name, "--nocapture", "--test-threads", "1"].map(OsStr::new);
            let words: Vec<&OsStr> = std::iter::once(program.as_os_str()).chain(words).collect();
            assert!(unshare(&words).unwrap().success(), "it failed inside the namespace");
            return false;
        }
    }
    eprintln!(
        "SKIPPED: the kernel lets nobody here make a pid namespace and say what pid comes next"
    );
    false
}

/// A process that nobody knows and that gets this pid, which is free.
fn stranger_with(pid: i32) -> Child {
    for _ in 0..TRIES {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let mut command = Command::new("sleep");
        command.arg("600").env_remove(ATTEMPT_VARIABLE).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        if child.id() == pid.cast_unsigned() {
            return child;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    panic!("pid {pid} was never given away again");
}

/// Kills a process that became a child of this one, the first of the namespace, and takes its status.
fn bury(pid: i32) {
    let pid = Pid::from_raw(pid).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    waitpid(Some(pid), WaitOptions::empty()).unwrap();
}

async fn attempt(state: &Path, job: JobId, number: u32) -> i32 {
    let file = state.join(format!("pid.{number}"));
    within(async {
        loop {
            let mut client = Client::connect(&state.join("twolane.sock")).await.unwrap();
            let told = client.call::<call::Show>(&Show { id: job }).await.unwrap().job;
            let pid = std::fs::read_to_string(&file).unwrap_or_default();
            if let (State::Running, Ok(pid)) = (told.state, pid.trim().parse()) {
                assert_eq!(told.attempt_count, number);
                return pid;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_stranger_that_has_the_pid_of_a_lost_attempt_is_left_alone() {
    if !in_a_pid_namespace("a_stranger_that_has_the_pid_of_a_lost_attempt_is_left_alone") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let state = folder.path();
    let mut daemon = Daemon::start(state);
    let script = format!(
        "n=1; while [ -e {0}/pid.$n ]; do n=$((n + 1)); done; echo $$ > {0}/pid.$n; exec sleep 600",
        state.display()
    );
    let path = std::env::var("PATH").unwrap_or_default();
    let context = twolane::protocol::Context {
        cwd: "/".to_owned(),
        env: [("PATH".to_owned(), path)].into(),
        ..Default::default()
    };
    let submit = Submit { jobs: vec![shell(&script)], context: Some(context), ..Submit::default() };
    let mut client = Client::connect(&state.join("twolane.sock")).await.unwrap();
    let job = client.call::<call::Submit>(&submit).await.unwrap().first.unwrap();
    let pid = attempt(state, job, 1).await;
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    bury(pid);
    let mut stranger = stranger_with(pid);
    let _daemon = Daemon::start(state);
    assert_ne!(attempt(state, job, 2).await, pid);
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_signal_to_one_that_was_found_never_reaches_who_has_its_pid_by_then() {
    if !in_a_pid_namespace("a_signal_to_one_that_was_found_never_reaches_who_has_its_pid_by_then") {
        return;
    }
    let store = "0123456789abcdef";
    let mut command = Command::new("sleep");
    let token = format!("{store}-1-1");
    let mut lost = command.arg("600").env(ATTEMPT_VARIABLE, token).spawn().unwrap();
    let pid = lost.id().cast_signed();
    let deadline = std::time::Instant::now() + PATIENCE;
    let found = loop {
        let found = leftovers(Owner::Store(store)).unwrap();
        if !found.is_empty() {
            break found;
        }
        assert!(std::time::Instant::now() < deadline, "it is not found");
    };
    assert_eq!(found.iter().map(|found| found.pid).collect::<Vec<_>>(), [pid]);
    lost.kill().unwrap();
    lost.wait().unwrap();
    let mut stranger = stranger_with(pid);
    assert!(!found[0].signal(Signal::KILL).unwrap(), "a signal went somewhere");
    assert!(leftovers(Owner::Store(store)).unwrap().is_empty(), "the stranger is taken for it");
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
