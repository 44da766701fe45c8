//! Jobs of which there may be only one.

use twolane::job::State;
use twolane::protocol::{Error, JobSpec, Retry, Submit, SubmitReply, call};

use crate::cli::{User, err, out};
use crate::fixture::{Fixture, range, shell};

fn only(key: &str, on_conflict: &str) -> JobSpec {
    JobSpec {
        unique: Some(key.to_owned()),
        on_conflict: Some(on_conflict.to_owned()),
        hold: true,
        ..shell("true")
    }
}

async fn submit(daemon: &Fixture, jobs: Vec<JobSpec>) -> Result<SubmitReply, Error> {
    let submit = Submit { jobs, context: Some(daemon.context()), ..Submit::default() };
    match daemon.client().await.call::<call::Submit>(&submit).await {
        Ok(reply) => Ok(reply),
        Err(twolane::client::CallError::Refused(error)) => Err(error),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_job_with_the_key_is_skipped_refused_or_takes_over() {
    let daemon = Fixture::start().await;
    let first = submit(&daemon, vec![only("k", "fail")]).await.unwrap().first.unwrap();
    let reply = submit(&daemon, vec![only("k", "skip"), only("l", "skip"), only("l", "skip")]);
    let reply = reply.await.unwrap();
    let told: Vec<_> = reply.existing.iter().map(|other| (other.index, other.id)).collect();
    assert_eq!((reply.first, reply.last), (Some(first.after(1)), Some(first.after(1))));
    assert_eq!(told, [(0, first), (2, first.after(1))]);
    let refused = submit(&daemon, vec![shell("true"), only("k", "fail")]).await.unwrap_err();
    assert!(matches!(refused, Error::NotUnique { index: 1, id, .. } if id == first), "{refused:?}");
    let second = submit(&daemon, vec![only("k", "replace")]).await.unwrap().first.unwrap();
    let replaced = daemon.wait(first).await;
    assert_eq!(replaced.state, State::Cancelled);
    assert!(replaced.message.unwrap().contains("replaced"));
    let retry = Retry { jobs: range(first, 1), dependents: false };
    let reply = daemon.client().await.call::<call::Retry>(&retry).await.unwrap();
    assert!(reply.declined[0].why.contains(&second.to_string()), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_over_a_restart_and_free_after_the_end() {
    let daemon = Fixture::start().await;
    let first = submit(&daemon, vec![only("k", "skip")]).await.unwrap().first.unwrap();
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    let reply = submit(&daemon, vec![only("k", "skip")]).await.unwrap();
    assert_eq!((reply.first, reply.existing[0].id), (None, first));
    let release = twolane::protocol::Release { jobs: range(first, 1) };
    daemon.client().await.call::<call::Release>(&release).await.unwrap();
    daemon.wait(first).await;
    assert!(submit(&daemon, vec![only("k", "fail")]).await.unwrap().first.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_not_replaced_and_many_at_once_leave_one() {
    let daemon = Fixture::start().await;
    let job = JobSpec { hold: false, ..only("r", "skip") };
    let job = JobSpec { argv: shell("sleep 600").argv, ..job };
    let id = submit(&daemon, vec![job]).await.unwrap().first.unwrap();
    daemon.running(id).await;
    let refused = submit(&daemon, vec![only("r", "replace")]).await.unwrap_err();
    assert!(refused.message().contains("running"), "{refused:?}");
    let all = (0..16).map(|_| submit(&daemon, vec![only("many", "skip")]));
    let replies = futures_util::future::join_all(all).await;
    let new = replies.iter().filter(|reply| reply.as_ref().unwrap().first.is_some()).count();
    assert_eq!(new, 1);
}

#[test]
fn the_id_of_the_job_that_is_there_is_printed() {
    let user = User::new();
    let submit = ["submit", "--hold", "--unique", "k-{}", "echo", "{}", ":::"];
    let with = |values: &[&'static str]| [&submit[..], values].concat();
    assert_eq!(user.out(&with(&["a", "b"])), "1\n2\n");
    let output = user.run(&with(&["c", "a", "d", "b", "e"]));
    assert_eq!(out(&output), "3\n1\n4\n2\n5\n");
    assert!(err(&output).contains("job 1 has the unique key already"), "{}", err(&output));
    let fail = ["submit", "--unique", "k-a", "--on-conflict", "fail", "--", "true"];
    let refused = user.run(&fail);
    assert_eq!(refused.status.code(), Some(121));
    assert!(err(&refused).contains("job 1"), "{}", err(&refused));
    user.out(&["release", "1"]);
    assert_eq!(user.code(&["run", "--unique", "k-c", "--on-conflict", "replace", "true"]), Some(0));
    assert_eq!(user.code(&["wait", "3"]), Some(123));
    assert_eq!(user.json(&["show", "4", "--json"])["unique"], "k-d");
}
