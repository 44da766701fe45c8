//! What jobs print stays within bounds, and what is not kept is said.

use tempfile::TempDir;
use twolane::job::{JobId, State};
use twolane::protocol::{JobSpec, Logs, LogsReply, Stream, call};

use crate::fixture::{Fixture, decoded, shell, within};

const SMALL: [(&str, &str); 2] = [("output.job_limit", "1M"), ("output.hard_limit", "24M")];

/// Everything that is told of a job's output, to its end.
async fn told(daemon: &Fixture, id: JobId, tail: Option<u64>) -> Vec<LogsReply> {
    let logs = Logs { id, attempt: None, stream: Some(Stream::Out), follow: true, tail };
    let mut replies = daemon.client().await.stream::<call::Logs>(&logs).await.unwrap();
    let mut all = Vec::new();
    while let Some(reply) = within(replies.next()).await {
        all.push(reply.unwrap());
    }
    all
}

fn text(replies: &[LogsReply]) -> String {
    let bytes = replies.iter().flat_map(|reply| decoded(&reply.data)).collect();
    String::from_utf8(bytes).unwrap()
}

fn missing(replies: &[LogsReply]) -> u64 {
    replies.iter().filter_map(|reply| reply.cut).sum()
}

/// How much of the disk a job's captured output takes.
fn taken(daemon: &Fixture, id: JobId) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = std::fs::read_dir(daemon.folder().join("state/output/0xxx")).unwrap().flatten();
    let name = |file: &std::fs::DirEntry| file.file_name().into_string().unwrap();
    let own = files.filter(|file| name(file).starts_with(&format!("{id}.")));
    own.map(|file| file.metadata().unwrap().blocks() * 512).sum()
}

/// Waits until what a job has printed takes no more than it may.
async fn until_small(daemon: &Fixture, id: JobId) {
    within(async {
        while taken(daemon, id) > (1 << 20) + (1 << 18) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_prints_much_keeps_head_and_tail_and_the_cut_is_told() {
    let daemon = Fixture::with(&SMALL).await;
    let script = "echo first; yes 'in the middle' | head -c 8000000; echo; echo last";
    let id = daemon.submit_one(shell(script)).await;
    assert_eq!(daemon.wait(id).await.state, State::Succeeded);
    until_small(&daemon, id).await;
    let all = told(&daemon, id, None).await;
    let (kept, cut) = (text(&all), missing(&all));
    assert!(kept.starts_with("first\n") && kept.ends_with("\nlast\n"));
    assert_eq!(kept.len() as u64 + cut, 8_000_000 + "first\n\nlast\n".len() as u64);
    assert!(!kept.contains('\0'), "a hole was taken for output");
    assert!(kept.len() <= (1 << 20) + (1 << 18), "{}", kept.len());
    assert_eq!(text(&told(&daemon, id, Some(1)).await), "last\n");
    let shown = std::process::Command::new(env!("CARGO_BIN_EXE_twolane"))
        .args(["logs", &id.to_string(), "--socket"])
        .arg(daemon.socket())
        .output();
    let shown = shown.unwrap();
    let said = String::from_utf8(shown.stdout).unwrap();
    let mark = format!("\n[twolane: {cut} bytes are not kept here]\n");
    assert_eq!(said.replacen(&mark, "", 1), kept);
    assert_eq!(said.len(), kept.len() + mark.len(), "the cut is told where it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_prints_without_end_is_ended_and_slows_nobody() {
    let daemon = Fixture::with(&SMALL).await;
    let script = "while :; do head -c 1000000 /dev/zero; sleep 0.02; done";
    let endless = JobSpec { class: Some("io".to_owned()), ..shell(script) };
    let endless = daemon.submit_one(endless).await;
    daemon.running(endless).await;
    let others = daemon.submit(vec![shell("echo fine"); 20]).await;
    assert!(daemon.wait_all(others, 20).await.iter().all(|job| job.exit_code == 0));
    let ended = daemon.wait(endless).await;
    assert_eq!((ended.state, ended.outcome.as_deref()), (State::Failed, Some("output_limit")));
    until_small(&daemon, endless).await;
    assert!(missing(&told(&daemon, endless, None).await) > 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_user_named_is_never_cut() {
    let daemon = Fixture::with(&SMALL).await;
    let spec = JobSpec {
        output: Some("mine".to_owned()),
        ..shell("yes | head -c 30000000; echo done >&2")
    };
    let id = daemon.submit_one(spec).await;
    assert_eq!(daemon.wait(id).await.state, State::Succeeded);
    let after = daemon.submit_one(shell("true")).await;
    daemon.wait(after).await;
    assert_eq!(std::fs::metadata(daemon.folder().join("mine")).unwrap().len(), 30_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_output_goes_when_all_is_too_much_and_its_job_stays() {
    let daemon = Fixture::in_folder(TempDir::new().unwrap(), &[], |builder| builder).await;
    let print = || shell("yes | head -c 1500000");
    let first = daemon.submit(vec![print(), print()]).await;
    daemon.wait_all(first, 2).await;
    let folder = daemon.stop().await;
    let limit = [("output.total_limit", "2M")];
    let daemon = Fixture::in_folder(folder, &limit, |builder| builder).await;
    within(async {
        while missing(&told(&daemon, first, None).await) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(missing(&told(&daemon, first, None).await), 1_500_000);
    assert_eq!(daemon.show(first).await.state, State::Succeeded);
    assert_eq!(text(&told(&daemon, first.after(1), None).await).len(), 1_500_000);
}
