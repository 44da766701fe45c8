//! Changing jobs that have not started, and their order.

use std::process::Command;

use twolane::job::State;
use twolane::protocol::{Array, Edit, JobSpec, Selector, Submit, call};

use crate::cli::{User, err};
use crate::fixture::{Fixture, command, range, shell};

/// A user whose jobs stay in their queue, one of which runs at a time later on.
fn paused() -> User {
    let user = User::new();
    user.out(&["pool", "set", "cpu=1", "--persist"]);
    user.out(&["queue", "pause", "default", "--reason", "planning"]);
    user
}

fn write_down(user: &User, what: &str) -> String {
    let script = format!("echo {what} >> order");
    user.out(&["submit", "--", "sh", "-c", &script]).trim().to_owned()
}

fn order(user: &User) -> Vec<String> {
    user.out(&["queue", "resume", "default"]);
    user.out(&["wait", "all"]);
    let text = std::fs::read_to_string(user.home().join("order")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn an_edit_is_what_the_job_does_later_also_after_a_kill() {
    let user = paused();
    let id = write_down(&user, "old");
    assert_eq!(
        user.out(&[
            "edit",
            &id,
            "-p",
            "3",
            "--timeout",
            "90s",
            "--env",
            "W=new",
            "--",
            "sh",
            "-c",
            "echo $W >> order"
        ]),
        format!("edited job {id}\n")
    );
    user.out(&["edit", &id, "--name", "x", "--unset", "timeout"]);
    user.kill_daemon();
    let job = user.json(&["show", &id, "--json"]);
    assert_eq!(
        (&job["priority"], &job["name"], &job["timeout_seconds"], &job["edits"]),
        (&3.into(), &"x".into(), &serde_json::Value::Null, &2.into())
    );
    assert_eq!(order(&user), ["new"]);
}

/// The jobs of an earlier life are read when their turn comes near, some ahead of it.
#[test]
fn a_job_that_is_edited_when_its_turn_is_near_does_the_new_work() {
    let user = paused();
    let [began, go] = ["began", "go"].map(|name| {
        let path = user.home().join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    });
    let waits = "echo > began; read go < go; echo first >> order";
    user.out(&["submit", "--", "sh", "-c", waits]);
    let ids = ["second", "third", "fourth"].map(|what| write_down(&user, what));
    user.kill_daemon();
    user.out(&["queue", "resume", "default"]);
    assert_eq!(std::fs::read_to_string(began).unwrap(), "\n");
    user.out(&["edit", &ids[1], "--", "sh", "-c", "echo new >> order"]);
    std::fs::write(go, "\n").unwrap();
    assert_eq!(order(&user), ["first", "second", "new", "fourth"]);
}

#[test]
fn jobs_run_in_the_order_that_was_asked_for_also_after_a_kill() {
    let user = paused();
    let ids: Vec<String> = ["a", "b", "c", "d", "e"].map(|what| write_down(&user, what)).into();
    user.out(&["edit", &ids[3], "--first"]);
    user.out(&["edit", &ids[0], "--last"]);
    user.out(&["edit", &ids[4], "--before", &ids[2]]);
    user.out(&["edit", &ids[1], "--behind", &ids[2]]);
    user.kill_daemon();
    assert_eq!(order(&user), ["d", "e", "c", "b", "a"]);
}

#[test]
fn what_can_t_be_edited_is_refused_with_what_to_do() {
    let user = paused();
    let id = write_down(&user, "x");
    let refused = |words: &[&str], code: i32, part: &str| {
        let output = user.run(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", err(&output));
        assert!(err(&output).contains(part), "{words:?}: {}", err(&output));
    };
    refused(&["edit", &id], 2, "$EDITOR");
    refused(&["edit", &id, "--queue", "nowhere"], 121, "nowhere");
    refused(&["edit", &id, "--retry-on", "0"], 2, "exit codes");
    refused(&["edit", &id, "--cpus", "99"], 121, "core permits");
    refused(&["edit", &id, "--after", &id], 121, "wait for itself");
    refused(&["edit", &id, "--unique", "k"], 121, "submit it anew");
    refused(&["edit", &id, "--unset", "queue"], 121, "can be without");
    refused(&["edit", &id, "--kind", "http", "--", "url=x"], 121, "kind");
    refused(&["edit", &id, "--before", "77"], 121, "77");
    refused(&["edit", &id, "--before", &id], 121, "itself");
    refused(&["edit", "77", "--first"], 121, "77");
    let other = write_down(&user, "y");
    user.out(&["edit", &other, "--after", &id]);
    refused(&["edit", &id, "--after", &other], 121, "waits for it");
    assert_eq!(order(&user), ["x", "y"]);
    refused(&["edit", &id, "-p", "1"], 121, "ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_takes_what_counts_after_its_attempt() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(shell("while ! test -e go; do sleep 0.01; done; exit 1")).await;
    daemon.running(id).await;
    let edit = |set: JobSpec| Edit { jobs: range(id, 1), set: Box::new(set), ..Edit::default() };
    let mut client = daemon.client().await;
    let elsewhere = edit(JobSpec { cpus: Some(2), ..JobSpec::default() });
    let reply = client.call::<call::Edit>(&elsewhere).await.unwrap();
    assert!(reply.changed.is_empty() && reply.declined[0].why.contains("it runs"), "{reply:?}");
    let backoff = Some("0s".to_owned());
    let later = edit(JobSpec { retries: Some(1), backoff, ..JobSpec::default() });
    assert_eq!(client.call::<call::Edit>(&later).await.unwrap().changed, [id]);
    std::fs::write(daemon.folder().join("go"), "").unwrap();
    assert_eq!(daemon.wait(id).await.state, State::Failed);
    assert_eq!(daemon.show(id).await.attempt_count, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_array_is_edited_as_one_and_an_element_alone() {
    let daemon = Fixture::start().await;
    let mut client = daemon.client().await;
    let job = JobSpec { hold: true, ..command(&["true"]) };
    let array = Some(Array { first: 1, last: 500, step: 1, at_once: None });
    let submit =
        Submit { jobs: vec![job], context: Some(daemon.context()), array, ..Submit::default() };
    let first = client.call::<call::Submit>(&submit).await.unwrap().first.unwrap();
    let set = Box::new(JobSpec { priority: Some(4), ..JobSpec::default() });
    let all = Edit { jobs: range(first, 500), set, ..Edit::default() };
    let reply = client.call::<call::Edit>(&all).await.unwrap();
    assert_eq!((reply.changed.len(), reply.arrays[0].changed), (0, 500));
    let mut jobs = Selector::default();
    jobs.add(&format!("{first}_7")).unwrap();
    let set = Box::new(JobSpec { name: Some("seven".to_owned()), ..JobSpec::default() });
    client.call::<call::Edit>(&Edit { jobs, set, ..Edit::default() }).await.unwrap();
    let seventh = daemon.show(first.after(6)).await;
    assert_eq!((seventh.name.as_deref(), seventh.priority), (Some("seven"), 4));
    let eighth = daemon.show(first.after(7)).await;
    assert_eq!((eighth.name, eighth.priority, eighth.state), (None, 4, State::Held));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_somebody_else_edited_meanwhile_is_declined() {
    let daemon = Fixture::start().await;
    let id = daemon.submit_one(JobSpec { hold: true, ..shell("true") }).await;
    let mut client = daemon.client().await;
    let set = Box::new(JobSpec { priority: Some(1), ..JobSpec::default() });
    let edit = Edit { jobs: range(id, 1), set, edits: Some(0), ..Edit::default() };
    assert_eq!(client.call::<call::Edit>(&edit).await.unwrap().changed, [id]);
    let reply = client.call::<call::Edit>(&edit).await.unwrap();
    assert!(reply.changed.is_empty() && reply.declined[0].why.contains("meanwhile"), "{reply:?}");
}

#[test]
fn jobs_that_are_put_first_together_keep_their_order() {
    let user = crate::cli::User::new();
    user.out(&["queue", "pause", "default"]);
    for _ in 0..5 {
        user.out(&["submit", "--", "true"]);
    }
    user.out(&["edit", "3-5", "--first"]);
    let place = |id: &str| user.json(&["explain", id, "--json"])["place"].clone();
    let places = ["3", "4", "5", "1", "2"].map(place);
    assert_eq!(places, [1, 2, 3, 4, 5]);
    user.out(&["edit", "2", "--first"]);
    assert_eq!(["2", "3"].map(place), [1, 2]);
}
