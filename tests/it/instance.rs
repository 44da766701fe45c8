//! One daemon for one place, as real processes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A daemon as a process of its own; killed with the test.
pub(crate) struct Daemon {
    pub(crate) child: Child,
}

impl Daemon {
    /// Starts it and waits until it says that it listens.
    pub(crate) fn start(state: &Path) -> Self {
        let mut child = command(state).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = lines.by_ref().map_while(Result::ok).any(|line| line.contains("listening"));
        assert!(listening, "the daemon ended before it listened");
        // Its log must go on flowing, or it would block on a full pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twolaned"));
    command.arg("--state-dir").arg(state).env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    command
}

fn refused(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

#[test]
fn a_second_daemon_in_one_place_is_refused_and_names_the_first() {
    let folder = TempDir::new().unwrap();
    let daemon = Daemon::start(folder.path());
    let pid = daemon.child.id().to_string();
    let told = refused(command(folder.path()));
    assert!(told.contains(&pid) && told.contains("--state-dir"), "{told}");
    let elsewhere = TempDir::new().unwrap();
    let mut same_socket = command(elsewhere.path());
    same_socket.arg("--socket").arg(folder.path().join("twolane.sock"));
    let told = refused(same_socket);
    assert!(told.contains(&pid) && told.contains("--socket"), "{told}");
}

#[test]
fn a_daemon_that_was_killed_is_followed_by_another_on_its_socket() {
    let folder = TempDir::new().unwrap();
    let mut first = Daemon::start(folder.path());
    first.signal(Signal::KILL);
    first.child.wait().unwrap();
    assert!(folder.path().join("twolane.sock").exists(), "a stale socket is left behind");
    Daemon::start(folder.path());
}

#[test]
fn term_ends_an_idle_daemon_in_order_and_takes_its_socket_away() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Daemon::start(folder.path());
    daemon.signal(Signal::TERM);
    assert!(daemon.child.wait().unwrap().success());
    assert!(!folder.path().join("twolane.sock").exists());
}

#[test]
fn a_state_directory_that_can_t_be_written_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let told = refused(command(&file.join("state")));
    assert!(told.contains("file") && told.contains("--state-dir"), "{told}");
    let told = refused(command(Path::new("/proc/self/state")));
    assert!(told.contains("/proc/self/state"), "{told}");
}

#[test]
fn a_bad_config_is_refused_before_anything_is_touched() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "[lanes]\ncpus = 3\n").unwrap();
    let state = folder.path().join("state");
    for check in [true, false] {
        let mut daemon = command(&state);
        daemon.arg("--config").arg(&file).args(check.then_some("--check-config"));
        let told = refused(daemon);
        assert!(told.contains("bad.toml") && told.contains("cpus") && told.contains('2'), "{told}");
    }
    assert!(!state.exists());
}
