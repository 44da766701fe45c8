//! Cancelling, retrying, removing.

use twolane::job::State;
use twolane::protocol::{
    Array, Cancel, Explain, JobSpec, List, Prune, Remove, Retry, Selector, SetQueue, Submit, Wait,
    call,
};

use crate::fixture::{Fixture, command, kind, range, shell, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_cancelled_and_stays_so() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(command(&["sleep", "600"])).await;
    daemon.running(id).await;
    let cancel = Cancel { jobs: range(id, 1), reason: None };
    let reply = daemon.client().await.call::<call::Cancel>(&cancel).await.unwrap();
    assert_eq!(reply.changed, [id]);
    let finished = daemon.wait(id).await;
    assert_eq!((finished.state, finished.exit_code), (State::Cancelled, 123));
    let reply = daemon.client().await.call::<call::Cancel>(&cancel).await.unwrap();
    assert!(reply.changed.is_empty(), "{reply:?}");
    assert_eq!(reply.declined[0].id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_the_pool_is_cancelled_too() {
    let daemon = Fixture::start().await;
    let mut job = kind("sleep", &[("for", "600s")]);
    job.class = Some("blocking".to_owned());
    let id = daemon.submit_one(job).await;
    daemon.running(id).await;
    let cancel = Cancel { jobs: range(id, 1), reason: None };
    daemon.client().await.call::<call::Cancel>(&cancel).await.unwrap();
    assert_eq!(daemon.wait(id).await.state, State::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_job_runs_again_under_its_id() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(shell("test -e flag && echo found")).await;
    assert_eq!(daemon.wait(id).await.exit_code, 1);
    std::fs::write(daemon.folder().join("flag"), "").unwrap();
    let retry = Retry { jobs: range(id, 1), dependents: false };
    let reply = daemon.client().await.call::<call::Retry>(&retry).await.unwrap();
    assert_eq!(reply.changed, [id]);
    assert_eq!(daemon.wait(id).await.exit_code, 0);
    let job = daemon.show(id).await;
    assert_eq!((job.attempt_count, job.state), (2, State::Succeeded));
    assert_eq!(daemon.output(id).await, "found\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_job_is_gone_with_its_output() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(shell("echo hi")).await;
    daemon.wait(id).await;
    let remove = Remove { jobs: range(id, 1) };
    let reply = daemon.client().await.call::<call::Remove>(&remove).await.unwrap();
    assert_eq!(reply.changed, [id]);
    let explain = daemon.client().await.call::<call::Explain>(&Explain { id }).await;
    assert!(explain.unwrap_err().to_string().contains("there is no job"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_not_ended_can_t_be_removed() {
    let daemon = Fixture::start().await;
    let mut job = shell("true");
    job.hold = true;
    let id = daemon.submit_one(job).await;
    let remove = Remove { jobs: range(id, 1) };
    let reply = daemon.client().await.call::<call::Remove>(&remove).await.unwrap();
    assert!(reply.changed.is_empty(), "{reply:?}");
    assert!(reply.declined[0].why.contains("cancel"), "{reply:?}");
    assert_eq!(daemon.show(id).await.state, State::Held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_takes_what_has_ended_and_nothing_else() {
    let daemon = Fixture::start().await;
    let first = daemon.submit(vec![kind("sleep", &[("for", "0s")]); 20]).await;
    daemon.wait_all(first, 20).await;
    let mut held = shell("true");
    held.hold = true;
    let held = daemon.submit_one(held).await;
    let old = Prune { older_than: Some("1d".to_owned()), ..Prune::default() };
    let mut client = daemon.client().await;
    assert_eq!(client.call::<call::Prune>(&old).await.unwrap().removed, 0);
    let dry = Prune { dry_run: true, ..Prune::default() };
    assert_eq!(client.call::<call::Prune>(&dry).await.unwrap().removed, 20);
    assert_eq!(client.call::<call::Prune>(&Prune::default()).await.unwrap().removed, 20);
    let left = client.call::<call::List>(&List::default()).await.unwrap().jobs;
    assert_eq!(left.iter().map(|job| job.id).collect::<Vec<_>>(), [held]);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_what_keeps_a_job() {
    let daemon = Fixture::start().await;
    let set = SetQueue { queue: "gpu".to_owned(), max: Some(1), weight: None, rate: None };
    daemon.client().await.call::<call::SetQueue>(&set).await.unwrap();
    let mut job = kind("sleep", &[("for", "600s")]);
    job.queue = Some("gpu".to_owned());
    let first = daemon.submit(vec![job.clone(), job]).await;
    daemon.running(first).await;
    let explain = Explain { id: first.after(1) };
    let reply = daemon.client().await.call::<call::Explain>(&explain).await.unwrap();
    assert_eq!(reply.state, State::Queued);
    assert_eq!(reply.gates[0].gate, "queue_limit", "{reply:?}");
    assert!(reply.gates[0].detail.contains("gpu"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn last_selects_the_whole_last_submission() {
    let daemon = Fixture::start().await;
    daemon.submit_one(shell("exit 1")).await;
    let first = daemon.submit(vec![shell("exit 2"); 3]).await;
    daemon.wait_all(first, 3).await;
    let last = Selector { last: true, ..Selector::default() };
    let asked = List { jobs: last, ..List::default() };
    let jobs = daemon.client().await.call::<call::List>(&asked).await.unwrap().jobs;
    assert_eq!(jobs.len(), 3);
    assert!(jobs.iter().all(|job| job.submission == first));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_goes_by_the_id_that_was_printed_for_it() {
    let daemon = Fixture::start().await;
    let submit = Submit {
        jobs: vec![command(&["sleep", "600"])],
        context: Some(daemon.context()),
        array: Some(Array { first: 1, last: 3, step: 1, at_once: None }),
        ..Submit::default()
    };
    let reply = daemon.client().await.call::<call::Submit>(&submit).await.unwrap();
    let id = reply.first.unwrap();
    let cancel = Cancel { jobs: range(id, 1), reason: None };
    let reply = daemon.client().await.call::<call::Cancel>(&cancel).await.unwrap();
    let [change] = reply.arrays.as_slice() else { panic!("{reply:?}") };
    assert_eq!((change.array, change.changed, change.declined), (id, 3, 0));
    let wait = Wait { jobs: range(id, 1) };
    let waited = within(daemon.client().await.call::<call::Wait>(&wait)).await.unwrap();
    assert_eq!(waited.arrays[0].counts[0].jobs, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_cancels_a_job_is_answered() {
    let daemon = Fixture::start().await;
    let job = JobSpec {
        grace: Some("300ms".to_owned()),
        ..shell("trap '' TERM; echo up; while :; do sleep 1; done")
    };
    let id = daemon.submit_one(job).await;
    daemon.running(id).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = daemon.client().await;
        let cancel = Cancel { jobs: range(id, 1), reason: None };
        asking.spawn(async move { client.call::<call::Cancel>(&cancel).await });
    }
    for answer in within(asking.join_all()).await {
        let reply = answer.unwrap();
        assert_eq!(reply.changed.len() + reply.declined.len(), 1, "{reply:?}");
    }
    assert_eq!(daemon.wait(id).await.state, State::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_that_come_together_leave_one_job_that_ends() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(shell("exit 1")).await;
    daemon.wait(id).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let mut client = daemon.client().await;
        let retry = Retry { jobs: range(id, 1), dependents: false };
        asking.spawn(async move { client.call::<call::Retry>(&retry).await });
    }
    let answers = within(asking.join_all()).await;
    let changed =
        answers.into_iter().filter(|reply| reply.as_ref().unwrap().changed == [id]).count();
    assert!(changed >= 1, "nobody's retry was taken");
    assert_eq!(daemon.wait(id).await.exit_code, 1);
    let job = daemon.show(id).await;
    let attempts = job.details.unwrap().attempts;
    assert_eq!(attempts.len(), job.attempt_count as usize);
    assert_eq!(job.attempt_count as usize, 1 + changed);
}
