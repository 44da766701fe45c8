//! Running failed jobs again by themselves.

use twolane::job::State;
use twolane::protocol::{JobSpec, Submit, call};

use crate::cli::{User, err};
use crate::fixture::{Fixture, shell};

fn retried_on(codes: &str, script: &str) -> JobSpec {
    JobSpec {
        retries: Some(2),
        backoff: Some("0s".to_owned()),
        retry_on: Some(codes.to_owned()),
        ..shell(script)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_failures_are_retried() {
    let daemon = Fixture::start().await;
    let attempts = [
        ("75,100-110", "exit 75", 3),
        ("75,100-110", "exit 104", 3),
        ("75,100-110", "exit 1", 1),
        ("signal", "kill -9 $$", 3),
        ("75", "kill -9 $$", 1),
        ("signal", "exit 9", 1),
    ];
    let jobs = attempts.map(|(codes, script, _)| retried_on(codes, script));
    let timed = JobSpec { timeout: Some("50ms".to_owned()), ..retried_on("timeout", "sleep 600") };
    let first = daemon.submit(jobs.into_iter().chain([timed]).collect()).await;
    daemon.wait_all(first, 7).await;
    for (offset, expected) in (0..).zip(attempts.map(|(.., count)| count).into_iter().chain([3])) {
        let job = daemon.show(first.after(offset)).await;
        assert_eq!((job.state, job.attempt_count), (State::Failed, expected), "{job:?}");
    }
    let told = daemon.show(first).await.details.unwrap().retry_on;
    assert_eq!(told.as_deref(), Some("75,100-110"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_tried_again_only_if_its_code_is_named() {
    let daemon = Fixture::start().await;
    let absent = |codes: Option<&str>| JobSpec {
        argv: Some(vec!["./not-there-yet".to_owned()]),
        retry_on: codes.map(str::to_owned),
        ..retried_on("1", "")
    };
    let jobs = vec![absent(None), absent(Some("error")), absent(Some("1-127"))];
    let first = daemon.submit(jobs).await;
    daemon.wait_all(first, 3).await;
    for (id, expected) in [(first, 1), (first.after(1), 1), (first.after(2), 3)] {
        let job = daemon.show(id).await;
        assert_eq!((job.exit_code, job.attempt_count), (Some(127), expected), "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_is_retried_on_is_kept_over_a_restart() {
    let daemon = Fixture::start().await;
    let job = JobSpec { hold: true, ..retried_on("75", "exit 75") };
    let other = JobSpec { hold: true, ..retried_on("75", "exit 76") };
    let first = daemon.submit(vec![job, other]).await;
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    let release = twolane::protocol::Release { jobs: crate::fixture::range(first, 2) };
    daemon.client().await.call::<call::Release>(&release).await.unwrap();
    daemon.wait_all(first, 2).await;
    let attempts = [first, first.after(1)].map(|id| daemon.show(id));
    let [one, other] = attempts;
    assert_eq!((one.await.attempt_count, other.await.attempt_count), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_are_none_are_refused_with_what_to_write() {
    let daemon = Fixture::start().await;
    let mut client = daemon.client().await;
    let mut refused = async |job: JobSpec, part: &str| {
        let submit =
            Submit { jobs: vec![job], context: Some(daemon.context()), ..Submit::default() };
        let error = client.call::<call::Submit>(&submit).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(retried_on("0", "true"), "exit codes from 1 to 255").await;
    refused(retried_on("sigkill", "true"), "signal, timeout, error").await;
    let none = JobSpec { retries: None, ..retried_on("75", "true") };
    refused(none, "without retries").await;
}

#[test]
fn the_command_line_takes_and_shows_what_is_retried() {
    let user = User::new();
    let output = user.run(&["submit", "--retries", "2", "--retry-on", "1-", "--", "true"]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("100-110"), "{}", err(&output));
    let words = ["submit", "--hold", "--retries", "2", "--retry-on", "110,75", "--", "true"];
    let id = user.out(&words);
    let shown = user.out(&["show", id.trim()]);
    assert!(shown.contains("2 on 75,110 alone"), "{shown}");
}
