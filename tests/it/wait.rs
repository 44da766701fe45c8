//! Waiting for jobs.

use twolane::job::State;
use twolane::protocol::{Cancel, Hold, Selector, Wait, call};

use crate::fixture::{Fixture, kind, range, shell, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_tells_each_job_as_it_ends() {
    let daemon = Fixture::start().await;
    let first = daemon.submit(vec![kind("sleep", &[("for", "0s")]), shell("exit 4")]).await;
    let wait = Wait { jobs: range(first, 2) };
    let mut replies = daemon.client().await.stream::<call::Wait>(&wait).await.unwrap();
    let mut told = Vec::new();
    while let Some(reply) = within(replies.next()).await {
        told.extend(reply.unwrap().finished.into_iter().map(|one| (one.id, one.exit_code)));
    }
    told.sort_unstable();
    assert_eq!(told, [(first, 0), (first.after(1), 4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_what_has_ended_is_answered_at_once() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(shell("exit 7")).await;
    assert_eq!(daemon.wait(id).await.exit_code, 7);
    assert_eq!(daemon.wait(id).await.exit_code, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_held_job_ends_when_it_is_cancelled() {
    let daemon = Fixture::start().await;
    let mut job = shell("true");
    job.hold = true;
    let id = daemon.submit_one(job).await;
    let wait = Wait { jobs: range(id, 1) };
    let mut waiting = daemon.client().await.stream::<call::Wait>(&wait).await.unwrap();
    let cancel = Cancel { jobs: range(id, 1), reason: Some("not needed".to_owned()) };
    let reply = daemon.client().await.call::<call::Cancel>(&cancel).await.unwrap();
    assert_eq!(reply.changed, [id]);
    let ended = within(waiting.next()).await.unwrap().unwrap().finished;
    assert_eq!((ended[0].state, ended[0].exit_code), (State::Cancelled, 123));
    assert_eq!(daemon.show(id).await.reason.as_deref(), Some("not needed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_all_means_what_has_not_ended() {
    let daemon = Fixture::start().await;
    let old = daemon.submit_one(shell("exit 9")).await;
    daemon.wait(old).await;
    let id = daemon.submit_one(kind("sleep", &[("for", "10ms")])).await;
    let all = Selector { all: true, ..Selector::default() };
    let reply =
        within(daemon.client().await.call::<call::Wait>(&Wait { jobs: all })).await.unwrap();
    let ids: Vec<_> = reply.finished.iter().map(|finished| finished.id).collect();
    assert!(ids.is_empty() || ids == [id], "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_a_job_until_its_release() {
    let daemon = Fixture::start().await;
    let mut job = shell("true");
    job.hold = true;
    let id = daemon.submit_one(job).await;
    let again = Hold { jobs: range(id, 1), reason: None };
    let reply = daemon.client().await.call::<call::Hold>(&again).await.unwrap();
    assert!(reply.changed.is_empty() && reply.declined.len() == 1, "{reply:?}");
    let release = twolane::protocol::Release { jobs: range(id, 1) };
    let reply = daemon.client().await.call::<call::Release>(&release).await.unwrap();
    assert_eq!(reply.changed, [id]);
    assert_eq!(daemon.wait(id).await.exit_code, 0);
}

#[test]
fn waiting_for_what_is_not_there_is_no_success() {
    let user = crate::cli::User::new();
    assert_eq!(user.out(&["submit", "--array", "1-2", "--", "true"]), "1\n");
    assert_eq!(user.code(&["wait", "1-9"]), Some(0), "a range takes what exists");
    for nothing in ["50", "50-60", "1_7", "50_1"] {
        assert_eq!(user.code(&["wait", nothing]), Some(121), "{nothing}");
    }
}
