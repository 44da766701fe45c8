//! Jobs that start later, through restarts, holds and the real command line.

use twolane::job::State;
use twolane::protocol::{Error, Explain, Hold, JobSpec, Release, Submit, call};

use crate::cli::{User, err};
use crate::fixture::{Fixture, command, range, shell};

fn later(delay: &str, job: JobSpec) -> JobSpec {
    JobSpec { delay: Some(delay.to_owned()), ..job }
}

async fn refusal(daemon: &Fixture, job: JobSpec) -> Error {
    let submit = Submit { jobs: vec![job], context: Some(daemon.context()), ..Submit::default() };
    match daemon.client().await.call::<call::Submit>(&submit).await {
        Err(twolane::client::CallError::Refused(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_starts_when_its_time_has_come_and_not_before() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(later("300ms", shell("true"))).await;
    assert_eq!(daemon.wait(id).await.exit_code, 0);
    let job = daemon.show(id).await;
    let moment = |text: Option<String>| text.unwrap().parse::<jiff::Timestamp>().unwrap();
    let waited = moment(job.started_at).duration_since(moment(Some(job.submitted_at)));
    assert!(waited.as_millis() >= 300, "{waited}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_outlives_the_daemon_and_a_hold() {
    let daemon = Fixture::start().await;
    let by_hand = JobSpec { hold: true, ..later("1h", shell("true")) };
    let waits = JobSpec { after: vec!["any:@0".to_owned()], ..later("1h", shell("true")) };
    let first = daemon.submit(vec![by_hand, waits, later("1h", shell("true"))]).await;
    let hold = Hold { jobs: range(first.after(2), 1), reason: None };
    daemon.client().await.call::<call::Hold>(&hold).await.unwrap();
    let before = daemon.show(first.after(2)).await.not_before;
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    assert!(before.is_some());
    assert_eq!(daemon.show(first.after(2)).await.not_before, before);
    let mut client = daemon.client().await;
    let release = Release { jobs: range(first, 3) };
    client.call::<call::Release>(&release).await.unwrap();
    let states = [State::Scheduled, State::Waiting, State::Scheduled];
    for (id, state) in (0..).map(|step| first.after(step)).zip(states) {
        let told = client.call::<call::Explain>(&Explain { id }).await.unwrap();
        assert_eq!(told.state, state, "job {id}");
        let gate = told.gates.iter().find(|gate| gate.gate == "time");
        assert!(gate.is_some_and(|gate| gate.at.is_some()), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_was_due_while_the_daemon_was_away_is_made() {
    let daemon = Fixture::start().await;
    let job = JobSpec {
        retries: Some(1),
        backoff: Some("200ms".to_owned()),
        ..shell("test -e tried || { touch tried; exit 1; }")
    };
    let id = daemon.submit_one(job).await;
    daemon.until(id, |job| job.attempt_count == 1 && job.state != State::Running).await;
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    assert_eq!(daemon.wait(id).await.exit_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_is_past_or_none_is_refused() {
    let daemon = Fixture::start().await;
    let at = |text: &str| JobSpec { at: Some(text.to_owned()), ..shell("true") };
    for (job, field, words) in [
        (at("2001-01-01T00:00:00Z"), "at", "is past"),
        (at("tomorrow"), "at", "RFC 3339"),
        (later("soon", shell("true")), "in", "soon"),
        (later("1h", at("2999-01-01T00:00:00Z")), "at", "one of them"),
    ] {
        match refusal(&daemon, job).await {
            Error::InvalidJob { field: found, message, .. } => {
                assert!(found == field && message.contains(words), "{found}: {message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_when_a_job_is_expected_to_start_once_there_is_a_past() {
    let daemon = Fixture::with(&[("lanes.cpu", "1")]).await;
    let mut client = daemon.client().await;
    let first = daemon.submit(vec![command(&["true"]); 3]).await;
    daemon.wait_all(first, 3).await;
    let runs = daemon.submit_one(command(&["sleep", "600"])).await;
    daemon.running(runs).await;
    let next = daemon.submit_one(command(&["true"])).await;
    let told = client.call::<call::Explain>(&Explain { id: next }).await.unwrap();
    let forecast = told.forecast.expect("there is a past");
    assert_eq!((forecast.basis.as_str(), forecast.attempts), ("recent", Some(3)));
    assert!(forecast.mean_ms.is_some() && forecast.at.ends_with('Z'), "{forecast:?}");
    let later = JobSpec { delay: Some("1h".to_owned()), ..command(&["true"]) };
    let later = daemon.submit_one(later).await;
    let told = client.call::<call::Explain>(&Explain { id: later }).await.unwrap();
    let forecast = told.forecast.expect("its moment is known");
    assert_eq!((forecast.basis.as_str(), forecast.attempts), ("moment", None));
    assert!((3_590_000..=3_600_000).contains(&forecast.wait_ms), "{forecast:?}");
}

#[test]
fn times_are_typed_as_people_write_them() {
    let user = User::new();
    let id = user.out(&["submit", "--at", "tomorrow 09:00", "--", "true"]);
    let id = id.trim();
    assert_eq!(user.json(&["show", id, "--json"])["state"], "scheduled");
    let told = user.out(&["explain", id]);
    assert!(told.contains("- time: ") && told.contains(" 09:00:00"), "{told}");
    assert_eq!(user.out(&["run", "--in", "100ms", "--", "echo", "late"]), "late\n");
    let past = user.run(&["submit", "--at", "2001-01-01 10:00", "true"]);
    assert_eq!(past.status.code(), Some(2));
    assert!(err(&past).contains("is past"), "{}", err(&past));
    assert_eq!(user.code(&["submit", "--at", "12:00", "--in", "1h", "true"]), Some(2));
    user.out(&["cancel", id]);
    assert_eq!(user.code(&["wait", id]), Some(123));
}
