//! Commands that show and change jobs, queues and the daemon.

use serde_json::{Value, json};

use super::fake::{Answer, Fake, status};
use super::job;
use crate::protocol::Error;

fn wire(id: u64, state: &str, fields: Value) -> Value {
    serde_json::to_value(job(id, state, fields)).unwrap()
}

#[tokio::test]
async fn a_list_has_what_is_not_final_and_what_ended_of_late() {
    let fake = Fake::new(|_, parameters| {
        let states = parameters["jobs"]["states"].as_array().unwrap();
        let now = jiff::Timestamp::now().to_string();
        let jobs = if states.contains(&json!("queued")) {
            vec![wire(9, "running", json!({})), wire(3, "queued", json!({}))]
        } else {
            let since: jiff::Timestamp =
                parameters["finished_since"].as_str().unwrap().parse().unwrap();
            let hours = jiff::Timestamp::now().duration_since(since).as_secs() / 3600;
            assert!((23..25).contains(&hours), "{since}");
            let new = json!({ "finished_at": now, "outcome": "exit", "exit_code": 3 });
            vec![wire(8, "failed", new)]
        };
        Answer::Once(json!({ "jobs": jobs, "more": false }))
    });
    let left = fake.run(&["list"]).await;
    let ids: Vec<&str> =
        left.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(ids, ["ID", "3", "8", "9"], "{}", left.out);
    let left = fake.run(&["ls", "--json"]).await;
    let value: Value = serde_json::from_str(&left.out).unwrap();
    assert_eq!((value.as_array().unwrap().len(), &value[0]["id"]), (3, &json!(3)));
}

#[tokio::test]
async fn a_list_of_everything_goes_from_page_to_page() {
    let fake = Fake::new(|_, parameters| match parameters["after"].as_u64() {
        None => Answer::Once(json!({ "jobs": [wire(1, "queued", json!({}))], "more": true })),
        Some(1) => Answer::Once(json!({ "jobs": [wire(2, "queued", json!({}))], "more": false })),
        other => panic!("{other:?}"),
    });
    let left = fake.run(&["list", "--all"]).await;
    assert_eq!(left.out.lines().count(), 3, "{}", left.out);
    let left = fake.run(&["list", "--all", "--json"]).await;
    let value: Value = serde_json::from_str(&left.out).unwrap();
    assert_eq!(value.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn no_jobs_are_an_empty_array() {
    let fake = Fake::new(|_, _| Answer::Once(json!({ "jobs": [], "more": false })));
    for line in [&["list", "--json"][..], &["list", "--json", "--all"], &["list", "--json", "7"]] {
        assert_eq!(fake.run(line).await.out.trim(), "[]", "{line:?}");
    }
}

#[tokio::test]
async fn a_shown_job_has_its_attempts_and_no_control_characters() {
    let details = json!({
        "params": { "argv": ["true"] }, "backoff": "1s", "at_most_once": false, "cwd": "/tmp",
        "env_names": ["PATH"], "message": "a\u{1b}[31mb", "outcome": "error",
        "attempts": [{ "number": 1, "token": "0-1-1", "class": "cpu", "lane": "pool",
            "started_at": "2024-01-01T00:00:00Z", "outcome": "error", "exit_code": 1,
            "message": "boom", "cpu_seconds": 0.5, "wall_seconds": 2.0, "max_rss_bytes": 2048 }],
    });
    let fake =
        Fake::new(move |_, _| Answer::Once(json!({ "job": wire(7, "failed", details.clone()) })));
    let left = fake.run(&["show", "7"]).await;
    assert!(left.out.contains("error: boom") && left.out.contains("2K"), "{}", left.out);
    assert!(!left.out.contains('\u{1b}'), "{}", left.out);
    let left = fake.run(&["show", "--json", "7"]).await;
    let value: Value = serde_json::from_str(&left.out).unwrap();
    assert_eq!(value["attempts"][0]["max_rss_bytes"], 2048);
}

#[tokio::test]
async fn a_named_job_that_declines_makes_121_and_a_range_does_not() {
    let fake = Fake::new(|_, _| {
        Answer::Once(json!({ "changed": [4, 5], "declined": [
            { "id": 3, "state": "succeeded", "why": "it has succeeded already" }] }))
    });
    let left = fake.run(&["cancel", "3", "4", "5", "--reason", "late"]).await;
    assert_eq!((left.out.as_str(), left.code), ("cancelled 2 jobs: 4-5\n", 121));
    assert!(left.err.contains("job 3: it has succeeded already"), "{left:?}");
    assert_eq!(fake.calls_of("Cancel")[0]["reason"], "late");
    assert_eq!(fake.run(&["kill", "-y", "3-5"]).await.code, 0);
    for verb in ["hold", "release", "retry", "rm"] {
        assert_eq!(fake.run(&[verb, "3-5"]).await.code, 0, "{verb}");
    }
}

#[tokio::test]
async fn an_unknown_job_is_refused() {
    let fake = Fake::new(|_, _| {
        let id = "99".parse().unwrap();
        Answer::Refuse(Error::NoSuchJob { id, message: "there is no job 99".to_owned() })
    });
    for line in [&["show", "99"][..], &["explain", "99"], &["wait", "99"], &["logs", "99"]] {
        let left = fake.run(line).await;
        assert_eq!((left.code, left.err.as_str()), (121, "twolane: there is no job 99\n"));
    }
}

#[tokio::test]
async fn status_names_the_daemon() {
    let fake = Fake::new(|_, _| status());
    let left = fake.run(&["status"]).await;
    for part in ["user daemon 1.2.3", "pid 77", "3 queued", "cpu 1/2", "/x/state"] {
        assert!(left.out.contains(part), "{part}: {}", left.out);
    }
    assert!(!left.out.contains("running,") && !left.out.contains("0 running"), "{}", left.out);
}

#[tokio::test]
async fn queues_and_sizes_are_set_by_name() {
    let fake = Fake::new(|method, _| match method {
        "SetLanes" => Answer::Once(json!({
            "cpu": 8, "cpu_used": 1, "cpu_lent": 0, "cpu_running": 1, "io": 5, "io_running": 2,
            "blocking": 3, "blocking_running": 0, "threads": 9, "pool_queued": 0, "workers": [] })),
        _ => Answer::Once(json!({})),
    });
    assert_eq!(fake.run(&["queue", "set", "gpu", "max=1"]).await.code, 0);
    assert_eq!(fake.calls_of("SetQueue")[0], json!({ "queue": "gpu", "max": 1 }));
    assert_eq!(fake.run(&["queue", "pause", "gpu", "--reason", "hot"]).await.code, 0);
    let left = fake.run(&["pool", "set", "cpu=8", "--persist"]).await;
    assert_eq!(fake.calls_of("SetLanes")[0], json!({ "cpu": 8, "persist": true }));
    assert!(left.out.contains("9 pool threads"), "{}", left.out);
}

#[tokio::test]
async fn events_end_when_the_daemon_does() {
    let fake = Fake::new(|_, _| {
        let event = json!({ "time": "2024-01-01T00:00:00Z", "event": "submitted", "job": 3, "last_job": 9 });
        Answer::Many(vec![json!({ "event": event })])
    });
    let left = fake.run(&["events"]).await;
    assert_eq!(left.code, 120);
    assert!(left.out.contains("submitted jobs 3-9"), "{left:?}");
    let left = fake.run(&["events", "--json"]).await;
    let value: Value = serde_json::from_str(left.out.trim()).unwrap();
    assert_eq!(value["last_job"], 9);
}
