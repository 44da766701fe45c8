//! Commands that hand jobs in.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::fake::{Answer, Fake, accept, status};
use crate::protocol::{Error, MAX_BATCH};

/// A daemon that accepts everything; ids go up from 12.
fn accepting() -> Fake {
    let next = AtomicU64::new(12);
    Fake::new(move |method, parameters| match method {
        "Status" => status(),
        "Submit" => {
            let count = parameters["jobs"].as_array().unwrap().len() as u64;
            accept(parameters, next.fetch_add(count, Ordering::Relaxed))
        }
        "Wait" => Answer::Many(vec![
            json!({ "finished": [{ "id": 12, "state": "succeeded", "outcome": "succeeded", "exit_code": 0 }], "remaining": 1 }),
            json!({ "finished": [{ "id": 13, "state": "failed", "outcome": "exit", "exit_code": 3 }], "remaining": 0 }),
        ]),
        other => panic!("unexpected {other}"),
    })
}

fn argvs(call: &Value) -> Vec<String> {
    let jobs = call["jobs"].as_array().unwrap();
    jobs.iter()
        .map(|job| {
            let words = job["argv"].as_array().unwrap();
            words.iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[tokio::test]
async fn ids_alone_are_printed() {
    let fake = accepting();
    let left = fake.run(&["submit", "-q", "gpu", "--retries", "2", "--", "make", "-j4"]).await;
    assert_eq!((left.out.as_str(), left.code), ("12\n", 0), "{left:?}");
    assert!(left.err.contains("--env API_KEY"), "{left:?}");
    let call = &fake.calls_of("Submit")[0];
    assert_eq!(argvs(call), ["make -j4"]);
    assert_eq!(call["jobs"][0]["queue"], "gpu");
    assert_eq!(call["jobs"][0]["retries"], 2);
    assert_eq!(call["context"]["env"], json!({ "PATH": "/bin" }));
    assert!(call["context"]["umask"].is_u64());
}

#[tokio::test]
async fn quiet_means_ids_and_nothing_else() {
    let left = accepting().run(&["--quiet", "submit", "true"]).await;
    assert_eq!((left.out.as_str(), left.err.as_str()), ("12\n", ""));
}

#[tokio::test]
async fn each_word_after_the_colons_is_a_job() {
    let fake = accepting();
    let left = fake.run(&["submit", "--range", "gzip", "{}", "{#}", ":::", "a b", "c"]).await;
    assert_eq!(left.out, "12-13\n");
    assert_eq!(argvs(&fake.calls_of("Submit")[0]), ["gzip a b 1", "gzip c 2"]);
}

#[tokio::test]
async fn each_line_is_a_job_and_placeholders_reach_the_environment() {
    let fake = accepting();
    let list = fake.file("list", "x.a\n\ny.b\n");
    let line = ["submit", "--each", &list, "--env", "F={.}", "--env", "API_KEY", "--", "run"];
    let left = fake.run(&line).await;
    assert_eq!(left.out, "12\n13\n");
    let call = &fake.calls_of("Submit")[0];
    assert_eq!(call["jobs"][1]["env"], json!({ "F": "y" }));
    assert_eq!(call["context"]["env"]["API_KEY"], "s");
    assert!(left.err.is_empty(), "{left:?}");
}

#[tokio::test]
async fn more_jobs_than_fit_are_sent_in_several_calls_of_one_submission() {
    let fake = accepting();
    let lines: String = "value\n".repeat(2 * MAX_BATCH + 1);
    let list = fake.file("list", &lines);
    let left = fake.run(&["submit", "--each", &list, "echo"]).await;
    assert_eq!(left.out.lines().count(), 2 * MAX_BATCH + 1);
    assert_eq!(left.err.matches("several calls").count(), 1, "{}", left.err);
    let calls = fake.calls_of("Submit");
    assert_eq!(calls.len(), 3);
    assert_eq!((&calls[0]["submission"], &calls[2]["submission"]), (&Value::Null, &json!(12)));
}

#[tokio::test]
async fn an_array_prints_its_one_id() {
    let fake = accepting();
    let left = fake.run(&["submit", "--array", "1-100:2", "./simulate"]).await;
    assert_eq!(left.out, "12\n");
    assert_eq!(fake.calls_of("Submit")[0]["array"], json!({ "first": 1, "last": 100, "step": 2 }));
    let left = fake.run(&["--json", "submit", "--array", "1-3", "./simulate"]).await;
    let value: Value = serde_json::from_str(&left.out).unwrap();
    assert_eq!((&value["ids"], &value["last"]), (&json!([13]), &json!(15)), "{value}");
}

#[tokio::test]
async fn json_lines_are_jobs_and_a_bad_one_is_named() {
    let fake = accepting();
    let list = fake
        .file("jobs", "{\"argv\":[\"a\"]}\n\n{\"kind\":\"sleep\",\"params\":{\"for\":\"1s\"}}\n");
    let left = fake.run(&["--json", "submit", "-q", "slow", "--from", &list]).await;
    let value: Value = serde_json::from_str(&left.out).unwrap();
    assert_eq!(value["ids"], json!([12, 13]));
    let call = &fake.calls_of("Submit")[0];
    assert_eq!(
        (&call["jobs"][1]["queue"], &call["jobs"][1]["kind"]),
        (&json!("slow"), &json!("sleep"))
    );
    let list = fake.file("jobs", "{\"argv\":[\"a\"]}\n{\"arg\":1}\n");
    let left = fake.run(&["submit", "--from", &list]).await;
    assert_eq!(left.code, 2);
    assert!(left.err.contains("line 2: unknown field `arg`"), "{left:?}");
    assert_eq!((left.out.as_str(), fake.calls_of("Submit").len()), ("", 1));
}

#[tokio::test]
async fn a_refused_job_is_named_by_its_line() {
    let fake = Fake::new(|method, _| match method {
        "Status" => status(),
        _ => Answer::Refuse(Error::InvalidJob {
            index: 1,
            field: "queue".to_owned(),
            message: "no such queue".to_owned(),
        }),
    });
    let list = fake.file("list", "a\n\nb\n");
    let left = fake.run(&["submit", "--each", &list, "echo"]).await;
    assert_eq!((left.out.as_str(), left.code), ("", 121));
    assert!(left.err.contains("list line 3: no such queue"), "{left:?}");
    let left = fake.run(&["--json", "submit", "true"]).await;
    let error: Value = serde_json::from_str(left.err.lines().last().unwrap()).unwrap();
    assert_eq!((&error["error"], &error["exit_code"]), (&json!("InvalidJob"), &json!(121)));
}

#[tokio::test]
async fn a_dry_run_shows_the_jobs_and_changes_nothing() {
    let fake = Fake::new(|method, parameters| {
        if method == "Status" {
            return status();
        }
        assert_eq!(parameters["dry_run"], true);
        Answer::Once(json!({ "warnings": ["the queue is paused"] }))
    });
    let left = fake.run(&["submit", "--dry-run", "-s", "cat", ":::", "a b"]).await;
    assert_eq!((left.out.as_str(), left.code), ("/bin/sh -c 'cat '\\''a b'\\'''\n", 0));
    let words = ["submit", "--dry-run", "-p", "3", "-t", "90s", "--hold", "true"];
    let left = fake.run(&words).await;
    for told in ["true\n", "  priority      3\n", "  timeout       90s\n", "  hold          true\n"]
    {
        assert!(left.out.contains(told), "{}", left.out);
    }
    assert!(left.err.contains("the queue is paused"), "{left:?}");
}

#[tokio::test]
async fn waiting_ends_with_the_jobs_code() {
    let left = accepting().run(&["submit", "-w", "x", ":::", "a", "b"]).await;
    assert_eq!((left.out.as_str(), left.code), ("12\n13\n", 1));
    assert!(left.err.contains("job 13: failed (exit code 3)"), "{left:?}");
}

#[tokio::test]
async fn usage_errors_come_before_any_call() {
    let fake = accepting();
    for line in [
        &["submit"][..],
        &["submit", "--kind", "sleep", "5s"],
        &["submit", "--kind", "sleep", "for=5s", ":::", "a"],
        &["submit", "--each", "/dev/null", "x", ":::", "a"],
        &["submit", "--from", "/dev/null", "x"],
        &["submit", "--each", "/absent/list", "x"],
        &["cancel"],
        &["stop", "12"],
    ] {
        let left = fake.run(line).await;
        assert_eq!((left.code, left.out.as_str()), (2, ""), "{line:?}: {left:?}");
    }
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn a_system_daemon_s_jobs_get_the_listed_variables() {
    let fake = Fake::new(|method, parameters| match (method, status()) {
        ("Status", Answer::Once(mut value)) => {
            value["mode"] = "system".into();
            Answer::Once(value)
        }
        _ => accept(parameters, 1),
    });
    let left = fake.run(&["submit", "true"]).await;
    assert_eq!((left.err.as_str(), left.code), ("", 0));
    assert_eq!(fake.calls_of("Submit")[0]["context"]["env"], json!({ "PATH": "/bin" }));
}
