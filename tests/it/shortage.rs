//! While the store takes nothing no accepted job is lost, and everybody is told what is wrong.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;
use twolane::client::{CallError, Client};
use twolane::job::{JobId, State};
use twolane::protocol::{
    Cancel, Empty, Error, Job, JobSpec, Selector, Show, StatusReply, Submit, Wait, call,
};

use crate::crash::{BROKEN, FULL, UNSURE, Victim};
use crate::fixture::{PATIENCE, range, shell, within};

async fn client(folder: &Path) -> Client {
    Client::connect(&folder.join("state/twolane.sock")).await.unwrap()
}

fn submission(folder: &Path, jobs: Vec<JobSpec>) -> Submit {
    let path = std::env::var("PATH").unwrap_or_default();
    let context = twolane::protocol::Context {
        cwd: folder.display().to_string(),
        env: [("PATH".to_owned(), path)].into(),
        ..Default::default()
    };
    Submit { jobs, context: Some(context), ..Submit::default() }
}

async fn submit(folder: &Path, jobs: Vec<JobSpec>) -> JobId {
    let submit = submission(folder, jobs);
    let reply = client(folder).await.call::<call::Submit>(&submit).await;
    reply.expect("the jobs are taken").first.expect("they have ids")
}

async fn show(folder: &Path, id: JobId) -> Job {
    client(folder).await.call::<call::Show>(&Show { id }).await.unwrap().job
}

async fn status(folder: &Path) -> StatusReply {
    client(folder).await.call::<call::Status>(&Empty {}).await.unwrap()
}

fn touch(folder: &Path, name: &str) {
    std::fs::write(folder.join(name), "").unwrap();
}

fn lines(folder: &Path, name: &str) -> usize {
    std::fs::read_to_string(folder.join(name)).unwrap_or_default().lines().count()
}

/// Runs until the file `go` is there, and leaves with 7.
fn waiting_for_go() -> JobSpec {
    shell("echo x >> began; until [ -e go ]; do sleep 0.01; done; exit 7")
}

/// Two jobs that run, the second at most once.
async fn two_running(folder: &Path) -> JobId {
    let once = JobSpec { at_most_once: true, ..waiting_for_go() };
    let first = submit(folder, vec![waiting_for_go(), once]).await;
    until(|| lines(folder, "began") == 2).await;
    until_status(folder, |status| status.io_running + status.cpu_used == 2).await;
    // Both starts are written down.
    for id in [first, first.after(1)] {
        until_shown(folder, id, |job| job.state == State::Running).await;
    }
    first
}

