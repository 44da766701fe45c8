//! Requests to a small server on the loopback address that speaks just enough HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::handlers::tests::{bounded, run, run_in, written};
use crate::handlers::{Handler, HttpOptions, Kind, Report};
use crate::job::{Class, Context, Outcome};

/// What the server saw of one request.
#[derive(Debug)]
struct Seen {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    async fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut seen = Self { line: line.trim_end().to_owned(), headers, body: String::new() };
        let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        seen.body = String::from_utf8(body).unwrap();
        Some(seen)
    }
}

/// A server that answers every request with what `answer` makes of it, and keeps connections.
struct Server {
    address: String,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answer: impl Fn(Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, answer) = (Arc::clone(&connections), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(seen) = Seen::read(&mut stream).await {
                        if stream.write_all(&answer(seen)).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, connections }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

fn kind() -> Kind {
    super::kind(&HttpOptions::default())
}

fn checked(kind: &Kind, params: Value) -> Value {
    let mut params = params.as_object().cloned().unwrap();
    kind.check(&mut params, &Context::default()).unwrap();
    params.into()
}

async fn fetch_with(kind: &Kind, folder: &TempDir, params: Value) -> Report {
    let Some(Handler::Async(handler)) = kind.handler(Class::Io) else { panic!("not async") };
    bounded(handler.run(run_in(folder.path(), checked(kind, params)))).await
}

async fn fetch(folder: &TempDir, params: Value) -> Report {
    fetch_with(&kind(), folder, params).await
}

#[tokio::test]
async fn the_body_becomes_the_output_and_the_job_is_named_in_headers() {
    let server = Server::start(|seen| {
        let told = ["idempotency-key", "twolane-attempt", "x-mine"].map(|name| seen.header(name));
        answer("200 OK", "", &format!("{} {:?} {}", seen.line, told, seen.body))
    })
    .await;
    let folder = tempdir().unwrap();
    let params = json!({"url": server.url("/in?q=1"), "body": "data", "header.X-Mine": "me"});
    assert_eq!(fetch(&folder, params).await, Report::succeeded());
    let told = r#"[Some("00000000000000ab-12"), Some("00000000000000ab-3-7"), Some("me")]"#;
    assert_eq!(written(&folder).0, format!("POST /in?q=1 HTTP/1.1 {told} data"));
}

#[tokio::test]
async fn a_user_s_own_idempotency_key_is_kept() {
    let server = Server::start(|seen| {
        answer("200 OK", "", seen.header("idempotency-key").unwrap_or("none"))
    })
    .await;
    let folder = tempdir().unwrap();
    let params = json!({"url": server.url("/"), "header.Idempotency-Key": "mine", "method": "put"});
    assert_eq!(fetch(&folder, params).await, Report::succeeded());
    assert_eq!(written(&folder).0, "mine");
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start(|_| answer("200 OK", "", "x")).await;
    let (folder, kind) = (tempdir().unwrap(), kind());
    for _ in 0..3 {
        let params = json!({"url": server.url("/")});
        assert_eq!(fetch_with(&kind, &folder, params).await, Report::succeeded());
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn redirects_are_followed_up_to_their_number() {
    let server = Server::start(|seen| match seen.line.split(' ').nth(1) {
        Some("/3") => answer("200 OK", "", "there"),
        Some(path) => {
            let next: u32 = path[1..].parse::<u32>().unwrap() + 1;
            answer("302 Found", &format!("Location: /{next}\r\n"), "")
        }
        None => answer("400 Bad Request", "", ""),
    })
    .await;
    let folder = tempdir().unwrap();
    let from = |number: u32| json!({"url": server.url("/0"), "max_redirects": number});
    assert_eq!(fetch(&folder, from(3)).await, Report::succeeded());
    assert_eq!(written(&folder).0, "there");
    let report = fetch(&folder, from(2)).await;
    assert!(report.outcome.message().unwrap().contains("more than 2 redirects"), "{report:?}");
    assert!(!report.retryable);
    let report = fetch(&folder, from(0)).await;
    assert!(report.outcome.message().unwrap().contains("answered 302"), "{report:?}");
}

#[tokio::test]
async fn trouble_that_may_pass_is_retried_and_a_wrong_address_is_not() {
    let server = Server::start(|seen| {
        let status = seen.line.split(['/', ' ']).nth(2).unwrap().to_owned();
        answer(&format!("{status} Whatever"), "Retry-After: 7\r\n", "why")
    })
    .await;
    let folder = tempdir().unwrap();
    for (status, retryable) in
        [(408, true), (429, true), (500, true), (503, true), (404, false), (401, false)]
    {
        let report = fetch(&folder, json!({"url": server.url(&format!("/{status}"))})).await;
        assert!(report.outcome.message().unwrap().contains(&status.to_string()), "{report:?}");
        assert_eq!(report.retryable, retryable, "{status}");
        let pause = retryable.then_some(Duration::from_secs(7));
        assert_eq!(report.retry_after, pause, "{status}");
    }
    assert!(written(&folder).0.starts_with("why"));
    let params = json!({"url": server.url("/404"), "expect": "200, 404"});
    assert_eq!(fetch(&folder, params).await, Report::succeeded());
}

#[tokio::test]
async fn a_body_over_the_limit_is_cut_and_says_so() {
    let server = Server::start(|_| answer("200 OK", "", &"x".repeat(3 << 20))).await;
    let folder = tempdir().unwrap();
    let params = json!({"url": server.url("/"), "body_limit": "1M"});
    assert_eq!(fetch(&folder, params).await, Report::succeeded());
    let (out, err) = written(&folder);
    assert_eq!(out.len(), 1 << 20);
    assert_eq!(err, "the body was cut after 1048576 bytes: see body_limit\n");
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_whole() {
    let server = Server::start(|_| answer("200 OK", "", &"x".repeat(1 << 20))).await;
    let folder = tempdir().unwrap();
    let params = json!({"url": server.url("/"), "body_limit": "1M"});
    assert_eq!(fetch(&folder, params).await, Report::succeeded());
    assert_eq!((written(&folder).0.len(), written(&folder).1), (1 << 20, String::new()));
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_when_cancelled() {
    let asked = Arc::new(Notify::new());
    let noted = Arc::clone(&asked);
    let server = Server::start(move |_| {
        noted.notify_one();
        Vec::new()
    })
    .await;
    let Some(Handler::Async(handler)) = kind().handler(Class::Io) else { panic!("not async") };
    let run = run(checked(&kind(), json!({"url": server.url("/")})));
    let cancel = run.cancel.clone();
    let waiting = tokio::spawn(handler.run(run));
    bounded(asked.notified()).await;
    cancel.cancel();
    assert_eq!(bounded(waiting).await.unwrap(), Report::cancelled());
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_after_its_idle_time() {
    let server =
        Server::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()).await;
    let folder = tempdir().unwrap();
    let report = fetch(&folder, json!({"url": server.url("/"), "idle": 0.05})).await;
    assert!(report.outcome.message().unwrap().contains("silent"), "{report:?}");
    assert!(report.retryable);
    assert_eq!(written(&folder).0, "half");
}

#[tokio::test]
async fn a_host_that_refuses_is_named_without_its_secrets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let folder = tempdir().unwrap();
    let params = json!({"url": format!("http://me:hidden@{address}/path?token=hidden")});
    let report = fetch(&folder, params).await;
    let Outcome::Failed(_) = report.outcome else { panic!("{report:?}") };
    let text = report.outcome.message().unwrap();
    assert!(text.contains(&format!("http://{address}/path")), "{text}");
    assert!(!text.contains("hidden"), "{text}");
    assert!(report.retryable);
    assert!(!folder.path().join("1.out").exists());
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_an_error_in_words() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let folder = tempdir().unwrap();
    let url = server.url("/").replace("http:", "https:");
    let report = fetch(&folder, json!({"url": url})).await;
    assert!(matches!(report.outcome, Outcome::Failed(_)), "{report:?}");
}

#[test]
fn what_can_t_be_requested_is_refused_at_submit() {
    let kind = kind();
    for bad in [
        json!({"url": "example.org"}),
        json!({"url": "ftp://example.org"}),
        json!({"url": "http://"}),
        json!({"url": "http://a", "method": "GE T"}),
        json!({"url": "http://a", "header.a b": "x"}),
        json!({"url": "http://a", "header.a": "x\r\ny: z"}),
        json!({"url": "http://a", "expect": "fine"}),
        json!({"url": "http://a", "max_redirects": -1}),
        json!({"url": "http://a", "header": "x"}),
        json!({}),
    ] {
        let mut params = bad.as_object().cloned().unwrap();
        assert!(kind.check(&mut params, &Context::default()).is_err(), "{bad}");
    }
}
