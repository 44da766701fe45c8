//! Limits by key and of arrays, end to end.

use twolane::job::{JobId, State};
use twolane::protocol::{
    Array, Cancel, Empty, Explain, ExplainReply, JobSpec, SetQueue, Submit, call,
};

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
    for (key, hint) in
        [("db", "KEY=N"), ("", "KEY=N"), ("db=0", "1 or more"), ("a b=1", "not a name")]
    {
        let jobs = vec![keyed(shell("true"), key)];
        let submit = Submit { jobs, context: Some(daemon.context()), ..Submit::default() };
        let error = daemon.client().await.call::<call::Submit>(&submit).await.unwrap_err();
        assert!(error.to_string().contains(hint), "{key}: {error}");
    }
}

fn with_resources() -> [(&'static str, &'static str); 3] {
    [
        ("resources.gpu.units", r#"["0", "1"]"#),
        ("resources.gpu.env", "CUDA_VISIBLE_DEVICES"),
        ("resources.license.capacity", "3"),
    ]
}

fn needing(job: JobSpec, name: &str, amount: u64) -> JobSpec {
    JobSpec { needs: [(name.to_owned(), amount)].into(), ..job }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_finds_its_units_in_the_variable_of_the_resource() {
    let daemon = Fixture::with(&with_resources()).await;
    let first = daemon.submit_one(needing(lasting(), "gpu", 1)).await;
    daemon.running(first).await;
    let second = needing(shell("echo $CUDA_VISIBLE_DEVICES $TWOLANE_CPUS"), "gpu", 1);
    let second = daemon.submit_one(second).await;
    assert_eq!(daemon.wait(second).await.exit_code, 0);
    assert_eq!(daemon.output(second).await, "1 1\n");
    let third = daemon.submit_one(needing(lasting(), "gpu", 2)).await;
    let told = explain(&daemon, third).await;
    let gate = &told.gates[0];
    assert_eq!((gate.gate.as_str(), gate.name.as_deref()), ("resource", Some("gpu")));
    assert_eq!((gate.needed, gate.used, gate.max), (Some(2), Some(1), Some(2)));
    assert_eq!(gate.holders[0].job, first);
    let lanes = daemon.client().await.call::<call::Lanes>(&Empty {}).await.unwrap();
    let gpu = lanes.resources.iter().find(|resource| resource.name == "gpu").unwrap();
    assert_eq!((gpu.capacity, gpu.used, gpu.holders[0].job), (2, 1, first));
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &with_resources(), |builder| builder).await;
    daemon.running(first).await;
    assert_eq!(explain(&daemon, third).await.gates[0].gate, "resource", "after a restart too");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_there_is_of_a_resource_is_refused_with_how_much_there_is() {
    let daemon = Fixture::with(&with_resources()).await;
    let memory = JobSpec { memory: Some("900T".to_owned()), ..shell("true") };
    for (job, hint) in [
        (needing(shell("true"), "license", 4), "more than the 3"),
        (needing(shell("true"), "licence", 1), "gpu, license, memory"),
        (needing(shell("true"), "license", 0), "1 or more"),
        (memory, "900T of memory is more than"),
    ] {
        let submit =
            Submit { jobs: vec![job], context: Some(daemon.context()), ..Submit::default() };
        let error = daemon.client().await.call::<call::Submit>(&submit).await.unwrap_err();
        assert!(error.to_string().contains(hint), "{hint}: {error}");
    }
    let little = JobSpec { memory: Some("1M".to_owned()), ..shell("true") };
    let id = daemon.submit_one(little).await;
    assert_eq!(daemon.wait(id).await.exit_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_starts_no_more_than_its_rate_and_explain_says_when_the_next_may() {
    let daemon = Fixture::start().await;
    let set = |rate: &str| SetQueue {
        queue: "web".to_owned(),
        max: None,
        weight: None,
        rate: Some(rate.to_owned()),
    };
    let mut client = daemon.client().await;
    client.call::<call::SetQueue>(&set("2/1h")).await.unwrap();
    let job = || JobSpec { queue: Some("web".to_owned()), ..shell("true") };
    let first = daemon.submit(vec![job(), job(), job()]).await;
    daemon.wait_all(first, 2).await;
    let told = explain(&daemon, first.after(2)).await;
    let gate = &told.gates[0];
    assert_eq!((gate.gate.as_str(), gate.name.as_deref()), ("rate", Some("web")));
    assert!(gate.wait_ms.is_some_and(|wait| (3_000_000..=3_600_000).contains(&wait)), "{gate:?}");
    assert!(client.call::<call::SetQueue>(&set("2")).await.is_err());
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    assert_eq!(explain(&daemon, first.after(2)).await.gates[0].gate, "rate", "after a restart");
    daemon.client().await.call::<call::SetQueue>(&set("2/50ms")).await.unwrap();
    assert_eq!(daemon.wait(first.after(2)).await.exit_code, 0, "it wakes by itself");
    daemon.client().await.call::<call::SetQueue>(&set("off")).await.unwrap();
}

fn with_keys() -> [(&'static str, &'static str); 2] {
    [("limits.keys.host:*.max", "1"), ("limits.keys.slow.rate", "1/1h")]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_config_limits_keys_that_jobs_only_name() {
    let daemon = Fixture::with(&with_keys()).await;
    let jobs = ["host:a.org", "host:a.org", "host:b.org=7", "host:b.org=7"];
    let first = daemon.submit(jobs.map(|key| keyed(lasting(), key)).into()).await;
    daemon.running(first).await;
    daemon.running(first.after(2)).await;
    for waiting in [1, 3] {
        let gate = explain(&daemon, first.after(waiting)).await.gates.remove(0);
        assert_eq!((gate.gate.as_str(), gate.max), ("key_limit", Some(1)), "{gate:?}");
        assert_eq!(gate.origin.as_deref(), Some("limits.keys.\"host:*\" of the config"));
        assert_eq!(gate.holders[0].job, first.after(waiting - 1));
    }
    assert_eq!(daemon.show(first).await.keys, ["host:a.org"]);
    let slow = daemon.submit(vec![keyed(shell("true"), "slow"); 2]).await;
    assert!(explain(&daemon, slow).await.gates.iter().any(|gate| gate.gate == "key_rate"));
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &with_keys(), |builder| builder).await;
    daemon.running(first).await;
    assert_eq!(explain(&daemon, first.after(1)).await.gates[0].gate, "key_limit");
    let gate = explain(&daemon, slow.after(1)).await.gates.remove(0);
    assert_eq!((gate.gate.as_str(), gate.name.as_deref()), ("key_rate", Some("slow")));
    assert!(gate.wait_ms.is_some_and(|wait| wait > 0), "{gate:?}");
}

#[test]
fn limits_of_keys_change_with_a_reload() {
    let user = crate::cli::User::new();
    let folder = user.home().join(".config/twolane");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |max: u32| {
        let text = format!("[limits.keys.\"host:*\"]\nmax = {max}\n");
        std::fs::write(folder.join("twolane.toml"), text).unwrap();
    };
    write(1);
    let job = ["submit", "--limit-key", "host:a", "--kind", "sleep", "for=1h"];
    user.out(&job);
    user.out(&job);
    let told = user.out(&["explain", "2"]);
    assert!(told.contains("1 job with the key host:a runs, of at most 1 (limits.keys"), "{told}");
    write(2);
    let told = user.out(&["reload"]);
    assert!(told.contains("limits.keys.host:*.max"), "{told}");
    assert_eq!(user.json(&["explain", "2", "--json"])["state"], "running");
    let unknown = user.run(&["submit", "--limit-key", "db", "--", "true"]);
    assert_eq!(unknown.status.code(), Some(121));
    assert!(crate::cli::err(&unknown).contains("db=4"), "{}", crate::cli::err(&unknown));
}
