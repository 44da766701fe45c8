//! A job that waits for another one lends it the core permits it holds.

use twolane::job::{JobId, State};
use twolane::protocol::{Lend, Logs, SetLanes, call};

use crate::cli::{User, out};
use crate::fixture::{Fixture, command, decoded, shell, within};

const TWOLANE: &str = env!("CARGO_BIN_EXE_twolane");

/// A user whose daemon has one core permit, and its socket.
fn user_with_one_permit() -> (User, String) {
    let user = User::new();
    user.out(&["pool", "set", "cpu=1"]);
    let socket = user.json(&["status", "--json"])["socket"].as_str().unwrap().to_owned();
    (user, socket)
}

#[test]
fn a_job_that_runs_another_one_does_not_keep_the_permit_from_it() {
    let (user, socket) = user_with_one_permit();
    let inner = ["run", "--class", "cpu", "--", TWOLANE, "--socket", &socket, "run", "--class"];
    let output = user.run(&[&inner[..], &["cpu", "--", "echo", "inner"]].concat());
    assert_eq!((out(&output).as_str(), output.status.code()), ("inner\n", Some(0)), "{output:?}");
}

#[test]
fn a_job_that_hands_one_in_and_waits_for_it_does_not_either() {
    let (user, socket) = user_with_one_permit();
    let script = format!(
        "id=$({TWOLANE} --socket {socket} submit --class cpu -- sh -c 'exit 7'); {TWOLANE} --socket {socket} wait $id"
    );
    assert_eq!(user.code(&["run", "--class", "cpu", "--", "sh", "-c", &script]), Some(7));
}

/// The first line of a job's output, as soon as it is there.
async fn first_line(daemon: &Fixture, id: JobId) -> String {
    let logs = Logs { id, attempt: None, stream: None, follow: true, tail: None, from: None };
    let mut replies = daemon.client().await.stream::<call::Logs>(&logs).await.unwrap();
    let mut text = String::new();
    while !text.ends_with('\n') {
        let reply = within(replies.next()).await.unwrap().unwrap();
        text += std::str::from_utf8(&decoded(&reply.data)).unwrap();
    }
    text.trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn permits_are_lent_while_the_call_is_open() {
    let daemon = Fixture::start().await;
    let sizes = SetLanes { cpu: Some(1), ..SetLanes::default() };
    daemon.client().await.call::<call::SetLanes>(&sizes).await.unwrap();
    let mut job = shell("echo $TWOLANE_ATTEMPT; sleep 600");
    job.class = Some("cpu".to_owned());
    let holder = daemon.submit_one(job).await;
    let attempt = first_line(&daemon, holder).await;
    let mut waiting = command(&["true"]);
    waiting.class = Some("cpu".to_owned());
    let waiting = daemon.submit_one(waiting).await;
    assert_eq!(daemon.show(waiting).await.state, State::Queued);
    let client = daemon.client().await;
    let mut lent = client.stream::<call::Lend>(&Lend { attempt }).await.unwrap();
    within(lent.next()).await.unwrap().unwrap();
    assert_eq!(daemon.wait(waiting).await.exit_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_lends_what_is_not_a_running_attempt_of_theirs() {
    let daemon = Fixture::start().await;
    for attempt in ["", "x", "00000000000000ab-3-7"] {
        let asked = Lend { attempt: attempt.to_owned() };
        let mut lent = daemon.client().await.stream::<call::Lend>(&asked).await.unwrap();
        let error = within(lent.next()).await.unwrap().unwrap_err().to_string();
        assert!(error.contains("no running attempt of yours"), "{error}");
    }
}
