//! Commands that follow a job.

use std::sync::Arc;

use futures_util::stream;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use tokio::sync::Notify;

use super::fake::{Answer, Fake, Left, accept, ended, piece, status};
use crate::cli::args::Globals;
use crate::cli::output::Style;
use crate::cli::run::{End, attend};

fn running(replies: Vec<serde_json::Value>) -> Fake {
    Fake::new(move |method, parameters| match method {
        "Status" => status(),
        "Submit" => accept(parameters, 12),
        "Logs" => Answer::Many(replies.clone()),
        other => panic!("unexpected {other}"),
    })
}

#[tokio::test]
async fn a_job_s_output_and_code_come_through() {
    let fake = running(vec![
        piece("out", b"hi\n"),
        piece("err", b"oh\n"),
        piece("out", b""),
        ended(12, "failed", "exit", 3, None),
    ]);
    let left = fake.run(&["--quiet", "run", "--", "sh", "-c", "echo hi; exit 3"]).await;
    assert_eq!((left.out.as_str(), left.err.as_str(), left.code), ("hi\n", "oh\n", 3));
    let submit = &fake.calls_of("Submit")[0]["jobs"][0];
    assert_eq!(submit["argv"], json!(["sh", "-c", "echo hi; exit 3"]));
    assert_eq!(submit["at_most_once"], true);
    assert_eq!(fake.calls_of("Logs")[0], json!({ "id": 12, "follow": true }));
}

#[tokio::test]
async fn retries_may_run_a_job_more_than_once() {
    let fake = running(vec![ended(12, "succeeded", "succeeded", 0, None)]);
    assert_eq!(fake.run(&["run", "--retries", "1", "true"]).await.code, 0);
    assert!(fake.calls_of("Submit")[0]["jobs"][0].get("at_most_once").is_none());
}

#[tokio::test]
async fn an_ending_that_a_code_does_not_tell_is_told_in_words() {
    for (state, outcome, code, message, words) in [
        ("failed", "error", 127, Some("nix: not found"), "job 12: nix: not found"),
        ("failed", "timed_out", 124, None, "job 12: timed out"),
        ("cancelled", "cancelled", 123, None, "job 12: cancelled"),
        ("failed", "interrupted", 125, None, "job 12: interrupted"),
    ] {
        let left = running(vec![ended(12, state, outcome, code, message)]).run(&["run", "x"]).await;
        assert_eq!(left.code, code, "{left:?}");
        assert!(left.err.contains(words), "{left:?}");
    }
}

#[tokio::test]
async fn a_daemon_that_goes_away_is_not_a_job_that_ended() {
    let fake = Fake::new(|method, parameters| match method {
        "Status" => status(),
        "Submit" => accept(parameters, 12),
        _ => Answer::HangUp,
    });
    let left = fake.run(&["run", "x"]).await;
    assert_eq!(left.code, 120);
    assert!(left.err.contains("twolane logs -f 12"), "{left:?}");
}

#[tokio::test]
async fn a_detached_job_prints_its_id() {
    let fake = running(vec![]);
    let left = fake.run(&["run", "-d", "sleep", "9"]).await;
    assert_eq!((left.out.as_str(), left.code), ("12\n", 0));
    assert!(fake.calls_of("Logs").is_empty());
}

#[tokio::test]
async fn logs_are_copied_byte_by_byte() {
    let fake = running(vec![piece("out", "é".as_bytes()), piece("err", b"x"), piece("out", b"")]);
    let left = fake.run(&["logs", "--tail", "5", "7"]).await;
    assert_eq!((left.out.as_str(), left.err.as_str(), left.code), ("é", "x", 0));
    assert_eq!(fake.calls_of("Logs")[0], json!({ "id": 7, "follow": false, "tail": 5 }));
    let left = fake.run(&["follow", "--err", "7"]).await;
    assert_eq!(left.code, 120, "a follower that was cut off: {left:?}");
    assert_eq!(fake.calls_of("Logs")[1], json!({ "id": 7, "follow": true, "stream": "err" }));
}

#[tokio::test]
async fn waiting_for_one_job_ends_with_its_code() {
    let fake = Fake::new(|_, _| {
        Answer::Many(vec![
            json!({ "finished": [{ "id": 7, "state": "failed", "outcome": "signal", "exit_code": 137, "signal": 9 }], "remaining": 0 }),
        ])
    });
    let left = fake.run(&["wait", "7"]).await;
    assert_eq!((left.out.as_str(), left.code), ("", 137));
    assert!(left.err.contains("job 7: failed (signal 9)"), "{left:?}");
    assert_eq!(fake.calls_of("Wait")[0], json!({ "jobs": { "ids": [{ "first": 7, "last": 7 }] } }));
}

/// Watches job 12, which runs until it is cancelled, while these signals come.
async fn watched(fake: &Fake, signals: &[i32], terminal: bool) -> Left {
    let signals = stream::iter(signals.to_vec());
    let act = async |desk: &mut crate::cli::desk::Desk| {
        let client = desk.connect().await?;
        let end = attend(client, "12".parse().unwrap(), signals, terminal, desk).await?;
        // One number tells a job that ended from one that was left.
        Ok(match end {
            End::Final(code) => code,
            End::Left(code) => 1000 + code,
        })
    };
    fake.at_desk(Globals::default(), Style::default(), act).await
}

/// A daemon whose job ends when it is cancelled, or never.
fn cancellable(ends: bool) -> Fake {
    let cancelled = Arc::new(Notify::new());
    Fake::new(move |method, _| match method {
        "Logs" => Answer::Then(
            piece("out", b"begun\n"),
            Arc::clone(&cancelled),
            ended(12, "cancelled", "cancelled", 123, None),
        ),
        "Cancel" => {
            if ends {
                cancelled.notify_one();
            }
            Answer::Once(json!({ "changed": [12], "declined": [] }))
        }
        other => panic!("unexpected {other}"),
    })
}

#[tokio::test]
async fn on_a_terminal_the_first_interrupt_asks_and_the_second_cancels() {
    let fake = cancellable(true);
    let left = watched(&fake, &[SIGINT, SIGINT], true).await;
    assert_eq!(left.code, 123, "{left:?}");
    assert!(left.err.contains("press Ctrl-C again to cancel job 12"), "{left:?}");
    assert_eq!(fake.calls_of("Cancel")[0]["jobs"]["ids"], json!([{ "first": 12, "last": 12 }]));
}

#[tokio::test]
async fn without_a_terminal_the_first_interrupt_cancels() {
    for signal in [SIGINT, SIGTERM] {
        let fake = cancellable(true);
        let left = watched(&fake, &[signal], false).await;
        assert_eq!((left.code, fake.calls_of("Cancel").len()), (123, 1), "{left:?}");
        assert!(!left.err.contains("press"), "{left:?}");
    }
}

#[tokio::test]
async fn quitting_leaves_the_job_running() {
    let fake = cancellable(true);
    let left = watched(&fake, &[SIGQUIT], true).await;
    assert_eq!((left.code, fake.calls_of("Cancel").len()), (1000, 0), "{left:?}");
    assert!(left.err.contains("job 12 goes on"), "{left:?}");
}

#[tokio::test]
async fn a_job_that_takes_long_to_end_can_be_left() {
    let left = watched(&cancellable(false), &[SIGINT, SIGINT, SIGINT], true).await;
    assert_eq!(left.code, 1000 + 128 + SIGINT, "{left:?}");
}
