//! A subreaper changes its whole process, so these tests run in a process of their own: the test
//! binary starts itself again with one test selected.

use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, getrlimit, pidfd_open, setrlimit};

use super::*;
use crate::process::{ATTEMPT_VARIABLE, Status, become_subreaper, terminate};

const INSIDE: &str = "TWOLANE_TEST_SUBREAPER";

/// Runs the named test of this file again, alone in a new process, which is ended should it hang.
fn again_as_subreaper(test: &str) {
    let name = format!("process::tests::adopting::{test}");
    let mut inside = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .spawn()
        .unwrap();
    let pidfd = pidfd_open(Pid::from_child(&inside), PidfdFlags::empty()).unwrap();
    let bound = Timespec::try_from(ENDLESS).unwrap();
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&bound)).unwrap();
    if ended == 0 {
        inside.kill().unwrap();
    }
    assert!(inside.wait().unwrap().success());
}

/// As long as it lives no descriptor is to be had, whatever is closed meanwhile: a test that took all of them
/// would lose one to whoever had it open just then.
struct NoDescriptors(Rlimit);

impl NoDescriptors {
    fn at_all() -> Self {
        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).unwrap();
        Self(before)
    }
}

impl Drop for NoDescriptors {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).unwrap();
    }
}

fn adopting() -> Processes {
    become_subreaper().unwrap();
    Processes::start(Options { adopt_orphans: true, ..Options::default() }).unwrap()
}

