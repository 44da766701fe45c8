//! Schedules: made, shown, paused and dropped, through restarts and kills, and by the real command line.

use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;
use twolane::client::{CallError, Client};
use twolane::job::{JobId, State};
use twolane::protocol::{
    AddSchedule, Error, Explain, JobSpec, List, PauseSchedule, RemoveSchedule, ResumeSchedule,
    Schedule, Schedules, Selector, ShowSchedule, Watch, call,
};

use crate::cli::{User, err};
use crate::fixture::{Fixture, command, shell, within};
use crate::instance::Daemon;

fn every(span: &str, job: JobSpec) -> AddSchedule {
    AddSchedule { job: Box::new(job), every: span.to_owned(), ..AddSchedule::default() }
}

fn named(name: &str, job: JobSpec) -> JobSpec {
    JobSpec { name: Some(name.to_owned()), ..job }
}

async fn add(daemon: &Fixture, schedule: AddSchedule) -> Result<Schedule, Error> {
    let add = AddSchedule { context: Some(daemon.context()), ..schedule };
    match daemon.client().await.call::<call::AddSchedule>(&add).await {
        Ok(reply) => Ok(reply.schedule),
        Err(CallError::Refused(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

async fn show(client: &mut Client, name: &str) -> Schedule {
    let show = ShowSchedule { schedule: name.to_owned() };
    client.call::<call::ShowSchedule>(&show).await.unwrap().schedule
}

/// The runs of a schedule, oldest first.
async fn runs(client: &mut Client, name: &str) -> Vec<twolane::protocol::Job> {
    let jobs = Selector { schedules: vec![name.to_owned()], ..Selector::default() };
    let list = List { jobs, ..List::default() };
    client.call::<call::List>(&list).await.unwrap().jobs
}

/// Waits, from event to event, until the schedule is as wanted. Each of its moments is one.
async fn until(socket: &Path, name: &str, wanted: impl Fn(&Schedule) -> bool) -> Schedule {
    let mut client = Client::connect(socket).await.unwrap();
    let watch = Watch { all_users: true };
    let watcher = Client::connect(socket).await.unwrap();
    let mut events = watcher.stream::<call::Watch>(&watch).await.unwrap();
    loop {
        let schedule = show(&mut client, name).await;
        if wanted(&schedule) {
            return schedule;
        }
        within(events.next()).await.expect("events go on").expect("events are told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_of_a_schedule_is_a_job_that_knows_it() {
    let daemon = Fixture::start().await;
    let made = add(&daemon, every("1s", named("tick", shell("echo tick")))).await.unwrap();
    assert_eq!((made.name.as_str(), made.next.len()), ("tick", 5));
    let mut client = daemon.client().await;
    let told = until(daemon.socket(), "tick", |schedule| schedule.run_count >= 2).await;
    assert!(told.last_job.is_some(), "{told:?}");
    let jobs = runs(&mut client, "tick").await;
    let slots: Vec<_> = jobs.iter().map(|job| job.slot.clone().unwrap()).collect();
    assert!(slots.is_sorted_by(|one, next| one < next), "{slots:?}");
    assert_eq!(daemon.output(jobs[0].id).await, "tick\n");
    let explain = Explain { id: jobs[0].id };
    let explained = client.call::<call::Explain>(&explain).await.unwrap();
    assert_eq!(explained.schedule.as_deref(), Some("tick"));
    let remove = RemoveSchedule { schedule: "tick".to_owned() };
    client.call::<call::RemoveSchedule>(&remove).await.unwrap();
    let gone = client.call::<call::ShowSchedule>(&ShowSchedule { schedule: "tick".into() }).await;
    assert!(matches!(gone, Err(CallError::Refused(Error::NoSuchSchedule { .. }))), "{gone:?}");
    assert!(runs(&mut client, "tick").await.len() >= 2, "its runs stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_meets_an_earlier_one_waits_replaces_it_or_is_left_out() {
    let daemon = Fixture::start().await;
    let mut client = daemon.client().await;
    for overlap in ["skip", "queue", "replace"] {
        let job = named(overlap, command(&["sleep", "600"]));
        let schedule = AddSchedule { overlap: Some(overlap.to_owned()), ..every("1s", job) };
        add(&daemon, schedule).await.unwrap();
    }
    until(daemon.socket(), "skip", |schedule| schedule.skipped_count >= 1).await;
    assert_eq!(show(&mut client, "skip").await.run_count, 1);
    until(daemon.socket(), "queue", |schedule| schedule.unfinished.len() >= 2).await;
    let queued = runs(&mut client, "queue").await;
    let waits = daemon.show(queued[1].id).await;
    assert_eq!(waits.state, State::Waiting);
    assert_eq!(waits.details.unwrap().after[0].job, queued[0].id);
    until(daemon.socket(), "replace", |schedule| schedule.run_count >= 2).await;
    let replaced = runs(&mut client, "replace").await[0].id;
    let finished = daemon.wait(replaced).await;
    assert_eq!(finished.state, State::Cancelled);
    assert!(daemon.show(replaced).await.reason.unwrap().contains("next run of its schedule"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_schedule_stays_so_over_a_restart_and_goes_on_from_now() {
    let daemon = Fixture::start().await;
    add(&daemon, every("@hourly", named("h", shell("true")))).await.unwrap();
    let mut client = daemon.client().await;
    let pause = PauseSchedule { schedule: "h".to_owned(), reason: Some("holidays".to_owned()) };
    client.call::<call::PauseSchedule>(&pause).await.unwrap();
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    let mut client = daemon.client().await;
    let told = show(&mut client, "h").await;
    assert_eq!((told.paused, told.reason.as_deref()), (true, Some("holidays")));
    assert!(told.next.is_empty() && told.problem.is_none());
    let resume = ResumeSchedule { schedule: "1".to_owned() };
    client.call::<call::ResumeSchedule>(&resume).await.unwrap();
    let told = show(&mut client, "h").await;
    assert_eq!((told.paused, told.next.len(), told.missed_count), (false, 5, 0));
    assert!(told.next.iter().all(|next| next.ends_with(":00:00.000000Z")), "{:?}", told.next);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_schedule_is_refused_with_its_field() {
    let daemon = Fixture::start().await;
    let job = || named("s", shell("true"));
    add(&daemon, every("@daily", job())).await.unwrap();
    let zone = Some("Europe/Atlantis".to_owned());
    let overlap = Some("maybe".to_owned());
    for (schedule, field, words) in [
        (every("61 * * * *", job()), "every", "calendar pattern"),
        (every("0 0 30 2 *", named("feb", shell("true"))), "every", "never comes"),
        (AddSchedule { zone, ..every("@daily", job()) }, "zone", "Europe/Atlantis"),
        (AddSchedule { overlap, ..every("@daily", job()) }, "overlap", "skip, queue, replace"),
        (every("@daily", job()), "name", "already"),
        (every("@daily", named("12", shell("true"))), "name", "12"),
    ] {
        match add(&daemon, schedule).await {
            Err(Error::InvalidValue { field: found, message }) => {
                assert!(found == field && message.contains(words), "{found}: {message}");
            }
            other => panic!("{other:?}"),
        }
    }
    let later = JobSpec { delay: Some("1h".to_owned()), ..job() };
    let refused = add(&daemon, every("@daily", later)).await;
    assert!(
        matches!(&refused, Err(Error::InvalidJob { field, .. }) if field == "in"),
        "{refused:?}"
    );
    let kind = JobSpec { kind: Some("nonsense".to_owned()), ..JobSpec::default() };
    let refused = add(&daemon, every("@daily", kind)).await;
    assert!(matches!(refused, Err(Error::UnknownKind { .. })), "{refused:?}");
    let mut client = daemon.client().await;
    let pause = PauseSchedule { schedule: "t".to_owned(), reason: None };
    match client.call::<call::PauseSchedule>(&pause).await {
        Err(CallError::Refused(Error::NoSuchSchedule { message, .. })) => {
            assert!(message.contains("schedule list"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let all = client.call::<call::Schedules>(&Schedules::default()).await.unwrap();
    assert_eq!(all.schedules.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_no_run_of_a_schedule_and_doubles_none() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("twolane.sock");
    let runs_file = folder.path().join("runs");
    let job = named("k", shell(&format!("echo x >> {}", runs_file.display())));
    let mut add = every("1s", job);
    add.context = Some(twolane::protocol::Context {
        cwd: "/".to_owned(),
        env: [("PATH".to_owned(), std::env::var("PATH").unwrap_or_default())].into(),
        ..Default::default()
    });
    let mut told = None;
    for life in 0..3 {
        let mut daemon = Daemon::start(folder.path());
        let mut client = Client::connect(&socket).await.unwrap();
        if life == 0 {
            client.call::<call::AddSchedule>(&add).await.unwrap();
        }
        let had = show(&mut client, "k").await;
        let before: Schedule = told.unwrap_or(had);
        // It goes on from where it was, and is killed while it runs.
        let wanted = before.run_count + 1;
        told = Some(until(&socket, "k", |schedule| schedule.run_count >= wanted).await);
        daemon.signal(Signal::KILL);
        daemon.child.wait().unwrap();
    }
    let _daemon = Daemon::start(folder.path());
    let mut client = Client::connect(&socket).await.unwrap();
    let pause = PauseSchedule { schedule: "k".to_owned(), reason: None };
    client.call::<call::PauseSchedule>(&pause).await.unwrap();
    let schedule = show(&mut client, "k").await;
    let jobs = runs(&mut client, "k").await;
    assert_eq!(jobs.len() as u64, schedule.run_count, "one job for each run");
    assert_eq!(schedule.last_job, jobs.last().map(|job| job.id));
    let slots: std::collections::BTreeSet<_> = jobs.iter().map(|job| job.slot.clone()).collect();
    assert_eq!(slots.len(), jobs.len(), "no moment has two");
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    assert!(ids.is_sorted());
}

#[test]
fn schedules_are_made_and_managed_as_people_type_it() {
    let user = User::new();
    let words = ["submit", "--every", "0 3 * * *", "--zone", "UTC", "-n", "backup", "--", "true"];
    let made = user.run(&words);
    assert_eq!(crate::cli::out(&made), "backup\n", "{}", err(&made));
    assert!(err(&made).contains("03:00:00 UTC"), "{}", err(&made));
    assert_eq!(user.out(&["submit", "--every", "15m", "sleep", "1"]), "every-2\n");
    let list = user.out(&["schedule", "list"]);
    assert!(
        list.contains("backup") && list.contains("every-2") && list.contains("active"),
        "{list}"
    );
    let shown = user.out(&["schedule", "show", "backup"]);
    assert_eq!(shown.matches("03:00:00 UTC").count(), 5, "{shown}");
    let json = user.json(&["schedule", "list", "--json"]);
    assert_eq!(
        (&json[0]["every"], &json[0]["next"].as_array().unwrap().len()),
        (&"0 3 * * *".into(), &1)
    );
    let dry = user.out(&["submit", "--dry-run", "--every", "@weekly", "--zone", "UTC", "true"]);
    assert_eq!(dry.lines().filter(|line| line.contains("00:00:00 UTC")).count(), 5, "{dry}");
    user.out(&["schedule", "pause", "backup", "--reason", "later"]);
    assert!(user.out(&["schedule", "show", "backup"]).contains("paused: later"));
    user.out(&["schedule", "resume", "backup"]);
    user.out(&["schedule", "remove", "every-2"]);
    assert_eq!(user.json(&["schedule", "list", "--json"]).as_array().map(Vec::len), Some(1));
    for (words, code, says) in [
        (&["submit", "--every", "soon", "true"][..], 2, "0 3 * * *"),
        (&["submit", "--every", "@daily", "--at", "12:00", "true"], 2, "--at"),
        (&["submit", "--every", "@daily", "echo", "{}", ":::", "a"], 2, "one job"),
        (&["submit", "--zone", "UTC", "true"], 2, "--every"),
        (&["submit", "--every", "@daily", "--zone", "Mars/Base", "true"], 121, "Mars/Base"),
        (&["schedule", "show", "bakcup"], 121, "did you mean \"backup\""),
    ] {
        let output = user.run(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", err(&output));
        assert!(err(&output).contains(says), "{words:?}: {}", err(&output));
    }
}
