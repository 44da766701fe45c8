use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::*;
use crate::process::{Signal, Status, terminate};

#[tokio::test]
async fn a_polite_child_ends_within_the_grace() {
    // The sleeper says "ready" itself: a shell that is hit between fork and exec may lose the signal.
    let script = "trap 'exit 4' TERM; sh -c 'echo ready; exec sleep 600' & wait";
    let (launch, reader) = piped(shell(script));
    let child = within(start().spawn(launch)).await.unwrap();
    let (line, rest) = read_line(reader).await;
    assert_eq!(line, "ready");
    let exit = within(terminate(&child, ENDLESS)).await;
    assert_eq!(exit.status, Status::Code(4));
    assert_eq!(read_all(rest.into_inner()).await, "", "the sleep in the background is gone too");
}

#[tokio::test]
async fn a_child_that_ignores_term_is_killed_after_the_grace() {
    let (launch, reader) = piped(shell("trap '' TERM; echo ready; while :; do sleep 600; done"));
    let child = within(start().spawn(launch)).await.unwrap();
    let (_, rest) = read_line(reader).await;
    let exit = within(terminate(&child, Duration::from_millis(20))).await;
    assert_eq!(exit.status, Status::Signal(libc::SIGKILL, false));
    assert_eq!(read_all(rest.into_inner()).await, "", "its own child is gone too");
}

#[tokio::test]
async fn a_stopped_child_is_continued_to_hear_that_it_shall_end() {
    let script = shell("trap 'exit 6' TERM; kill -STOP $$; exit 1");
    let child = within(start().spawn(script)).await.unwrap();
    let id = WaitId::Pid(Pid::from_raw(child.pid()).unwrap());
    // Sent before the stop took hold, the signals that follow would not be the ones under test.
    let stopped = move || waitid(id, WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT);
    within(tokio::task::spawn_blocking(stopped)).await.unwrap().unwrap();
    let exit = within(terminate(&child, ENDLESS)).await;
    assert_eq!(exit.status, Status::Code(6));
}

#[tokio::test]
async fn children_left_behind_are_seen_and_ended() {
    let (launch, reader) =
        piped(shell("sh -c \"trap '' TERM; echo ready; while :; do sleep 600; done\" & exit 3"));
    let child = within(start().spawn(launch)).await.unwrap();
    let (line, rest) = read_line(reader).await;
    assert_eq!(line, "ready");
    assert_eq!(within(child.exited()).await.status, Status::Code(3));
    assert!(child.stragglers());
    within(child.end_stragglers(Duration::from_millis(20))).await;
    assert_eq!(read_all(rest.into_inner()).await, "");
}

#[tokio::test]
async fn stragglers_of_a_terminated_leader_are_killed_too() {
    let script = "sh -c \"trap '' TERM; echo ready; while :; do sleep 600; done\" & wait";
    let (launch, reader) = piped(shell(script));
    let child = within(start().spawn(launch)).await.unwrap();
    let (_, rest) = read_line(reader).await;
    let exit = within(terminate(&child, Duration::from_millis(20))).await;
    assert_eq!(exit.status, Status::Signal(libc::SIGTERM, false));
    assert_eq!(read_all(rest.into_inner()).await, "");
}

#[tokio::test]
async fn a_signal_after_the_end_reaches_nobody() {
    let child = within(start().spawn(launch(&["true"]))).await.unwrap();
    within(child.exited()).await;
    assert!(!child.signal_group(Signal::KILL).unwrap());
    assert!(!child.end_tree(Signal::TERM).unwrap());
    assert!(within(child.end_stragglers(ENDLESS)).await);
}

#[tokio::test]
async fn a_living_child_has_a_start_time_and_no_stragglers() {
    let (reader, writer) = std::io::pipe().unwrap();
    let waiting = Launch { stdin: Stdin::Fd(reader.into()), ..launch(&["cat"]) };
    let child = within(start().spawn(waiting)).await.unwrap();
    assert!(child.start_time().is_some());
    assert!(!child.stragglers());
    assert!(!within(child.end_stragglers(ENDLESS)).await, "refused while the leader lives");
    drop(writer);
    assert_eq!(within(child.exited()).await.status, Status::Code(0));
}
