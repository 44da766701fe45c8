//! Reading output while it is written, and after.

use twolane::job::JobId;
use twolane::protocol::{JobSpec, Logs, Stream, call};

use crate::fixture::{Fixture, decoded, kind, shell, within};

async fn read(daemon: &Fixture, logs: Logs) -> (String, Vec<u32>) {
    let mut replies = daemon.client().await.stream::<call::Logs>(&logs).await.unwrap();
    let (mut text, mut attempts) = (Vec::new(), Vec::new());
    while let Some(reply) = within(replies.next()).await {
        let reply = reply.unwrap();
        text.extend(decoded(&reply.data));
        attempts.push(reply.attempt);
    }
    attempts.dedup();
    (String::from_utf8(text).unwrap(), attempts)
}

const fn logs(id: JobId) -> Logs {
    Logs { id, attempt: None, stream: None, follow: false, tail: None, from: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_comes_while_the_job_still_runs() {
    let daemon = Fixture::start().await;
    let id =
        daemon.submit_one(shell("echo one; until test -e go; do sleep 0.01; done; echo two")).await;
    let follow = Logs { follow: true, ..logs(id) };
    let mut replies = daemon.client().await.stream::<call::Logs>(&follow).await.unwrap();
    let first = within(replies.next()).await.unwrap().unwrap();
    assert_eq!(decoded(&first.data), b"one\n");
    std::fs::write(daemon.folder().join("go"), "").unwrap();
    let second = within(replies.next()).await.unwrap().unwrap();
    assert_eq!(decoded(&second.data), b"two\n");
    let last = within(replies.next()).await.unwrap().unwrap();
    assert_eq!(last.finished.expect("the last piece tells the end").exit_code, 0);
    assert!(replies.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_s_file_that_is_named_like_captured_output_is_not_taken_for_another_attempt() {
    let daemon = Fixture::start().await;
    let script = "echo one; until test -e go; do sleep 0.01; done; echo late >&2";
    let output = Some("{id}.7.out".to_owned());
    let id = daemon.submit_one(JobSpec { output, ..shell(script) }).await;
    let follow = Logs { follow: true, ..logs(id) };
    let mut replies = daemon.client().await.stream::<call::Logs>(&follow).await.unwrap();
    let first = within(replies.next()).await.unwrap().unwrap();
    assert_eq!((first.attempt, decoded(&first.data)), (1, b"one\n".to_vec()));
    std::fs::write(daemon.folder().join("go"), "").unwrap();
    let second = within(replies.next()).await.unwrap().unwrap();
    assert_eq!((second.attempt, second.stream), (1, Stream::Err));
    assert_eq!(decoded(&second.data), b"late\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_reads_through_retries() {
    let daemon = Fixture::start().await;
    let script = "echo $TWOLANE_ATTEMPT >> tries; wc -l < tries; test $(wc -l < tries) -ge 3";
    let job = JobSpec { retries: Some(5), backoff: Some("1ms".to_owned()), ..shell(script) };
    let id = daemon.submit_one(job).await;
    let (text, attempts) = read(&daemon, Logs { follow: true, ..logs(id) }).await;
    assert_eq!(text, "1\n2\n3\n");
    assert_eq!(attempts, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_attempts_and_tails_are_told_apart() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(shell("echo a; echo b; echo c; echo wrong >&2")).await;
    daemon.wait(id).await;
    let err = Logs { stream: Some(Stream::Err), ..logs(id) };
    assert_eq!(read(&daemon, err).await.0, "wrong\n");
    let tail = Logs { stream: Some(Stream::Out), tail: Some(2), ..logs(id) };
    assert_eq!(read(&daemon, tail).await.0, "b\nc\n");
    let missing = Logs { attempt: Some(2), ..logs(id) };
    let mut replies = daemon.client().await.stream::<call::Logs>(&missing).await.unwrap();
    let refused = within(replies.next()).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("attempt"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_prints_nothing_has_an_empty_log() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(kind("sleep", &[("for", "0s")])).await;
    daemon.wait(id).await;
    assert_eq!(read(&daemon, logs(id)).await.0, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_comes_through() {
    let daemon = Fixture::start().await;
    let id = daemon
        .submit_one(shell(r"printf '\000\377\001'; head -c 3000000 /dev/zero | tr '\0' z"))
        .await;
    let follow = Logs { follow: true, ..logs(id) };
    let mut replies = daemon.client().await.stream::<call::Logs>(&follow).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(reply) = within(replies.next()).await {
        bytes.extend(decoded(&reply.unwrap().data));
    }
    assert_eq!(&bytes[..3], [0, 255, 1]);
    assert_eq!(bytes.len(), 3_000_003);
    assert!(bytes[3..].iter().all(|byte| *byte == b'z'));
}
