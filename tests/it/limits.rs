//! Limits by key and of arrays, end to end.

use twolane::job::{JobId, State};
use twolane::protocol::{Array, Cancel, Explain, ExplainReply, JobSpec, Submit, call};

use crate::fixture::{Fixture, kind, range, shell, within};

async fn explain(daemon: &Fixture, id: JobId) -> ExplainReply {
    daemon.client().await.call::<call::Explain>(&Explain { id }).await.unwrap()
}

async fn cancel(daemon: &Fixture, id: JobId) {
    let cancel = Cancel { jobs: range(id, 1), reason: None };
    within(daemon.client().await.call::<call::Cancel>(&cancel)).await.unwrap();
}

fn keyed(job: JobSpec, key: &str) -> JobSpec {
    JobSpec { keys: vec![key.to_owned()], ..job }
}

fn lasting() -> JobSpec {
    kind("sleep", &[("for", "1h")])
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_key_run_one_at_a_time_and_explain_names_who_has_it() {
    let daemon = Fixture::start().await;
    let first = daemon.submit(vec![keyed(lasting(), "db=1"), keyed(lasting(), "db=1")]).await;
    daemon.running(first).await;
    let told = explain(&daemon, first.after(1)).await;
    let gate = &told.gates[0];
    assert_eq!((gate.gate.as_str(), gate.name.as_deref()), ("key_limit", Some("db")));
    assert_eq!((gate.used, gate.max, gate.holders[0].job), (Some(1), Some(1), first));
    assert_eq!((told.place, told.of), (Some(1), Some(1)));
    let free = daemon.submit_one(shell("true")).await;
    assert_eq!(daemon.wait(free).await.exit_code, 0, "others are not kept waiting");
    cancel(&daemon, first).await;
    daemon.running(first.after(1)).await;
    assert_eq!(daemon.show(first).await.keys, ["db=1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_by_key_holds_after_a_restart() {
    let daemon = Fixture::start().await;
    let first = daemon.submit(vec![keyed(lasting(), "db=1"), keyed(lasting(), "db=1")]).await;
    daemon.running(first).await;
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    daemon.running(first).await;
    assert_eq!(explain(&daemon, first.after(1)).await.gates[0].gate, "key_limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_runs_so_many_elements_at_once() {
    let daemon = Fixture::start().await;
    let submit = Submit {
        jobs: vec![lasting()],
        context: Some(daemon.context()),
        array: Some(Array { first: 1, last: 5, step: 1, at_once: Some(2) }),
        ..Submit::default()
    };
    let first = daemon.client().await.call::<call::Submit>(&submit).await.unwrap().first.unwrap();
    daemon.running(first.after(1)).await;
    let told = explain(&daemon, first.after(2)).await;
    let gate = &told.gates[0];
    assert_eq!((gate.gate.as_str(), gate.job, gate.max), ("array_limit", Some(first), Some(2)));
    // The first element's id would mean the whole array.
    cancel(&daemon, first.after(1)).await;
    daemon.running(first.after(2)).await;
    assert_eq!(daemon.show(first.after(3)).await.array_at_once, Some(2));
    assert_eq!(daemon.show(first.after(3)).await.state, State::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_makes_no_sense_is_refused_with_what_to_write() {
    let daemon = Fixture::start().await;
    for (key, hint) in [("db", "KEY=N"), ("db=0", "1 or more"), ("a b=1", "not a name")] {
        let jobs = vec![keyed(shell("true"), key)];
        let submit = Submit { jobs, context: Some(daemon.context()), ..Submit::default() };
        let error = daemon.client().await.call::<call::Submit>(&submit).await.unwrap_err();
        assert!(error.to_string().contains(hint), "{key}: {error}");
    }
}
