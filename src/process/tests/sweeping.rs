use super::*;
use crate::process::{ATTEMPT_VARIABLE, Owner, Signal, end_leftovers, leftovers};

/// A launch that carries this token.
fn marked(script: &str, token: &str) -> Launch {
    let mut launch = shell(script);
    launch.env.push((ATTEMPT_VARIABLE.into(), token.into()));
    launch
}

/// An id that no other test and no earlier run of this one used.
fn fresh_store() -> String {
    let directory = tempfile::tempdir().unwrap();
    format!("store{}", directory.path().file_name().unwrap().to_string_lossy())
}

async fn sweep(store: &str, grace: Duration) -> crate::process::Swept {
    let store = store.to_owned();
    let sweeping = tokio::task::spawn_blocking(move || end_leftovers(Owner::Store(&store), grace));
    within(sweeping).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_grandchild_in_its_own_session_is_found_and_a_stranger_is_not() {
    let (processes, store) = (start(), fresh_store());
    let script = "setsid sh -c 'echo ready; while :; do sleep 600; done' & wait";
    let (ours, reader) = piped(marked(script, &format!("{store}-1-1")));
    let child = within(processes.spawn(ours)).await.unwrap();
    let (line, rest) = read_line(reader).await;
    assert_eq!(line, "ready");
    let (keep, release) = std::io::pipe().unwrap();
    let other = marked("read line; exit 8", &format!("other-{store}-1-1"));
    let stranger = Launch { stdin: Stdin::Fd(keep.into()), ..other };
    let stranger = within(processes.spawn(stranger)).await.unwrap();

    let swept = sweep(&store, ENDLESS).await;
    assert!(swept.signalled >= 2, "{swept:?}");
    assert!(swept.remaining.is_empty());
    within(child.exited()).await;
    assert_eq!(read_all(rest.into_inner()).await, "", "nobody holds the pipe any more");
    assert!(leftovers(Owner::Store(&store)).unwrap().is_empty());

    drop(release);
    let exit = within(stranger.exited()).await;
    assert_eq!(exit.status, crate::process::Status::Code(8), "the stranger ended by itself");
}

#[tokio::test]
async fn a_leftover_that_ignores_term_is_killed() {
    let store = fresh_store();
    let script = "trap '' TERM; echo ready; while :; do sleep 600; done";
    let (ours, reader) = piped(marked(script, &format!("{store}-1-1")));
    let child = within(start().spawn(ours)).await.unwrap();
    let (_, rest) = read_line(reader).await;
    let swept = sweep(&store, Duration::from_millis(20)).await;
    assert!(swept.remaining.is_empty());
    let status = within(child.exited()).await.status;
    assert_eq!(status, crate::process::Status::Signal(libc::SIGKILL, false));
    assert_eq!(read_all(rest.into_inner()).await, "");
}

#[tokio::test]
async fn one_attempt_is_told_from_another_that_only_begins_alike() {
    let (processes, store) = (start(), fresh_store());
    let mut children = Vec::new();
    for token in [format!("{store}-1-1"), format!("{store}-1-12")] {
        let (launch, reader) = piped(marked("echo ready; exec sleep 600", &token));
        children.push(within(processes.spawn(launch)).await.unwrap());
        read_line(reader).await;
    }
    let token = format!("{store}-1-1");
    let found = leftovers(Owner::Attempt(OsStr::new(&token))).unwrap();
    let pids: Vec<_> = found.iter().map(|leftover| leftover.pid).collect();
    assert_eq!(pids, [children[0].pid()]);
    assert_eq!(found[0].start_time, children[0].start_time().unwrap());
    assert_eq!(found[0].attempt.to_str(), Some(token.as_str()));
    assert_eq!(leftovers(Owner::Store(&store)).unwrap().len(), 2);
    sweep(&store, ENDLESS).await;
    for child in children {
        within(child.exited()).await;
    }
    assert!(!found[0].signal(Signal::KILL).unwrap(), "the dead one's pidfd reaches nobody");
}

#[tokio::test]
async fn a_cleared_environment_hides_a_process_as_documented() {
    let store = fresh_store();
    let script = "exec env -i sh -c 'echo ready; read line'";
    let (keep, release) = std::io::pipe().unwrap();
    let (hidden, reader) = piped(marked(script, &format!("{store}-1-1")));
    let hidden = Launch { stdin: Stdin::Fd(keep.into()), ..hidden };
    let child = within(start().spawn(hidden)).await.unwrap();
    let (_, _rest) = read_line(reader).await;
    assert!(leftovers(Owner::Store(&store)).unwrap().is_empty());
    drop(release);
    within(child.exited()).await;
}

#[test]
fn an_empty_store_id_owns_nothing() {
    assert!(leftovers(Owner::Store("")).unwrap().is_empty());
}
