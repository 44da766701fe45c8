//! Clients and jobs that misbehave harm nobody but themselves.

use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use twolane::job::State;
use twolane::protocol::{Cancel, Empty, JobSpec, List, Logs, MAX_MESSAGE, Selector, call};

use crate::fixture::{Fixture, command, kind, range, shell, within};
use crate::refusals::{exchange, read_message};

async fn still_answers(daemon: &Fixture) {
    let status = within(daemon.client().await.call::<call::Status>(&Empty {})).await.unwrap();
    assert_eq!(status.health, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_is_answered_once_and_the_connection_closes() {
    let daemon = Fixture::start().await;
    for bytes in [&b"hello\0"[..], b"{\"method\":7}\0", b"[]\0", b"\0", b"\xff\xfe\0"] {
        let mut stream = UnixStream::connect(daemon.socket()).await.unwrap();
        let answer = exchange(&mut stream, bytes).await.unwrap();
        assert_eq!(answer["error"], "io.twolane.Scheduler.InvalidMessage", "{bytes:?}");
        assert_eq!(read_message(&mut stream).await, None);
    }
    still_answers(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_message_does_nothing() {
    let daemon = Fixture::start().await;
    let mut stream = UnixStream::connect(daemon.socket()).await.unwrap();
    let whole = json!({
        "method": "io.twolane.Scheduler.Submit",
        "parameters": { "jobs": [{ "argv": ["true"] }] },
    })
    .to_string();
    stream.write_all(&whole.as_bytes()[..whole.len() - 5]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
    let listed = daemon.client().await.call::<call::List>(&List::default()).await.unwrap();
    assert!(listed.jobs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_refused_with_the_limit() {
    let daemon = Fixture::start().await;
    let stream = UnixStream::connect(daemon.socket()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let flood = tokio::spawn(async move {
        let piece = vec![b'x'; 1 << 20];
        // The daemon hangs up on us somewhere in the middle.
        while writer.write_all(&piece).await.is_ok() {}
    });
    let mut answer = Vec::new();
    // Reading may end in a reset, since we go on writing to somebody who has left.
    let _ = within(reader.read_to_end(&mut answer)).await;
    within(flood).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("MessageTooLong") && text.contains(&MAX_MESSAGE.to_string()), "{text}");
    still_answers(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_are_served() {
    let daemon = Fixture::start().await;
    let mut clients = Vec::new();
    for _ in 0..1_000 {
        clients.push(daemon.client().await);
    }
    for client in &mut clients {
        within(client.call::<call::Queues>(&Empty {})).await.unwrap();
    }
    still_answers(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_closed_and_the_others_go_on() {
    let daemon = Fixture::with(&[("daemon.max_connections", "2")]).await;
    let mut first = daemon.client().await;
    within(first.call::<call::Queues>(&Empty {})).await.unwrap();
    let mut second = daemon.client().await;
    within(second.call::<call::Queues>(&Empty {})).await.unwrap();
    let mut third = UnixStream::connect(daemon.socket()).await.unwrap();
    let mut nothing = Vec::new();
    assert_eq!(within(third.read_to_end(&mut nothing)).await.unwrap_or(0), 0);
    within(first.call::<call::Queues>(&Empty {})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_holds_up_nobody() {
    let daemon = Fixture::start().await;
    let first = daemon.submit(vec![kind("sleep", &[("for", "0s")]); 1_000]).await;
    daemon.wait_all(first, 1_000).await;
    let mut deaf = UnixStream::connect(daemon.socket()).await.unwrap();
    let list = format!("{}\0", json!({ "method": "io.twolane.Scheduler.List" }));
    // Asks for much more than fits into the socket, without ever reading.
    for _ in 0..64 {
        if deaf.write_all(list.as_bytes()).await.is_err() {
            break;
        }
    }
    still_answers(&daemon).await;
    let id = daemon.submit_one(command(&["true"])).await;
    assert_eq!(daemon.wait(id).await.exit_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_and_waiters_that_vanish_leave_the_job_alone() {
    let daemon = Fixture::start().await;
    make_fifo(&daemon.folder().join("gate"));
    let id = daemon.submit_one(shell("echo begun; read line < gate; echo $line")).await;
    let logs = Logs { id, attempt: None, stream: None, follow: true, tail: None, from: None };
    let mut follower = daemon.client().await.stream::<call::Logs>(&logs).await.unwrap();
    within(follower.next()).await.unwrap().unwrap();
    drop(follower);
    let wait = twolane::protocol::Wait { jobs: range(id, 1) };
    drop(daemon.client().await.stream::<call::Wait>(&wait).await.unwrap());
    let gate = daemon.folder().join("gate");
    tokio::task::spawn_blocking(move || std::fs::write(gate, "done\n")).await.unwrap().unwrap();
    assert_eq!(daemon.wait(id).await.exit_code, 0);
    assert_eq!(daemon.output(id).await, "begun\ndone\n");
}

fn make_fifo(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_prints_a_gigabyte_costs_the_daemon_no_memory() {
    let daemon = Fixture::start().await;
    let before = daemon.client().await.call::<call::Stats>(&Empty {}).await.unwrap();
    let id = daemon.submit_one(shell("head -c 1073741824 /dev/zero")).await;
    assert_eq!(daemon.wait(id).await.exit_code, 0);
    let path = daemon.show(id).await.details.and_then(|details| details.output_path);
    let length = std::fs::metadata(path.expect("it has output")).unwrap().len();
    assert_eq!(length, 1 << 30);
    // A reader that leaves in the middle of it.
    let logs = Logs { id, attempt: None, stream: None, follow: true, tail: None, from: None };
    let mut replies = daemon.client().await.stream::<call::Logs>(&logs).await.unwrap();
    for _ in 0..50 {
        within(replies.next()).await.unwrap().unwrap();
    }
    drop(replies);
    let after = daemon.client().await.call::<call::Stats>(&Empty {}).await.unwrap();
    // Other tests share this process, so the bound is generous; a daemon that buffered would be far over.
    assert!(after.daemon_rss_bytes < before.daemon_rss_bytes + (400 << 20), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ignores_term_is_killed_after_its_grace() {
    let daemon = Fixture::start().await;
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let job = JobSpec { grace: Some("100ms".to_owned()), ..shell(script) };
    let id = daemon.submit_one(job).await;
    let logs = Logs { id, attempt: None, stream: None, follow: true, tail: None, from: None };
    let mut replies = daemon.client().await.stream::<call::Logs>(&logs).await.unwrap();
    within(replies.next()).await.unwrap().unwrap();
    let cancel = Cancel { jobs: range(id, 1), reason: None };
    let begun = Instant::now();
    daemon.client().await.call::<call::Cancel>(&cancel).await.unwrap();
    assert_eq!(daemon.wait(id).await.state, State::Cancelled);
    assert!(begun.elapsed().as_millis() >= 100, "it was given its grace");
}

#[tokio::test(flavor = "multi_thread")]
async fn children_that_a_job_leaves_behind_end_with_it() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(shell("sleep 600 & echo $!")).await;
    assert_eq!(daemon.wait(id).await.exit_code, 0);
    let pid = daemon.output(id).await;
    let alive = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    let ended = alive.map_or(true, |stat| stat.contains(") Z "));
    assert!(ended, "the child {pid} is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_s_word_is_not_enough() {
    let daemon = Fixture::start().await;
    // Whoever we are, the identity comes from the socket: a message can't carry one.
    let mut stream = UnixStream::connect(daemon.socket()).await.unwrap();
    let call = json!({
        "method": "io.twolane.Scheduler.Submit",
        "parameters": { "jobs": [{ "argv": ["true"], "owner": 12345 }] },
    });
    let answer = exchange(&mut stream, format!("{call}\0").as_bytes()).await.unwrap();
    assert_eq!(answer["error"], "org.varlink.service.InvalidParameter");
    let all = Selector { all: true, ..Selector::default() };
    let mut listed = daemon.client().await;
    let list = List { jobs: all, ..List::default() };
    assert!(listed.call::<call::List>(&list).await.unwrap().jobs.is_empty());
}
