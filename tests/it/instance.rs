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
        Self::of(&mut command(state))
    }

    /// The same with a command of the test's own.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
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

/// What must be refused, with the words that it is refused with.
fn is_left_alone(state: &Path, expected: &str) {
    let file = state.join("twolane.db");
    let before = std::fs::read(&file).unwrap();
    let told = refused(command(state));
    assert!(told.contains(expected) && told.contains("the file was not touched"), "{told}");
    assert!(told.contains(file.to_str().unwrap()), "{told}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert!(!state.join("twolane.sock").exists(), "nobody is served from it");
}

#[test]
fn a_database_that_is_newer_or_foreign_or_damaged_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Daemon::start(folder.path());
    daemon.signal(Signal::TERM);
    assert!(daemon.child.wait().unwrap().success());
    let file = folder.path().join("twolane.db");
    let ours = std::fs::read(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 999).unwrap();
    is_left_alone(folder.path(), "install the newer version");
    let mut damaged = ours.clone();
    damaged[100..4_000].fill(0xff);
    std::fs::write(&file, damaged).unwrap();
    is_left_alone(folder.path(), "is not a job store");
    std::fs::write(&file, "a letter to a friend, and no database at all".repeat(100)).unwrap();
    is_left_alone(folder.path(), "is not a job store");
    // And with the file as it was all is well again.
    std::fs::write(&file, ours).unwrap();
    Daemon::start(folder.path());
}

#[test]
fn a_read_only_disk_is_told_as_such() {
    let Some(disk) = Disk::mount("3m") else {
        eprintln!("SKIPPED: no file system can be mounted here, so a read-only one was not tried");
        return;
    };
    let state = disk.0.path().join("state");
    let mut daemon = Daemon::start(&state);
    daemon.signal(Signal::TERM);
    assert!(daemon.child.wait().unwrap().success());
    let remount = ["-o", "remount,ro"];
    let remounted = Command::new("mount").args(remount).arg(disk.0.path()).status().unwrap();
    assert!(remounted.success());
    let told = refused(command(&state));
    assert!(told.contains(state.to_str().unwrap()) && told.contains("Read-only"), "{told}");
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

#[test]
fn a_socket_whose_path_has_gone_is_opened_again() {
    let folder = TempDir::new().unwrap();
    let _daemon = Daemon::start(folder.path());
    let socket = folder.path().join("twolane.sock");
    std::fs::remove_file(&socket).unwrap();
    let deadline = std::time::Instant::now() + crate::fixture::PATIENCE;
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(std::time::Instant::now() < deadline, "it was not opened again");
        std::thread::yield_now();
    }
}

/// A small file system of its own, which root can make.
struct Disk(TempDir);

impl Disk {
    fn mount(size: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let options = format!("size={size}");
        let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the daemon may hold it for another moment.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_new_jobs_and_heals_by_itself() {
    use twolane::client::{CallError, Client};
    use twolane::protocol::{Empty, Error, JobSpec, Submit, call};
    let Some(disk) = Disk::mount("3m") else {
        eprintln!("SKIPPED: no file system can be mounted here, so the full disk was not tried");
        return;
    };
    let state = disk.0.path().join("state");
    let mut daemon = Daemon::start(&state);
    let mut client = Client::connect(&state.join("twolane.sock")).await.unwrap();
    let job =
        JobSpec { name: Some("x".repeat(100)), ..crate::fixture::kind("sleep", &[("for", "0s")]) };
    let submit = Submit { jobs: vec![job], ..Submit::default() };
    client.call::<call::Submit>(&submit).await.unwrap();
    // It ends when the disk is full already; what it waits for lies elsewhere.
    let elsewhere = TempDir::new().unwrap();
    let go = elsewhere.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.01; done; exit 7", go.display());
    let running = Submit { jobs: vec![crate::fixture::shell(&script)], ..submit.clone() };
    let running = client.call::<call::Submit>(&running).await.unwrap().first.unwrap();
    let show = twolane::protocol::Show { id: running };
    let started = |job: &twolane::protocol::Job| job.state == twolane::job::State::Running;
    while !started(&client.call::<call::Show>(&show).await.unwrap().job) {}
    let ballast = disk.0.path().join("ballast");
    // As full as it gets.
    let _ = std::fs::write(&ballast, vec![1; 4 << 20]);
    let refused = loop {
        if let Err(error) = crate::fixture::within(client.call::<call::Submit>(&submit)).await {
            break error;
        }
    };
    assert!(matches!(refused, CallError::Refused(Error::StorageFull { .. })), "{refused}");
    let status = client.call::<call::Status>(&Empty {}).await.unwrap();
    assert_eq!(status.health, "degraded");
    std::fs::write(&go, "").unwrap();
    crate::fixture::within(async {
        loop {
            let status = client.call::<call::Status>(&Empty {}).await.unwrap();
            if status.problem.is_some_and(|problem| problem.contains("the end of 1 job")) {
                break;
            }
        }
    })
    .await;
    // The side journal has taken it, as full as the disk is.
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    std::fs::remove_file(&ballast).unwrap();
    let _daemon = Daemon::start(&state);
    let mut client = Client::connect(&state.join("twolane.sock")).await.unwrap();
    let ended = client.call::<call::Show>(&show).await.unwrap().job;
    assert_eq!((ended.exit_code, ended.attempt_count), (Some(7), 1));
    crate::fixture::within(async {
        while client.call::<call::Submit>(&submit).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let all = twolane::protocol::Selector { all: true, ..Default::default() };
    let wait = twolane::protocol::Wait { jobs: all };
    crate::fixture::within(client.call::<call::Wait>(&wait)).await.unwrap();
    let status = client.call::<call::Status>(&Empty {}).await.unwrap();
    assert_eq!(status.health, "running");
}
