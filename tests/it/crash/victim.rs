//! A daemon in a process of its own, which dies or fails when it is told to.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::breaking::{BREAK_AT, FOLDER, READY};
use super::point::Point;

/// The daemon; killed with the test.
pub(crate) struct Victim {
    pub(crate) child: Child,
    ready: bool,
    /// What it says at its end needs a reader.
    _told: Lines<BufReader<ChildStdout>>,
}

impl Victim {
    /// Starts one whose state is in `folder`, and waits until it answers or has died at the point.
    pub(super) fn start(folder: &Path, at: Option<(Point, u64)>) -> Self {
        let order = at.map_or_else(String::new, |(point, n)| format!("{}:{n}", point.name()));
        let mut command = command(folder);
        command.env(BREAK_AT, order).env_remove("NOTIFY_SOCKET");
        Self::run(command)
    }

    /// Starts one that nothing happens to by itself and that tells the service manager at `notify`.
    pub(crate) fn watched(folder: &Path, notify: &Path) -> Self {
        let mut command = command(folder);
        command.env("NOTIFY_SOCKET", notify);
        Self::run(command)
    }

    /// Starts one that its own work may kill before it answers.
    pub(crate) fn doomed(folder: &Path) -> Self {
        Self::start(folder, None)
    }

    /// Starts one that nothing happens to by itself.
    pub(crate) fn alive(folder: &Path) -> Self {
        let victim = Self::start(folder, None);
        assert!(victim.ready, "the daemon did not start");
        victim
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains(READY));
        Self { child, ready, _told: lines }
    }

    /// Whether it has answered.
    pub(super) const fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Signals it; it is not waited for yet, so its pid is nobody else's.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Kills it and sees it dead.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program once more, as the daemon of the tests.
fn command(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "crash::breaking::lives_until_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}
