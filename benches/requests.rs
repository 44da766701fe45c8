//! What HTTP costs without a scheduler: a bare reqwest loop, and the small server that it and the daemon ask. The
//! end-to-end benchmark runs both as processes of their own.
//!
//! ```text
//! requests serve MILLISECONDS            prints its port; answers each request after so long
//! requests ask URL COUNT AT_ONCE         prints the seconds for so many requests
//! ```
#![allow(missing_docs)]

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

const USAGE: &str = "usage: requests serve MILLISECONDS | ask URL COUNT AT_ONCE";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
/// As many connections may come at once as the kernel lets wait.
const BACKLOG: u32 = 16_384;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo bench` passes a flag of its own.
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", delay] => serve(Duration::from_millis(number(delay) as u64)).await,
        ["ask", url, count, at_once] => ask(url, number(count), number(at_once)).await,
        // Nothing by itself: it is a part of another benchmark.
        _ => eprintln!("{USAGE}"),
    }
}

fn number(text: &str) -> usize {
    text.parse().expect(USAGE)
}

async fn serve(delay: Duration) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(BACKLOG).expect("a listener");
    println!("{}", listener.local_addr().expect("an address").port());
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, delay));
        }
    }
}

/// Answers the requests of one connection, each of which comes whole in one read or in a few.
async fn answer(mut stream: TcpStream, delay: Duration) {
    let mut request = Vec::with_capacity(1024);
    let _ = stream.set_nodelay(true);
    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        request.clear();
        if !delay.is_zero() {
            sleep(delay).await;
        }
        if stream.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}

async fn ask(url: &str, count: usize, at_once: usize) {
    rustls::crypto::ring::default_provider().install_default().expect("no provider before");
    let client = Client::builder().build().expect("a client");
    let next = Arc::new(AtomicUsize::new(0));
    let mut askers = JoinSet::new();
    let start = Instant::now();
    for _ in 0..at_once {
        let (client, next, url) = (client.clone(), Arc::clone(&next), url.to_owned());
        askers.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < count {
                let answer = client.get(&url).send().await.expect("an answer");
                assert_eq!(answer.bytes().await.expect("a body"), "ok");
            }
        });
    }
    askers.join_all().await;
    println!("{}", start.elapsed().as_secs_f64());
}
