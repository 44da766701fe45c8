//! What keeps an attempt of before from counting, and what lets the other side know a job again.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use rustix::process::Signal;
use tempfile::TempDir;
use twolane::client::Client;
use twolane::job::{AttemptToken, Change, JobId, Outcome, State, Usage, WallTime};
use twolane::protocol::{Job, JobSpec, Show, Submit, Wait, call};
use twolane::store::journal::Journal;

use crate::fixture::{PATIENCE, kind, range, shell, within};
use crate::instance::Daemon;

async fn client(state: &Path) -> Client {
    Client::connect(&state.join("twolane.sock")).await.unwrap()
}

async fn submit(state: &Path, job: JobSpec) -> JobId {
    let submit = Submit { jobs: vec![job], ..Submit::default() };
    client(state).await.call::<call::Submit>(&submit).await.unwrap().first.unwrap()
}

async fn show(state: &Path, id: JobId) -> Job {
    client(state).await.call::<call::Show>(&Show { id }).await.unwrap().job
}

async fn running(state: &Path, id: JobId, attempt: u32) -> Job {
    within(async {
        loop {
            let job = show(state, id).await;
            if job.state == State::Running && job.attempt_count == attempt {
                return job;
            }
        }
    })
    .await
}

fn kill(mut daemon: Daemon) {
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
}

fn token(job: &Job, attempt: usize) -> AttemptToken {
    job.details.as_ref().unwrap().attempts[attempt - 1].token.parse().unwrap()
}

/// An end of long ago would be forgotten at once.
fn now() -> WallTime {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    WallTime(since.as_micros() as i64)
}

fn success(job: JobId, token: AttemptToken) -> Change {
    Change::Ended {
        job,
        token,
        outcome: Outcome::Succeeded,
        usage: Usage::default(),
        at: now(),
        next: State::Succeeded,
        not_before: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_outcome_with_an_old_token_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let state = folder.path();
    let daemon = Daemon::start(state);
    let id = submit(state, shell("exec sleep 600")).await;
    let first = token(&running(state, id, 1).await, 1);
    kill(daemon);
    let daemon = Daemon::start(state);
    let second = running(state, id, 2).await;
    kill(daemon);
    // What an attempt of two lives ago says of itself comes by the way on which ends are handed over between lives.
    let (mut journal, left) = Journal::open(state, 8, first.store).unwrap();
    assert!(left.is_empty());
    journal.note(&[success(id, first)]).unwrap();
    drop(journal);
    let daemon = Daemon::start(state);
    let third = running(state, id, 3).await;
    let outcomes = |job: &Job| {
        let attempts = &job.details.as_ref().unwrap().attempts;
        attempts.iter().map(|attempt| attempt.outcome.clone()).collect::<Vec<_>>()
    };
    let interrupted = || Some("interrupted".to_owned());
    assert_eq!(outcomes(&third), [interrupted(), interrupted(), None]);
    let tokens = [first, token(&second, 2), token(&third, 3)];
    assert!(tokens[0].life < tokens[1].life && tokens[1].life < tokens[2].life, "{tokens:?}");
    kill(daemon);
    // And what the latest attempt says does count.
    let (mut journal, left) = Journal::open(state, 8, first.store).unwrap();
    assert!(left.is_empty(), "the late word was not forgotten");
    journal.note(&[success(id, tokens[2])]).unwrap();
    drop(journal);
    let _daemon = Daemon::start(state);
    let ended = show(state, id).await;
    assert_eq!((ended.state, ended.attempt_count), (State::Succeeded, 3));
}

/// Reads the head of a request; tells the value of a header.
fn header(stream: &mut TcpStream, name: &str) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).ok()? == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.to_owned())
}

/// A receiver that refuses the first request, never answers the second and takes the third; it tells which keys it saw.
fn receiver() -> (String, Receiver<Option<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, keys) = sync_channel(3);
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for number in 1..=3 {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let key = header(&mut stream, "Idempotency-Key");
            let answer = match number {
                1 => "HTTP/1.1 503 Later\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                2 => "",
                _ => "HTTP/1.1 200 Fine\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            };
            // A client that was killed takes no answer.
            let _ = stream.write_all(answer.as_bytes());
            open.push(stream);
            if told.send(key).is_err() {
                return;
            }
        }
    });
    (format!("http://{address}/orders"), keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_side_sees_one_key_over_attempts_and_restarts() {
    let folder = TempDir::new().unwrap();
    let state = folder.path();
    let daemon = Daemon::start(state);
    let (url, keys) = receiver();
    let heard = || keys.recv_timeout(PATIENCE).expect("a request comes").expect("it has a key");
    let job = kind("http", &[("url", &url), ("method", "POST")]);
    let id = submit(state, JobSpec { backoff: Some("0s".to_owned()), ..job }).await;
    let refused = heard();
    let unanswered = heard();
    kill(daemon);
    let _daemon = Daemon::start(state);
    let taken = heard();
    assert_eq!((&refused, &refused), (&unanswered, &taken));
    let wait = Wait { jobs: range(id, 1) };
    let ended = within(client(state).await.call::<call::Wait>(&wait)).await.unwrap().finished;
    assert_eq!(ended[0].state, State::Succeeded);
    let job = show(state, id).await;
    assert_eq!(job.attempt_count, 3);
    assert!((1..=3).all(|attempt| token(&job, attempt).to_string() != taken), "it is no token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_with_the_token_of_another_store_is_not_touched() {
    let folder = TempDir::new().unwrap();
    let state = folder.path();
    let daemon = Daemon::start(state);
    let id = submit(state, shell("exec sleep 600")).await;
    let own = token(&running(state, id, 1).await, 1).to_string();
    kill(daemon);
    let other = format!("{}{own}", if own.starts_with('0') { '1' } else { '0' });
    let sleeping = |token: &str| {
        let mut command = std::process::Command::new("sleep");
        command.arg("600").env("TWOLANE_ATTEMPT", token).spawn().unwrap()
    };
    let (mut stranger, mut ours) = (sleeping(&other), sleeping(&own));
    let _daemon = Daemon::start(state);
    running(state, id, 2).await;
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was ended");
    assert!(!ours.wait().unwrap().success(), "what carries the token is ended, whoever started it");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