/// Waits for what happens outside of this process.
async fn until(happened: impl Fn() -> bool) {
    within(async {
        while !happened() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn until_shown(folder: &Path, id: JobId, wanted: impl Fn(&Job) -> bool) {
    within(async { while !wanted(&show(folder, id).await) {} }).await;
}

async fn until_status(folder: &Path, wanted: impl Fn(&StatusReply) -> bool) {
    within(async { while !wanted(&status(folder).await) {} }).await;
}

/// Both jobs ended with 7, and neither was run again.
async fn both_ended_with_seven(folder: &Path, first: JobId) {
    for id in [first, first.after(1)] {
        let job = show(folder, id).await;
        assert_eq!((job.state, job.exit_code, job.attempt_count), (State::Failed, Some(7), 1));
    }
    assert_eq!(lines(folder, "began"), 2, "a job that had ended was run again");
}

fn problem_tells_of_two(status: &StatusReply) -> bool {
    status.problem.as_ref().is_some_and(|problem| problem.contains("the ends of 2 jobs"))
}

/// A daemon in this folder under which two jobs have ended while the disk is full; with the first of them.
async fn two_ended_while_full(folder: &Path) -> (Victim, JobId) {
    let daemon = Victim::alive(folder);
    let first = two_running(folder).await;
    touch(folder, FULL);
    touch(folder, "go");
    until_status(folder, problem_tells_of_two).await;
    (daemon, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_the_disk_is_full_is_known_after_a_kill() {
    let folder = TempDir::new().unwrap();
    let (daemon, first) = two_ended_while_full(folder.path()).await;
    assert_eq!(show(folder.path(), first).await.state, State::Running, "it is not written yet");
    daemon.kill();
    std::fs::remove_file(folder.path().join(FULL)).unwrap();
    let _daemon = Victim::alive(folder.path());
    both_ended_with_seven(folder.path(), first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_the_disk_was_full_is_written_when_there_is_room() {
    let folder = TempDir::new().unwrap();
    let (daemon, first) = two_ended_while_full(folder.path()).await;
    std::fs::remove_file(folder.path().join(FULL)).unwrap();
    let wait = Wait { jobs: range(first, 2) };
    within(client(folder.path()).await.call::<call::Wait>(&wait)).await.unwrap();
    both_ended_with_seven(folder.path(), first).await;
    let status = status(folder.path()).await;
    assert_eq!((status.health.as_str(), status.problem), ("running", None));
    // And nothing of it is told to the next life once more.
    daemon.kill();
    let _daemon = Victim::alive(folder.path());
    both_ended_with_seven(folder.path(), first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_disk_is_full_leaves_the_ends_to_the_next_life() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Victim::alive(folder.path());
    let first = two_running(folder.path()).await;
    touch(folder.path(), FULL);
    touch(folder.path(), "go");
    until_status(folder.path(), problem_tells_of_two).await;
    daemon.signal(Signal::TERM);
    assert!(daemon.child.wait().unwrap().success());
    std::fs::remove_file(folder.path().join(FULL)).unwrap();
    let _daemon = Victim::alive(folder.path());
    both_ended_with_seven(folder.path(), first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_ends_the_daemon_and_the_next_one_knows_what_had_ended() {
    // Whether or not the store has what it could not sync must make no difference.
    for fault in [BROKEN, UNSURE] {
        let folder = TempDir::new().unwrap();
        let mut daemon = Victim::alive(folder.path());
        let first = two_running(folder.path()).await;
        // Both end while the disk is full, so that both ends are in the batch whose sync fails.
        touch(folder.path(), FULL);
        touch(folder.path(), "go");
        until_status(folder.path(), problem_tells_of_two).await;
        touch(folder.path(), fault);
        std::fs::remove_file(folder.path().join(FULL)).unwrap();
        assert!(!daemon.child.wait().unwrap().success(), "it went on after a failed sync");
        std::fs::remove_file(folder.path().join(fault)).unwrap();
        let _daemon = Victim::alive(folder.path());
        both_ended_with_seven(folder.path(), first).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_to_everybody_starts_nothing_and_heals() {
    let folder = TempDir::new().unwrap();
    let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hears = |wanted: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = manager.recv(&mut buffer).expect("the service manager is told");
            if String::from_utf8_lossy(&buffer[..length]).contains(wanted) {
                return;
            }
        }
    };
    let _daemon = Victim::watched(folder.path(), &folder.path().join("notify"));
    let endless = submit(folder.path(), vec![shell("echo $$ > pid; exec sleep 600")]).await;
    until_shown(folder.path(), endless, |job| job.state == State::Running).await;
    until(|| lines(folder.path(), "pid") == 1).await;
    let later = JobSpec { delay: Some("1s".to_owned()), ..shell("echo x >> later") };
    let later = submit(folder.path(), vec![later]).await;
    touch(folder.path(), FULL);
    let submit = submission(folder.path(), vec![shell("true")]);
    let mut client = client(folder.path()).await;
    let refused = within(client.call::<call::Submit>(&submit)).await.unwrap_err();
    let CallError::Refused(Error::StorageFull { message }) = refused else { panic!("{refused}") };
    assert!(message.contains("twolane.db") && message.contains("free some space"), "{message}");
    hears("STATUS=degraded: no space left");
    assert_eq!(status(folder.path()).await.health, "degraded");
    // The very job that fills the disk can be ended.
    let cancel = Cancel { jobs: range(endless, 1), reason: None };
    let answer = within(client.call::<call::Cancel>(&cancel)).await;
    assert!(matches!(answer, Err(CallError::Refused(Error::StorageFull { .. }))), "{answer:?}");
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    until(|| crate::recovery::is_gone(pid.trim())).await;
    until_status(folder.path(), |status| {
        status.problem.as_ref().is_some_and(|problem| problem.contains("the end of 1 job"))
    })
    .await;
    // Its time comes, and it does not start.
    until_due(folder.path(), later).await;
    assert_eq!(lines(folder.path(), "later"), 0);
    std::fs::remove_file(folder.path().join(FULL)).unwrap();
    let all = Selector { all: true, ..Selector::default() };
    within(client.call::<call::Wait>(&Wait { jobs: all })).await.unwrap();
    hears("STATUS=running");
    assert_eq!(status(folder.path()).await.health, "running");
    assert_eq!(show(folder.path(), endless).await.state, State::Cancelled);
    assert_eq!(lines(folder.path(), "later"), 1);
}

/// Waits until the moment has passed that a scheduled job waits for.
async fn until_due(folder: &Path, id: JobId) {
    let due = show(folder, id).await.not_before.expect("it waits for a moment");
    let due = twolane::protocol::from_rfc3339(&due).unwrap();
    until(|| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        now.as_micros() as i64 > due.0
    })
    .await;
}
