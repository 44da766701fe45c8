//! Submitting, and what comes of it.

use twolane::job::{Lane, State};
use twolane::protocol::{Array, JobSpec, List, Selector, Submit, call};

use crate::fixture::{Fixture, command, kind, range, shell, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_and_its_exit_code_is_kept() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(shell("echo hi; exit 3")).await;
    let finished = daemon.wait(id).await;
    assert_eq!((finished.state, finished.exit_code), (State::Failed, 3));
    assert_eq!(daemon.output(id).await, "hi\n");
    let job = daemon.show(id).await;
    assert_eq!(job.lane, Some(Lane::Pool));
    let attempts = job.details.expect("show tells everything").attempts;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].exit_code, Some(3));
    assert!(attempts[0].wall_seconds.is_some_and(|seconds| seconds > 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_the_submitter_s_surroundings() {
    let daemon = Fixture::start().await;
    let script =
        "pwd; umask; echo \"$COLOUR $TWOLANE_JOB $TWOLANE_CPUS\"; test -n \"$TWOLANE_ATTEMPT\"";
    let job = JobSpec {
        env: [("COLOUR".to_owned(), "green".to_owned())].into(),
        cpus: Some(2),
        ..shell(script)
    };
    let id = daemon.submit_one(job).await;
    assert_eq!(daemon.wait(id).await.exit_code, 0);
    let folder = daemon.folder().canonicalize().unwrap().display().to_string();
    assert_eq!(daemon.output(id).await, format!("{folder}\n0022\ngreen {id} 2\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_elements_of_an_array_know_their_index() {
    let daemon = Fixture::start().await;
    let submit = Submit {
        jobs: vec![shell("echo $TWOLANE_INDEX")],
        context: Some(daemon.context()),
        array: Some(Array { first: 5, last: 11, step: 3, at_once: None }),
        ..Submit::default()
    };
    let reply = daemon.client().await.call::<call::Submit>(&submit).await.unwrap();
    let first = reply.first.unwrap();
    assert_eq!(reply.last, Some(first.after(2)));
    daemon.wait_all(first, 3).await;
    for (element, index) in [(0, "5\n"), (1, "8\n"), (2, "11\n")] {
        assert_eq!(daemon.output(first.after(element)).await, index);
    }
    let mut jobs = Selector::default();
    jobs.add(&format!("{first}_8")).unwrap();
    let list = List { jobs, ..List::default() };
    let found = daemon.client().await.call::<call::List>(&list).await.unwrap().jobs;
    assert_eq!(found.iter().map(|job| job.id).collect::<Vec<_>>(), [first.after(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_fails_with_the_system_s_words_and_127() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(command(&["no-such-program-anywhere"])).await;
    let finished = daemon.wait(id).await;
    assert_eq!((finished.state, finished.exit_code), (State::Failed, 127));
    let message = finished.message.expect("it says why");
    assert!(message.contains("no-such-program-anywhere"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_executable_fails_with_126() {
    let daemon = Fixture::start().await;
    std::fs::write(daemon.folder().join("plain"), "text").unwrap();
    let id = daemon.submit_one(command(&["./plain"])).await;
    assert_eq!(daemon.wait(id).await.exit_code, 126);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_retried_as_often_as_asked() {
    let daemon = Fixture::start().await;
    let job = JobSpec {
        retries: Some(2),
        backoff: Some("1ms".to_owned()),
        ..shell("echo again >> tries; exit 1")
    };
    let id = daemon.submit_one(job).await;
    let finished = daemon.wait(id).await;
    assert_eq!((finished.state, finished.exit_code), (State::Failed, 1));
    assert_eq!(std::fs::read_to_string(daemon.folder().join("tries")).unwrap().lines().count(), 3);
    assert_eq!(daemon.show(id).await.attempt_count, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_runs_too_long_is_ended() {
    let daemon = Fixture::start().await;
    let job = JobSpec { timeout: Some("50ms".to_owned()), ..command(&["sleep", "600"]) };
    let id = daemon.submit_one(job).await;
    let finished = daemon.wait(id).await;
    assert_eq!((finished.state, finished.exit_code), (State::Failed, 124));
    assert_eq!(finished.outcome.as_deref(), Some("timed_out"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_s_output_file_takes_the_output() {
    let daemon = Fixture::start().await;
    let job = JobSpec {
        output: Some("{name}-{id}.log".to_owned()),
        merge: true,
        name: Some("report".to_owned()),
        ..shell("echo out; echo err >&2")
    };
    let id = daemon.submit_one(job).await;
    daemon.wait(id).await;
    let text = std::fs::read_to_string(daemon.folder().join(format!("report-{id}.log"))).unwrap();
    assert_eq!(text, "out\nerr\n");
    assert_eq!(daemon.output(id).await, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_checks_everything_and_changes_nothing() {
    let daemon = Fixture::start().await;
    let mut submit = Submit {
        jobs: vec![command(&["true"])],
        context: Some(daemon.context()),
        dry_run: true,
        ..Submit::default()
    };
    let mut client = daemon.client().await;
    assert_eq!(client.call::<call::Submit>(&submit).await.unwrap().first, None);
    submit.jobs[0].queue = Some("nowhere".to_owned());
    assert!(client.call::<call::Submit>(&submit).await.is_err());
    let listed = client.call::<call::List>(&List::default()).await.unwrap();
    assert!(listed.jobs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_taken_whole_or_not_at_all() {
    let daemon = Fixture::start().await;
    let mut jobs = vec![kind("sleep", &[("for", "0s")]); 100];
    jobs[99].kind = Some("slep".to_owned());
    let submit = Submit { jobs, context: Some(daemon.context()), ..Submit::default() };
    let refused = daemon.client().await.call::<call::Submit>(&submit).await.unwrap_err();
    assert!(refused.to_string().contains("sleep"), "{refused}");
    let listed = daemon.client().await.call::<call::List>(&List::default()).await.unwrap();
    assert!(listed.jobs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_batch_runs_to_its_end() {
    let daemon = Fixture::start().await;
    let first = daemon.submit(vec![kind("sleep", &[("for", "0s")]); 10_000]).await;
    let finished = daemon.wait_all(first, 10_000).await;
    assert_eq!(finished.len(), 10_000);
    assert!(finished.iter().all(|finished| finished.state == State::Succeeded));
    let list = List { jobs: range(first, 10_000), limit: Some(10), ..List::default() };
    let page = within(daemon.client().await.call::<call::List>(&list)).await.unwrap();
    assert_eq!(page.jobs.len(), 10);
    assert!(page.more);
}
