//! Bad input, each refused with an error that names what was wrong.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::fixture::{Fixture, within};

/// Sends bytes as they are and reads one message back.
pub(crate) async fn exchange(stream: &mut UnixStream, bytes: &[u8]) -> Option<Value> {
    // A daemon that has had enough may hang up before everything is written.
    let _ = stream.write_all(bytes).await;
    read_message(stream).await
}

pub(crate) async fn read_message(stream: &mut UnixStream) -> Option<Value> {
    let mut message = Vec::new();
    loop {
        match within(stream.read_u8()).await {
            Ok(0) => return serde_json::from_slice(&message).ok(),
            Ok(byte) => message.push(byte),
            Err(_) => return None,
        }
    }
}

/// One call on a connection of its own.
async fn call(daemon: &Fixture, method: &str, parameters: Value) -> Value {
    let mut stream = UnixStream::connect(daemon.socket()).await.unwrap();
    let method = format!("io.twolane.Scheduler.{method}");
    let mut bytes = json!({ "method": method, "parameters": parameters }).to_string().into_bytes();
    bytes.push(0);
    exchange(&mut stream, &bytes).await.expect("it is answered")
}

async fn refused(daemon: &Fixture, method: &str, parameters: Value, error: &str, names: &str) {
    let answer = call(daemon, method, parameters.clone()).await;
    let told = answer["error"].as_str().unwrap_or_default();
    assert!(told.ends_with(error), "{method} {parameters}: {answer}");
    assert!(answer["parameters"].to_string().contains(names), "{method} {parameters}: {answer}");
}

fn job(fields: &Value) -> Value {
    json!({ "jobs": [fields] })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_named() {
    let daemon = Fixture::start().await;
    refused(&daemon, "Fly", json!({}), "service.MethodNotFound", "Fly").await;
    refused(&daemon, "Show", json!({"id": 1, "colour": 2}), "service.InvalidParameter", "colour")
        .await;
    let sleep = |kind: &str| job(&json!({"kind": kind, "params": {"for": "1s"}}));
    refused(&daemon, "Submit", sleep("slep"), ".UnknownKind", "did you mean").await;
    let queue = job(&json!({"argv": ["true"], "queue": "defualt"}));
    refused(&daemon, "Submit", queue, ".UnknownQueue", "default").await;
    let class = job(&json!({"argv": ["true"], "class": "gpu"}));
    refused(&daemon, "Submit", class, ".InvalidJob", "io, cpu, blocking, auto").await;
    let param = job(&json!({"kind": "sleep", "params": {"for": "1s", "fro": "1s"}}));
    refused(&daemon, "Submit", param, ".InvalidJob", "fro").await;
    refused(&daemon, "Show", json!({"id": 999}), ".NoSuchJob", "999").await;
    refused(&daemon, "Pause", json!({"queue": "gpu"}), ".UnknownQueue", "queue set").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_do_not_fit_are_named() {
    let daemon = Fixture::start().await;
    refused(&daemon, "Show", json!({"id": "one"}), "service.InvalidParameter", "Show").await;
    refused(&daemon, "Show", json!({"id": 0}), ".NoSuchJob", "0").await;
    refused(&daemon, "Submit", json!({"jobs": []}), ".InvalidValue", "jobs").await;
    refused(&daemon, "Cancel", json!({"jobs": {}}), ".InvalidValue", "ids").await;
    for (fields, names) in [
        (json!({"argv": ["true"], "timeout": "soon"}), "soon"),
        (json!({"argv": ["true"], "timeout": "0"}), "timeout"),
        (json!({"argv": ["true"], "cpus": 3}), "core permits"),
        (json!({"argv": ["true"], "cpus": 0}), "cpus"),
        (json!({"argv": ["true"], "name": "a b"}), "name"),
        (json!({"argv": ["true"], "class": "blocking"}), "io"),
        (json!({"argv": ["true"], "backoff": "exp:9s..1s"}), "backoff"),
        (json!({"argv": []}), "argv"),
        (json!({"argv": ["a\u{0}b"]}), "NUL"),
        (json!({"argv": ["true"], "output": "{index}"}), "index"),
        (json!({"kind": "sleep"}), "for"),
        (json!({"kind": "sleep", "params": {"for": {"s": 1}}}), "for"),
    ] {
        refused(&daemon, "Submit", job(&fields), ".InvalidJob", names).await;
    }
    refused(&daemon, "SetLanes", json!({"cpu": 0}), ".InvalidValue", "cpu").await;
    refused(&daemon, "SetQueue", json!({"queue": "q", "weight": 0}), ".InvalidValue", "weight")
        .await;
    refused(&daemon, "Prune", json!({"older_than": "long"}), ".InvalidValue", "long").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_needs_more() {
    let daemon = Fixture::start().await;
    let submitted = call(&daemon, "Submit", job(&json!({"argv": ["true"]}))).await;
    let id = &submitted["parameters"]["first"];
    refused(&daemon, "Logs", json!({ "id": id }), "service.ExpectedMore", "").await;
    refused(&daemon, "Watch", json!({}), "service.ExpectedMore", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oneway_call_is_done_and_not_answered() {
    let daemon = Fixture::start().await;
    let mut stream = UnixStream::connect(daemon.socket()).await.unwrap();
    let silent = r#"{"method":"io.twolane.Scheduler.SetQueue","parameters":{"queue":"quiet"},"oneway":true}"#;
    let loud = r#"{"method":"io.twolane.Scheduler.Queues"}"#;
    let answer = exchange(&mut stream, format!("{silent}\0{loud}\0").as_bytes()).await.unwrap();
    assert!(answer["parameters"]["queues"].to_string().contains("quiet"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_sent_ahead_are_answered_in_order() {
    let daemon = Fixture::start().await;
    let mut stream = UnixStream::connect(daemon.socket()).await.unwrap();
    let info = r#"{"method":"org.varlink.service.GetInfo"}"#;
    let status = r#"{"method":"io.twolane.Scheduler.Status","parameters":{}}"#;
    let first =
        exchange(&mut stream, format!("{info}\0{status}\0{info}\0").as_bytes()).await.unwrap();
    assert_eq!(first["parameters"]["vendor"], "twolane");
    assert!(read_message(&mut stream).await.unwrap()["parameters"]["pid"].is_number());
    assert_eq!(read_message(&mut stream).await.unwrap()["parameters"]["vendor"], "twolane");
}