/// Completes when this pid is nobody's any more, not even a zombie's. No event tells that, so it
/// looks again and again, for a second at most: orphans are looked for once a second.
async fn gone(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let exists = || rustix::process::test_kill_process(pid).is_ok();
    within(async {
        while exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits for the end of a helper and leaves its status to be taken.
fn ended_unreaped(helper: &std::process::Child) {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let helper = WaitId::Pid(Pid::from_child(helper));
    waitid(helper, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
}

#[tokio::test]
async fn orphans_are_reaped_and_nobody_else_s_children() {
    if std::env::var_os(INSIDE).is_none() {
        return again_as_subreaper("orphans_are_reaped_and_nobody_else_s_children");
    }
    let processes = adopting();
    // Ended, and waited for only after the orphan was reaped.
    let mut helper = Command::new("sh").args(["-c", "exit 5"]).spawn().unwrap();
    let (launch, reader) =
        piped(shell("exec 3<&0; setsid sh -c 'echo $$; read line <&3' & exec sleep 600"));
    let (keep, release) = std::io::pipe().unwrap();
    let launch = Launch { stdin: Stdin::Fd(keep.into()), ..launch };
    let child = within(processes.spawn(launch)).await.unwrap();
    let (orphan, _rest) = read_line(reader).await;
    ended_unreaped(&helper);
    child.end_tree(crate::process::Signal::KILL).unwrap();
    assert_eq!(within(child.exited()).await.status, Status::Signal(libc::SIGKILL, false));
    assert_eq!(helper.wait().unwrap().code(), Some(5));
    drop(release);
    gone(&orphan).await;
}

#[tokio::test]
async fn no_newborn_is_taken_for_an_orphan() {
    if std::env::var_os(INSIDE).is_none() {
        return again_as_subreaper("no_newborn_is_taken_for_an_orphan");
    }
    let processes = adopting();
    let mut spawning = tokio::task::JoinSet::new();
    for number in 0..300 {
        let processes = processes.clone();
        spawning.spawn(async move {
            let child =
                processes.spawn(shell(&format!("true & exit {}", number % 256))).await.unwrap();
            // Sweeps all the time, while others are being born.
            child.hurry_reaper();
            (number, child.exited().await)
        });
    }
    for (number, exit) in within(spawning.join_all()).await {
        assert_eq!(exit.status, Status::Code(number % 256));
    }
}

#[tokio::test]
async fn running_out_of_descriptors_is_worth_another_try_and_ends_no_watch() {
    if std::env::var_os(INSIDE).is_none() {
        return again_as_subreaper(
            "running_out_of_descriptors_is_worth_another_try_and_ends_no_watch",
        );
    }
    let processes = adopting();
    let (patient, unwanted) = (launch(&["true"]), launch(&["true"]));
    let shortage = NoDescriptors::at_all();
    // A patient launch waits until there is room, and one that is not wanted any more does not.
    let other = processes.clone();
    let waiting = tokio::spawn(async move { other.spawn_patiently(patient, || true).await });
    within(async {
        while processes.short_of_room() == 0 {
            assert!(!waiting.is_finished(), "it waits for a descriptor");
            tokio::task::yield_now().await;
        }
    })
    .await;
    let error = within(processes.spawn_patiently(unwanted, || false)).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(error.errno(), Some(libc::EMFILE));
    drop(shortage);
    let child = within(waiting).await.unwrap().unwrap();
    assert_eq!(within(child.exited()).await.status, Status::Code(0));
    assert_eq!(processes.short_of_room(), 0);
}

/// A sweep that asked `/proc` whose child had ended got no answer without a descriptor, and took the helper for an orphan.
#[tokio::test]
async fn without_descriptors_nobody_else_s_children_are_reaped_either() {
    if std::env::var_os(INSIDE).is_none() {
        return again_as_subreaper("without_descriptors_nobody_else_s_children_are_reaped_either");
    }
    let processes = adopting();
    let mut children = Vec::new();
    for _ in 0..2 {
        children.push(within(processes.spawn(launch(&["sleep", "600"]))).await.unwrap());
    }
    let mut helper = Command::new("sh").args(["-c", "exit 5"]).spawn().unwrap();
    ended_unreaped(&helper);
    let shortage = NoDescriptors::at_all();
    children[0].hurry_reaper();
    // The second end is noticed after the sweep that was asked for before the first.
    for child in &children {
        child.end_tree(crate::process::Signal::KILL).unwrap();
        assert_eq!(within(child.exited()).await.status, Status::Signal(libc::SIGKILL, false));
    }
    drop(shortage);
    assert_eq!(helper.wait().unwrap().code(), Some(5));
}

#[tokio::test]
async fn a_terminated_attempt_s_escaped_grandchildren_end_and_another_s_do_not() {
    if std::env::var_os(INSIDE).is_none() {
        return again_as_subreaper(
            "a_terminated_attempt_s_escaped_grandchildren_end_and_another_s_do_not",
        );
    }
    let processes = adopting();
    // Two generations, each in its own session, deaf to TERM.
    // A shell gives background commands an empty standard input, hence the third descriptor.
    let escaping = "trap '' TERM; exec 3<&0; \
        setsid sh -c 'setsid sh -c \"echo ready; read line <&3\" & wait'";
    let mut attempts = Vec::new();
    for token in ["store-1-1", "store-1-11"] {
        let (keep, release) = std::io::pipe().unwrap();
        let (mut launch, reader) = piped(shell(&format!("{escaping} & wait")));
        launch.env.push((ATTEMPT_VARIABLE.into(), token.into()));
        let launch = Launch { stdin: Stdin::Fd(keep.into()), ..launch };
        let child = within(processes.spawn(launch)).await.unwrap();
        let (_, rest) = read_line(reader).await;
        attempts.push((child, rest, release));
    }
    let (other, other_rest, other_release) = attempts.pop().unwrap();
    let (child, rest, _release) = attempts.pop().unwrap();
    within(terminate(&child, Duration::from_millis(20))).await;
    assert_eq!(read_all(rest.into_inner()).await, "", "nobody of it holds the pipe");
    assert_eq!(other.exit(), None);
    drop(other_release);
    assert_eq!(within(other.exited()).await.status, Status::Code(0), "it ended by itself");
    assert_eq!(read_all(other_rest.into_inner()).await, "");
}
