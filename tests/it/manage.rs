//! Queues, config, draining, telling.

use twolane::job::State;
use twolane::protocol::{
    Drain, Empty, JobSpec, Pause, RemoveQueue, Resume, SetLanes, SetQueue, Watch, call,
};

use crate::fixture::{Fixture, command, kind, shell, within};

fn in_queue(queue: &str, job: JobSpec) -> JobSpec {
    JobSpec { queue: Some(queue.to_owned()), ..job }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_made_limited_paused_resumed_and_removed() {
    let daemon = Fixture::start().await;
    let mut client = daemon.client().await;
    let set = SetQueue { queue: "encode".to_owned(), max: Some(1), weight: Some(7), rate: None };
    client.call::<call::SetQueue>(&set).await.unwrap();
    let pause = Pause { queue: "encode".to_owned(), reason: Some("maintenance".to_owned()) };
    client.call::<call::Pause>(&pause).await.unwrap();
    let id = daemon.submit_one(in_queue("encode", command(&["true"]))).await;
    let queues = client.call::<call::Queues>(&Empty {}).await.unwrap().queues;
    let queue = queues.iter().find(|queue| queue.name == "encode").unwrap();
    assert_eq!((queue.max, queue.weight, queue.paused, queue.queued), (Some(1), 7, true, 1));
    assert_eq!(queue.reason.as_deref(), Some("maintenance"));
    let remove = RemoveQueue { queue: "encode".to_owned() };
    let refused = client.call::<call::RemoveQueue>(&remove).await.unwrap_err();
    assert!(refused.to_string().contains("unfinished"), "{refused}");
    client.call::<call::Resume>(&Resume { queue: "encode".to_owned() }).await.unwrap();
    assert_eq!(daemon.wait(id).await.exit_code, 0);
    client.call::<call::RemoveQueue>(&remove).await.unwrap();
    let queues = client.call::<call::Queues>(&Empty {}).await.unwrap().queues;
    assert!(queues.iter().all(|queue| queue.name != "encode"));
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_and_jobs_are_there_after_a_restart() {
    let daemon = Fixture::start().await;
    let set = SetQueue { queue: "encode".to_owned(), max: Some(2), weight: None, rate: None };
    daemon.client().await.call::<call::SetQueue>(&set).await.unwrap();
    let held = JobSpec { hold: true, ..in_queue("encode", shell("echo kept")) };
    let held = daemon.submit_one(held).await;
    let running = daemon.submit_one(kind("sleep", &[("for", "600s")])).await;
    daemon.running(running).await;
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    assert_eq!(daemon.show(held).await.state, State::Held);
    let again = daemon.until(running, |job| job.attempt_count == 2).await;
    assert_eq!(again.state, State::Running);
    let queues = daemon.client().await.call::<call::Queues>(&Empty {}).await.unwrap().queues;
    assert!(queues.iter().any(|queue| queue.name == "encode" && queue.max == Some(2)));
    let release = twolane::protocol::Release { jobs: crate::fixture::range(held, 1) };
    daemon.client().await.call::<call::Release>(&release).await.unwrap();
    assert_eq!(daemon.wait(held).await.exit_code, 0);
    assert_eq!(daemon.output(held).await, "kept\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_starts_nothing_until_it_is_off() {
    let daemon = Fixture::start().await;
    daemon.client().await.call::<call::Drain>(&Drain::default()).await.unwrap();
    let id = daemon.submit_one(command(&["true"])).await;
    let status = daemon.client().await.call::<call::Status>(&Empty {}).await.unwrap();
    assert_eq!(status.health, "draining");
    assert_eq!(daemon.show(id).await.state, State::Queued);
    daemon.client().await.call::<call::Drain>(&Drain { off: true, reason: None }).await.unwrap();
    assert_eq!(daemon.wait(id).await.exit_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_were_persisted_survive_and_a_reset_forgets_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    let set = SetLanes { io: Some(77), persist: true, ..SetLanes::default() };
    daemon.client().await.call::<call::SetLanes>(&set).await.unwrap();
    let folder = daemon.stop().await;
    let daemon = Fixture::in_folder(folder, &[], |builder| builder).await;
    let lanes = daemon.client().await.call::<call::Lanes>(&Empty {}).await.unwrap();
    assert_eq!(lanes.io, 77);
    let config = daemon.client().await.call::<call::Config>(&Empty {}).await.unwrap();
    let io = config.entries.iter().find(|entry| entry.key == "lanes.io").unwrap();
    assert!(io.origin.contains("settings.toml"), "{io:?}");
    let reset = SetLanes { reset: true, ..SetLanes::default() };
    let lanes = daemon.client().await.call::<call::SetLanes>(&reset).await.unwrap();
    assert_ne!(lanes.io, 77);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_applies_what_it_can_and_a_bad_file_changes_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("twolane.toml");
    std::fs::write(&file, "[lanes]\nio = 50\n").unwrap();
    let args = twolane::daemon::Args {
        state_dir: Some(folder.path().join("state")),
        config: Some(file.clone()),
        ..Default::default()
    };
    let running = twolane::daemon::Builder::new(args).start().await.unwrap();
    let mut client = twolane::client::Client::connect(running.socket()).await.unwrap();
    std::fs::write(&file, "[lanes]\nio = 60\n[queues.night]\nmax = 3\n").unwrap();
    let reply = client.call::<call::Reload>(&Empty {}).await.unwrap();
    assert!(reply.changed.iter().any(|key| key == "lanes.io"), "{reply:?}");
    assert_eq!(client.call::<call::Lanes>(&Empty {}).await.unwrap().io, 60);
    let queues = client.call::<call::Queues>(&Empty {}).await.unwrap().queues;
    assert!(queues.iter().any(|queue| queue.name == "night" && queue.max == Some(3)));
    std::fs::write(&file, "[lanes]\nioo = 70\n").unwrap();
    let refused = client.call::<call::Reload>(&Empty {}).await.unwrap_err().to_string();
    assert!(refused.contains("ioo") && refused.contains("twolane.toml"), "{refused}");
    assert_eq!(client.call::<call::Lanes>(&Empty {}).await.unwrap().io, 60);
    running.stop(true).await;
    within(running.ended()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_hear_of_a_job_s_whole_life() {
    let daemon = Fixture::start().await;
    let mut events = daemon.client().await.stream::<call::Watch>(&Watch::default()).await.unwrap();
    // The first job is for making sure that the watcher is there.
    let early = daemon.submit_one(command(&["true"])).await;
    daemon.wait(early).await;
    let id = daemon.submit_one(shell("exit 5")).await;
    let mut heard = Vec::new();
    while heard.last().map(String::as_str) != Some("ended") {
        let event = within(events.next()).await.unwrap().unwrap().event;
        if event.job == Some(id) {
            heard.push(event.event);
        }
    }
    assert_eq!(heard, ["submitted", "started", "ended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_tell_their_parameters() {
    let daemon = Fixture::start().await;
    let kinds = daemon.client().await.call::<call::Kinds>(&Empty {}).await.unwrap().kinds;
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
    assert_eq!(names, ["checksum", "command", "compress", "decompress", "http", "sleep"]);
    assert!(kinds.iter().all(|kind| !kind.doc.is_empty() && !kind.params.is_empty()));
}
