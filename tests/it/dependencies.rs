//! Jobs that wait for others, through restarts and kills.

use rustix::process::Signal;
use tempfile::TempDir;
use twolane::job::State;
use twolane::protocol::{
    Cancel, ChangeReply, Error, Explain, JobSpec, Prune, Remove, Retry, Selector, Submit, call,
};

use crate::fixture::{Fixture, command, kind, range, shell};
use crate::instance::Daemon;

fn after(job: JobSpec, texts: &[&str]) -> JobSpec {
    JobSpec { after: texts.iter().map(|text| (*text).to_owned()).collect(), ..job }
}

async fn refusal(daemon: &Fixture, jobs: Vec<JobSpec>) -> Error {
    let submit = Submit { jobs, context: Some(daemon.context()), ..Submit::default() };
    match daemon.client().await.call::<call::Submit>(&submit).await {
        Err(twolane::client::CallError::Refused(error)) => error,
        other => panic!("{other:?}"),
    }
}

async fn remove(daemon: &Fixture, id: twolane::job::JobId) -> ChangeReply {
    let remove = Remove { jobs: range(id, 1) };
    daemon.client().await.call::<call::Remove>(&remove).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_call_wait_for_each_other_in_any_order() {
    let daemon = Fixture::start().await;
    let first = daemon
        .submit(vec![
            after(shell("cat b >> out"), &["@2", "any:@1"]),
            shell("exit 3"),
            after(shell("echo b > b"), &["fail:@1"]),
            after(shell("true"), &["@1"]),
        ])
        .await;
    let ends = daemon.wait_all(first, 4).await;
    let codes: Vec<i32> = ends.iter().map(|end| end.exit_code).collect();
    assert_eq!(codes, [0, 3, 0, 122]);
    assert_eq!(ends[3].state, State::Skipped);
    let why = format!("job {} had to succeed, and it failed (exit code 3)", first.after(1));
    assert_eq!(ends[3].message.as_deref(), Some(why.as_str()));
    let shown = daemon.show(first).await.details.unwrap().after;
    let told: Vec<_> = shown.iter().map(|other| (&*other.on, &*other.standing)).collect();
    assert_eq!(told, [("any", "met"), ("ok", "met")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_already_decides_at_once() {
    let daemon = Fixture::start().await;
    let first = daemon.submit(vec![shell("true"), shell("exit 1")]).await;
    daemon.wait_all(first, 2).await;
    let [one, two] = [first, first.after(1)].map(|id| id.to_string());
    let all = format!("{first}-{two}");
    let next = daemon
        .submit(vec![
            after(shell("true"), &[&one]),
            after(shell("true"), &[&two]),
            after(shell("true"), &[&format!("ok:{one},fail:{two}")]),
            after(shell("true"), &[&format!("any:{all}")]),
        ])
        .await;
    let codes: Vec<i32> = daemon.wait_all(next, 4).await.iter().map(|end| end.exit_code).collect();
    assert_eq!(codes, [0, 122, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_waited_for_is_refused_with_its_name() {
    let daemon = Fixture::start().await;
    let told = refusal(&daemon, vec![after(shell("true"), &["77"])]).await;
    assert!(matches!(&told, Error::NoSuchJob { id, .. } if id.get() == 77), "{told:?}");
    for (jobs, words) in [
        (vec![after(shell("true"), &["maybe:1"])], "ok:12,any:13"),
        (vec![after(shell("true"), &["@1"])], "no job @1"),
        (vec![after(shell("true"), &["@0"])], "would wait for itself"),
        (vec![after(shell("true"), &["@1"]), after(shell("true"), &["@0"])], "@0 -> @1 -> @0"),
        (vec![shell("true"), after(shell("true"), &["@0", "fail:@0"])], "named twice"),
        (vec![after(shell("true"), &["5-9"])], "selects no job"),
    ] {
        let told = refusal(&daemon, jobs).await;
        assert!(matches!(told, Error::InvalidJob { .. }), "{told:?}");
        assert!(told.message().contains(words), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_waits_and_is_waited_for_as_a_whole() {
    let daemon = Fixture::start().await;
    let array = |job| Submit {
        jobs: vec![job],
        context: Some(daemon.context()),
        array: Some(twolane::protocol::Array { first: 1, last: 5, step: 1, at_once: None }),
        ..Submit::default()
    };
    let mut client = daemon.client().await;
    let first = array(shell("echo $TWOLANE_INDEX >> done"));
    let first = client.call::<call::Submit>(&first).await.unwrap().first.unwrap();
    let second = array(after(shell("test $(wc -l < done) = 5"), &[&first.to_string()]));
    let second = client.call::<call::Submit>(&second).await.unwrap().first.unwrap();
    let ends = daemon.wait_all(second, 5).await;
    assert!(ends.iter().all(|end| end.exit_code == 0), "{ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_revives_what_was_skipped_if_that_is_wanted() {
    let daemon = Fixture::start().await;
    let jobs =
        [shell("test -e flag"), after(shell("true"), &["@0"]), after(shell("true"), &["@1"])];
    let first = daemon.submit(jobs.to_vec()).await;
    daemon.wait_all(first, 3).await;
    let retry = |dependents| Retry { jobs: range(first, 1), dependents };
    let mut client = daemon.client().await;
    client.call::<call::Retry>(&retry(false)).await.unwrap();
    assert_eq!(daemon.wait(first).await.exit_code, 1);
    assert_eq!(daemon.show(first.after(1)).await.state, State::Skipped);
    std::fs::write(daemon.folder().join("flag"), "").unwrap();
    let mut changed = client.call::<call::Retry>(&retry(true)).await.unwrap().changed;
    changed.sort_unstable();
    assert_eq!(changed, [first, first.after(1), first.after(2)]);
    let ends = daemon.wait_all(first, 3).await;
    assert!(ends.iter().all(|end| end.exit_code == 0), "{ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_waited_for_is_not_forgotten() {
    let daemon = Fixture::start().await;
    let held = JobSpec { hold: true, ..after(shell("true"), &["@0"]) };
    let first = daemon.submit(vec![shell("true"), held]).await;
    daemon.wait(first).await;
    let reply = remove(&daemon, first).await;
    assert!(reply.declined[0].why.contains(&first.after(1).to_string()), "{reply:?}");
    let mut client = daemon.client().await;
    assert_eq!(client.call::<call::Prune>(&Prune::default()).await.unwrap().removed, 0);
    let cancel = Cancel { jobs: range(first.after(1), 1), reason: Some("enough".to_owned()) };
    client.call::<call::Cancel>(&cancel).await.unwrap();
    let end = daemon.wait(first.after(1)).await;
    assert_eq!((end.exit_code, end.message.as_deref()), (123, Some("enough")));
    assert_eq!(remove(&daemon, first).await.changed, [first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_jobs_outlive_the_daemon_and_explain_names_what_they_wait_for() {
    let daemon = Fixture::start().await;
    let jobs = vec![
        JobSpec { hold: true, ..shell("exit 4") },
        after(shell("true"), &["fail:@0"]),
        after(shell("true"), &["@0"]),
    ];
    let first = daemon.submit(jobs).await;
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    let explain = Explain { id: first.after(1) };
    let mut client = daemon.client().await;
    let told = client.call::<call::Explain>(&explain).await.unwrap();
    assert_eq!((told.state, &*told.gates[0].gate), (State::Waiting, "dependency"));
    assert_eq!((told.gates[0].job, told.gates[0].state), (Some(first), Some(State::Held)));
    let release = twolane::protocol::Release { jobs: range(first, 1) };
    client.call::<call::Release>(&release).await.unwrap();
    let ends = daemon.wait_all(first, 3).await;
    let codes: Vec<i32> = ends.iter().map(|end| end.exit_code).collect();
    assert_eq!(codes, [4, 0, 122]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_no_job_waiting_for_one_that_it_interrupted() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let socket = folder.path().join("twolane.sock");
    let mut client = twolane::client::Client::connect(&socket).await.unwrap();
    let once = JobSpec { at_most_once: true, ..command(&["/bin/sleep", "600"]) };
    let jobs = vec![
        after(kind("sleep", &[("for", "0s")]), &["@1"]),
        once,
        after(kind("sleep", &[("for", "0s")]), &["fail:@1"]),
    ];
    let submit = Submit { jobs, ..Submit::default() };
    let first = client.call::<call::Submit>(&submit).await.unwrap().first.unwrap();
    let running = twolane::protocol::Show { id: first.after(1) };
    while client.call::<call::Show>(&running).await.unwrap().job.state != State::Running {
        tokio::task::yield_now().await;
    }
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    let _daemon = Daemon::start(folder.path());
    let mut client = twolane::client::Client::connect(&socket).await.unwrap();
    let all = Selector { ids: range(first, 3).ids, ..Selector::default() };
    let wait = twolane::protocol::Wait { jobs: all };
    let mut ends = crate::fixture::within(client.call::<call::Wait>(&wait)).await.unwrap().finished;
    ends.sort_by_key(|end| end.id);
    let codes: Vec<i32> = ends.iter().map(|end| end.exit_code).collect();
    assert_eq!(codes, [122, 125, 0]);
}
