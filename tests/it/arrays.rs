//! Long arrays: one submit, one line, and jobs of their own only where that is needed.

use rustix::process::Signal;
use tempfile::TempDir;
use twolane::client::Client;
use twolane::job::{JobId, State};
use twolane::protocol::{
    Array, ArrayEnd, Cancel, Context, ElementCount, ElementRange, Explain, List, Queues, Selector,
    Show, Stats, Submit, Wait, call,
};

use crate::cli::{User, err};
use crate::fixture::{Fixture, kind, range, within};
use crate::instance::Daemon;

/// More than are ever made jobs of at once.
const LONG: u64 = 9_000;

fn array(last: u64) -> Array {
    Array { first: 1, last, step: 1, at_once: None }
}

fn ended(array: JobId, counts: &[(State, u64)]) -> ArrayEnd {
    let good = counts.iter().all(|(state, _)| *state == State::Succeeded);
    let counts = counts.iter().map(|&(state, jobs)| ElementCount { state, jobs }).collect();
    ArrayEnd { array, counts, exit_code: i32::from(!good) }
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

/// The second line of a list: the state, and the number of elements.
fn listed(user: &User) -> (String, String) {
    let list = user.out(&["list", "-l", "1"]);
    let line = list.lines().nth(1).unwrap();
    let mut words = line.split_whitespace().skip(1);
    (words.next().unwrap().to_owned(), line[line.find('[').unwrap()..].to_owned())
}

#[test]
fn a_million_elements_are_changed_as_one() {
    let user = User::new();
    user.out(&["queue", "pause", "default"]);
    user.out(&["submit", "--array", "1-1000000", "--", "true"]);
    assert_eq!(user.out(&["hold", "1"]), "held array 1: 1,000,000 elements\n");
    user.kill_daemon();
    assert_eq!(user.json(&["show", "1_777777", "--json"])["state"], "held");
    assert_eq!(user.out(&["release", "1"]), "released array 1: 1,000,000 elements\n");
    let cancel = user.out(&["cancel", "1", "--yes", "--reason", "not needed"]);
    assert_eq!(cancel, "cancelled array 1: 1,000,000 elements\n");
    user.kill_daemon();
    assert_eq!(listed(&user), ("cancelled".to_owned(), "[1000000] true".to_owned()));
    let shown = user.json(&["show", "1_777777", "--json"]);
    assert_eq!((&shown["state"], &shown["reason"]), (&"cancelled".into(), &"not needed".into()));
    let waited = user.run(&["wait", "1"]);
    assert_eq!(waited.status.code(), Some(1));
    assert_eq!(err(&waited), "twolane: array 1: 1,000,000 cancelled\n");
    let again = user.run(&["cancel", "1", "--json"]);
    assert_eq!(again.status.code(), Some(121), "nothing was left to do");
    let again: serde_json::Value = serde_json::from_str(&crate::cli::out(&again)).unwrap();
    assert_eq!(again["changed"].as_array().unwrap().len(), 0);
    assert_eq!(again["arrays"][0]["declined"], 1_000_000);
    assert_eq!(user.out(&["retry", "1_5000"]), "runs again: job 5000\n");
    assert_eq!(user.out(&["cancel", "5000"]), "cancelled job 5000\n");
    assert_eq!(user.out(&["retry", "1"]), "runs again: array 1: 1,000,000 elements\n");
    assert_eq!(user.json(&["queue", "list", "--json"])[0]["queued"], 1_000_000);
    user.out(&["cancel", "1", "--yes"]);
    assert_eq!(user.out(&["remove", "1", "--yes"]), "removed array 1: 1,000,000 elements\n");
    assert_eq!(user.out(&["list", "--json"]), "[]\n");
}

#[test]
fn parts_of_what_ended_as_one_are_jobs_like_any_other() {
    let user = User::new();
    user.out(&["queue", "pause", "default"]);
    user.out(&["submit", "--array", "1-9000", "--", "true"]);
    user.out(&["cancel", "1", "--yes"]);
    assert_eq!(user.out(&["remove", "1_4000-5000", "--yes"]), "removed array 1: 1,001 elements\n");
    assert_eq!(user.out(&["retry", "1_9000"]), "runs again: job 9000\n");
    assert_eq!(user.out(&["prune", "--dry-run", "all"]), "would remove 7,998 jobs\n");
    assert_eq!(user.out(&["prune", "all"]), "removed 7,998 jobs\n");
    assert_eq!(user.json(&["list", "1", "--json"]).as_array().unwrap().len(), 1);
    user.out(&["submit", "--array", "1-1000000", "--", "true"]);
    let edited = user.run(&["edit", "9001", "--first"]);
    assert_eq!(edited.status.code(), Some(121));
    assert!(err(&edited).contains("100000 is the most at once"), "{}", err(&edited));
    user.out(&["cancel", "9001", "--yes"]);
    let edited = user.run(&["edit", "9001", "--priority", "1"]);
    assert_eq!(edited.status.code(), Some(121));
    assert!(err(&edited).contains("it is cancelled and can't be edited"), "{}", err(&edited));
    assert_eq!(user.out(&["prune", "all"]), "removed 1,000,000 jobs\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_array_that_is_cancelled_while_it_runs_ends_with_each_element_counted() {
    let daemon = Fixture::start().await;
    let mut client = daemon.client().await;
    let first = sleeps(&mut client, LONG).await;
    let wait = Wait { jobs: range(first, 1) };
    let mut waiting = daemon.client().await.stream::<call::Wait>(&wait).await.unwrap();
    within(client.call::<call::Wait>(&Wait { jobs: range(first.after(99), 1) })).await.unwrap();
    let cancel = Cancel { jobs: range(first, 1), reason: None };
    let reply = within(client.call::<call::Cancel>(&cancel)).await.unwrap();
    let [change] = reply.arrays.as_slice() else { panic!("{reply:?}") };
    assert_eq!(change.changed + change.declined, LONG, "{change:?}");
    let mut ends = Vec::new();
    while let Some(told) = within(waiting.next()).await {
        ends = told.unwrap().arrays;
    }
    let [end] = ends.as_slice() else { panic!("{ends:?}") };
    assert_eq!(end.counts.iter().map(|count| count.jobs).sum::<u64>(), LONG, "{end:?}");
}

#[test]
fn what_ended_as_one_takes_no_other_job_s_place_among_those_that_are_kept() {
    let user = User::new();
    let folder = user.home().join(".config/twolane");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("twolane.toml"), "[store]\nkeep_jobs = 5000\n").unwrap();
    user.out(&["queue", "pause", "default"]);
    user.out(&["submit", "--", "true"]);
    user.out(&["submit", "--array", "1-100000", "--", "true"]);
    user.out(&["cancel", "all", "--yes"]);
    user.kill_daemon();
    user.out(&["submit", "--", "true"]);
    let list = user.json(&["list", "--all", "--json", "1"]);
    assert_eq!(list.as_array().unwrap().len(), 1, "the oldest is kept");
}

#[test]
fn a_graph_has_an_array_as_one_node() {
    let user = User::new();
    user.out(&["queue", "pause", "default"]);
    user.out(&["submit", "-n", "fetch", "--", "true"]);
    user.out(&["submit", "--array", "1-3", "-n", "build", "--after", "1", "--", "true"]);
    user.out(&["submit", "-n", "test", "--after", "any:2", "--", "true"]);
    let drawn = "1 fetch  queued\n└─ 2 [3] build  waiting  after ok:1\n   └─ 5 test  waiting  after any:2\n";
    assert_eq!(user.out(&["show", "--graph", "1"]), drawn);
    let graph = user.json(&["show", "--graph", "5", "--json"]);
    assert_eq!((graph["nodes"].as_array().unwrap().len(), &graph["more"]), (3, &false.into()));
    user.out(&["submit", "--array", "1-1000000", "-n", "many", "--", "true"]);
    assert_eq!(user.out(&["show", "--graph", "6"]), "6 [1000000] many  queued\n");
}

#[test]
fn a_list_of_an_array_goes_from_page_to_page() {
    let user = User::new();
    user.out(&["queue", "pause", "default"]);
    user.out(&["submit", "--array", "1-2500", "--", "true"]);
    assert_eq!(user.json(&["list", "1", "--json"]).as_array().unwrap().len(), 2_500);
    for words in [&["list", "-x", "1"][..], &["list", "-x", "--all"], &["list", "1_1-2500"]] {
        let list = user.out(words);
        let line = list.lines().nth(1).unwrap();
        assert!(line.contains("1_1-2500 ") && line.contains("[2500]"), "{words:?}: {list}");
        assert_eq!(list.lines().count(), 2, "{words:?}: {list}");
    }
    let none = user.run(&["cancel", "1_2501"]);
    assert_eq!(none.status.code(), Some(121));
    assert!(err(&none).contains("there is no element 1_2501 of yours"), "{}", err(&none));
    user.out(&["queue", "set", "gpu"]);
    let none = user.run(&["list", "--queue", "gpuu"]);
    assert_eq!(none.status.code(), Some(0));
    assert!(err(&none).contains("there is no queue \"gpuu\": did you mean gpu?"), "{}", err(&none));
    let none = user.run(&["list", "--kind", "commnd", "--all"]);
    assert!(err(&none).contains("did you mean command?"), "{}", err(&none));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_element_of_a_long_array_runs_once() {
    let daemon = Fixture::start().await;
    let mut client = daemon.client().await;
    let first = sleeps(&mut client, LONG).await;
    let waited = within(client.call::<call::Wait>(&Wait { jobs: range(first, LONG) })).await;
    let waited = waited.unwrap();
    assert_eq!((waited.finished.len(), waited.remaining), (0, 0), "told as one");
    assert_eq!(waited.arrays, [ended(first, &[(State::Succeeded, LONG)])]);
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
    assert_eq!(reply.changed, [], "they are told by their number");
    let [change] = reply.arrays.as_slice() else { panic!("{reply:?}") };
    assert_eq!((change.changed, change.declined), (LONG - 1, 1), "its id means all of it");
    assert_eq!(change.reasons[0].ids, [last]);
    let waited = within(client.call::<call::Wait>(&Wait { jobs: range(first, LONG) })).await;
    assert_eq!(waited.unwrap().arrays, [ended(first, &[(State::Cancelled, LONG)])]);
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
    assert_eq!(waited.unwrap().arrays, [ended(first, &[(State::Succeeded, LONG)])]);
    let show = Show { id: first.after(LONG - 1) };
    let job = client.call::<call::Show>(&show).await.unwrap().job;
    assert_eq!((job.array, job.index), (Some(first), Some(LONG)));
}
