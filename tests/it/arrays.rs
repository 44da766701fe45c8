//! Long arrays: one submit, one line, and jobs of their own only where that is needed.

use rustix::process::Signal;
use tempfile::TempDir;
use twolane::client::Client;
use twolane::job::{JobId, State};
use twolane::protocol::{
    Array, Cancel, Context, ElementRange, Explain, List, Queues, Selector, Show, Stats, Submit,
    Wait, call,
};

use crate::cli::{User, err};
use crate::fixture::{Fixture, kind, range, within};
use crate::instance::Daemon;

/// More than are ever made jobs of at once.
const LONG: u64 = 9_000;

fn array(last: u64) -> Array {
    Array { first: 1, last, step: 1, at_once: None }
}

async fn sleeps(client: &mut Client, last: u64) -> JobId {
    let jobs = vec![kind("sleep", &[("for", "0s")])];
    let context = Some(Context { cwd: "/".to_owned(), ..Context::default() });
    let submit = Submit { jobs, context, array: Some(array(last)), ..Submit::default() };
    let reply = client.call::<call::Submit>(&submit).await.unwrap();
    assert_eq!(reply.last, reply.first.map(|first| first.after(last - 1)));
    reply.first.unwrap()
}

#[test]
fn a_million_elements_are_one_submit_and_one_line() {
    let user = User::new();
    user.out(&["queue", "pause", "default"]);
    assert_eq!(user.out(&["submit", "--array", "1-1000000%50", "--", "true"]), "1\n");
    assert_eq!(user.out(&["submit", "--", "true"]), "1000001\n");
    let list = user.out(&["list"]);
    let lines: Vec<Vec<&str>> =
        list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1][..2], ["1_1-1000000%50", "queued"], "{list}");
    assert!(list.lines().nth(1).unwrap().ends_with("[1000000] true"), "{list}");
    assert_eq!((lines.len(), lines[2][0]), (3, "1000001"), "{list}");
    let shown = user.json(&["show", "1_777777", "--json"]);
    assert_eq!((&shown["id"], &shown["state"]), (&777_777.into(), &"queued".into()));
    let newest = user.json(&["list", "--json", "-l", "3"]);
    let ids: Vec<_> = newest.as_array().unwrap().iter().map(|job| job["id"].clone()).collect();
    assert_eq!(ids, [999_999, 1_000_000, 1_000_001]);
    let explained = user.json(&["explain", "1000001", "--json"]);
    assert_eq!((&explained["place"], &explained["of"]), (&1_000_001.into(), &1_000_001.into()));
    let refused = user.run(&["submit", "--in", "1h", "--array", "1-1000000", "--", "true"]);
    assert!(err(&refused).contains("at most 100000 elements"), "{}", err(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_element_of_a_long_array_runs_once() {
    let daemon = Fixture::start().await;
    let mut client = daemon.client().await;
    let first = sleeps(&mut client, LONG).await;
    let finished = daemon.wait_all(first, LONG).await;
    assert!(finished.iter().all(|finished| finished.state == State::Succeeded));
    let list = List { collapse: true, ..List::default() };
    let jobs = client.call::<call::List>(&list).await.unwrap().jobs;
    assert_eq!(jobs.len(), 1, "one line for all");
    let elements = jobs[0].elements.as_ref().unwrap();
    assert_eq!((elements.first, elements.last), (1, LONG));
    assert_eq!(elements.counts.iter().map(|count| count.jobs).collect::<Vec<_>>(), [LONG]);
    let stats = client.call::<call::Stats>(&Stats {}).await.unwrap();
    assert_eq!((stats.submitted, stats.succeeded), (LONG, LONG));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_element_that_is_named_is_a_job_like_any_other() {
    let daemon = Fixture::with(&[("lanes.io", "1")]).await;
    let mut client = daemon.client().await;
    let held = daemon.submit_one(kind("sleep", &[("for", "600s")])).await;
    daemon.running(held).await;
    let first = sleeps(&mut client, LONG).await;
    let last = first.after(LONG - 1);
    let queued = client.call::<call::Queues>(&Queues {}).await.unwrap().queues[0].queued;
    assert_eq!(queued, LONG);
    let told = client.call::<call::Explain>(&Explain { id: last }).await.unwrap();
    assert_eq!((told.place, told.of), (Some(LONG), Some(LONG)));
    let element = ElementRange { array: first, first: LONG, last: LONG };
    let jobs = Selector { elements: vec![element], ..Selector::default() };
    let cancel = Cancel { jobs, reason: None };
    let reply = client.call::<call::Cancel>(&cancel).await.unwrap();
    assert_eq!(reply.changed, [last]);
    let cancel = Cancel { jobs: range(first, 1), reason: None };
    let reply = client.call::<call::Cancel>(&cancel).await.unwrap();
    assert_eq!(reply.changed.len() as u64, LONG - 1, "the array's id means all of it");
    let waited = within(client.call::<call::Wait>(&Wait { jobs: range(first, LONG) })).await;
    let waited = waited.unwrap().finished;
    assert_eq!(waited.len() as u64, LONG);
    assert!(waited.iter().all(|job| job.state == State::Cancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_array_goes_on_after_a_kill() {
    let folder = TempDir::new().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let socket = folder.path().join("twolane.sock");
    let mut client = Client::connect(&socket).await.unwrap();
    let first = sleeps(&mut client, LONG).await;
    let some = Wait { jobs: range(first, 100) };
    within(client.call::<call::Wait>(&some)).await.unwrap();
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    let _daemon = Daemon::start(folder.path());
    let mut client = Client::connect(&socket).await.unwrap();
    let waited = within(client.call::<call::Wait>(&Wait { jobs: range(first, LONG) })).await;
    let waited = waited.unwrap().finished;
    assert_eq!(waited.len() as u64, LONG);
    assert!(waited.iter().all(|job| job.state == State::Succeeded));
    let show = Show { id: first.after(LONG - 1) };
    let job = client.call::<call::Show>(&show).await.unwrap().job;
    assert_eq!((job.array, job.index), (Some(first), Some(LONG)));
}
