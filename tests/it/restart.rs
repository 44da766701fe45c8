//! The daemon's program is replaced while jobs go on, as real processes.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use twolane::job::{JobId, State};
use twolane::protocol::{Cancel, JobSpec, Restart, Submit, call};

use crate::fixture::{command, kind, range, shell, within};
use crate::instance::Daemon;
use crate::site::{
    Site, descriptors, ended, install, line, lives, next, open, pipe, put_script, refusal,
};

/// Burns a little, then says each line that it is told, until the last one.
const COUNTS: &str = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec 3<pipe; \
    while read line <&3; do echo $line; [ $line = end ] && exit 7; done; exit 9";

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_on_through_three_restarts_with_all_who_follow_it() {
    let site = Site::start();
    pipe(&site.path("pipe"));
    let mut run = site.cli(&["run", "--shell", COUNTS]);
    let mut said = BufReader::new(run.stdout.take().unwrap()).lines();
    let mut tell = open(site.path("pipe")).await;
    let id: JobId = "1".parse().unwrap();
    let (waits, follows) = (site.cli(&["wait", "1"]), site.cli(&["logs", "-f", "1"]));
    for round in 0..3 {
        writeln!(tell, "before-{round}").unwrap();
        let line;
        (line, said) = next(said).await;
        assert_eq!(line, format!("before-{round}"));
        let reply = site.restart().await;
        assert_eq!((reply.kept, reply.queued_again), (1, 0));
        writeln!(tell, "after-{round}").unwrap();
        let line;
        (line, said) = next(said).await;
        assert_eq!(line, format!("after-{round}"), "nothing is lost or said twice");
    }
    writeln!(tell, "end").unwrap();
    let (line, said) = next(said).await;
    assert_eq!(line, "end");
    run.stdout = Some(said_out(said));
    assert_eq!(ended(run).await.0, Some(7));
    assert_eq!(ended(waits).await.0, Some(7));
    let (code, out, _) = ended(follows).await;
    let expected = "before-0\nafter-0\nbefore-1\nafter-1\nbefore-2\nafter-2\nend\n";
    assert_eq!((code, out.as_str()), (Some(0), expected));
    let job = site.show(id).await;
    assert_eq!((job.state, job.exit_code, job.attempt_count), (State::Failed, Some(7), 1));
    let attempt = &job.details.as_ref().unwrap().attempts[0];
    assert!(attempt.cpu_seconds.unwrap() > 0.0, "{attempt:?}");
    assert!(attempt.wall_seconds.unwrap() > 0.0, "{attempt:?}");
}

/// Nothing is left to be read of it.
fn said_out(mut lines: Lines<BufReader<ChildStdout>>) -> ChildStdout {
    assert!(lines.next().is_none(), "the job has said everything");
    // A process whose output was read to its end is waited for as one without any.
    Command::new("true").stdout(Stdio::piped()).spawn().unwrap().stdout.take().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_leaves_no_descriptor_behind() {
    let site = Site::start();
    let id = site.submit(command(&["sleep", "1000"])).await;
    site.running(id).await;
    site.restart().await;
    let open = descriptors(site.pid());
    for _ in 0..3 {
        site.restart().await;
    }
    // The connections of the test itself are closed a moment later.
    within(async {
        while descriptors(site.pid()) > open {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Each on one connection, as fast as they are answered, so that some calls meet every moment of a restart.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_lost_or_done_twice_by_a_restart() {
    let site = Site::start();
    let mut submitters = tokio::task::JoinSet::new();
    let over = Arc::new(AtomicBool::new(false));
    for _ in 0..4 {
        let (mut client, over) = (site.client().await, Arc::clone(&over));
        submitters.spawn(async move {
            let job = JobSpec { hold: true, ..command(&["true"]) };
            let submit = Submit { jobs: vec![job], ..Submit::default() };
            let mut ids = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let reply = within(client.call::<call::Submit>(&submit)).await.unwrap();
                ids.push(reply.first.unwrap());
            }
            ids
        });
    }
    for _ in 0..3 {
        site.restart().await;
    }
    over.store(true, Ordering::Relaxed);
    let mut ids: Vec<JobId> = submitters.join_all().await.concat();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "no id is given twice");
    let held = site.status().await.jobs.iter().map(|entry| entry.count).sum::<u64>();
    assert_eq!(held, all as u64, "each call was done once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_another_lends_its_permits_again() {
    let site = Site::start();
    pipe(&site.path("pipe"));
    let run = format!("{} run --quiet --shell 'read line < pipe'", env!("CARGO_BIN_EXE_twolane"));
    let outer = site.submit(JobSpec { class: Some("cpu".to_owned()), ..shell(&run) }).await;
    let tell = open(site.path("pipe")).await;
    let lent = async || {
        while site.status().await.cpu_used != 1 {
            tokio::task::yield_now().await;
        }
    };
    within(lent()).await;
    assert_eq!(site.restart().await.kept, 2);
    within(lent()).await;
    drop(tell);
    // The inner one found nothing to read, and the outer one says so.
    assert_eq!(site.wait(outer).await.exit_code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_several_hears_of_each_once() {
    let site = Site::start();
    pipe(&site.path("pipe"));
    let last = site.submit(shell("read line < pipe; exit 3")).await;
    let first = site.submit(command(&["false"])).await;
    let tell = open(site.path("pipe")).await;
    let held = site.submit(JobSpec { hold: true, ..command(&["true"]) }).await;
    let mut waits = site.cli(&["--json", "wait", "1-3"]);
    let told = BufReader::new(waits.stdout.take().unwrap()).lines();
    let (line, told) = next(told).await;
    assert!(line.contains(&format!("\"id\":{first}")), "{line}");
    site.restart().await;
    drop(tell);
    let (line, mut told) = next(told).await;
    assert!(line.contains(&format!("\"id\":{last}")), "{line}");
    let cancel = Cancel { jobs: range(held, 1), reason: None };
    within(site.client().await.call::<call::Cancel>(&cancel)).await.unwrap();
    assert!(told.next().unwrap().unwrap().contains("cancelled"));
    assert!(told.next().is_none());
    assert!(
        !within(tokio::task::spawn_blocking(move || waits.wait()))
            .await
            .unwrap()
            .unwrap()
            .success()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_goes_on_watching() {
    let site = Site::start();
    let mut events = site.cli(&["events", "--json"]);
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let (sent, told) = std::sync::mpsc::channel();
        let reading = tokio::task::spawn_blocking(move || {
            let line = lines.next();
            // The receiver is there until the line has come.
            let _ = sent.send(());
            (line, lines)
        });
        within(async {
            while told.try_recv().is_err() {
                site.submit(command(&["true"])).await;
            }
        })
        .await;
        let line;
        (line, lines) = within(reading).await.unwrap();
        assert!(line.unwrap().unwrap().contains("event"));
        site.restart().await;
    }
    events.kill().unwrap();
    assert!(ended(events).await.2.contains("was restarted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_cancelled_after_a_restart_ends_with_its_whole_tree() {
    let site = Site::start();
    pipe(&site.path("pipe"));
    let script = "sh -c 'echo $$ > child; exec sleep 1000' & setsid sh -c 'echo $$ > stray; exec sleep 1000' & \
        until [ -s child ] && [ -s stray ]; do :; done; read go < pipe; wait";
    let id = site.submit(shell(script)).await;
    drop(open(site.path("pipe")).await);
    site.restart().await;
    let cancel = Cancel { jobs: range(id, 1), reason: None };
    within(site.client().await.call::<call::Cancel>(&cancel)).await.unwrap();
    assert_eq!(site.wait(id).await.state, State::Cancelled);
    for name in ["child", "stray"] {
        let pid = std::fs::read_to_string(site.path(name)).unwrap();
        within(async {
            while lives(&pid) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_goes_on_counting_through_a_restart() {
    let site = Site::start();
    let job = JobSpec { timeout: Some("2s".to_owned()), ..command(&["sleep", "1000"]) };
    let id = site.submit(job).await;
    site.running(id).await;
    site.restart().await;
    assert_eq!(site.wait(id).await.outcome.as_deref(), Some("timed_out"));
    let job = site.show(id).await;
    let wall = job.details.as_ref().unwrap().attempts[0].wall_seconds.unwrap();
    assert!((2.0..30.0).contains(&wall), "{wall}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grace_goes_on_through_a_restart_and_term_is_sent_once() {
    let site = Site::start();
    let script = "trap 'echo term >> said' TERM; echo ready > ready; while :; do sleep 0.01; done";
    let id = site.submit(JobSpec { grace: Some("3s".to_owned()), ..shell(script) }).await;
    within(async {
        while !site.path("ready").exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let cancel = Cancel { jobs: range(id, 1), reason: None };
    within(site.client().await.call::<call::Cancel>(&cancel)).await.unwrap();
    within(async {
        while !site.path("said").exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    site.restart().await;
    assert_eq!(site.wait(id).await.state, State::Cancelled);
    assert_eq!(std::fs::read_to_string(site.path("said")).unwrap(), "term\n");
}

/// It ends when the next program runs already and has not looked for it yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_ends_in_the_middle_of_a_restart_is_told_with_its_code() {
    let site = Site::start();
    let script = format!(
        "until tr '\\0' ' ' < /proc/{}/cmdline | grep -q handover-fd; do :; done; exit 5",
        site.pid()
    );
    let id = site.submit(shell(&script)).await;
    site.running(id).await;
    assert_eq!(site.restart().await.kept, 1);
    assert_eq!(site.wait(id).await.exit_code, 5);
    assert_eq!(site.show(id).await.attempt_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_inside_the_daemon_is_queued_again_and_loses_no_try() {
    let site = Site::start();
    let id = site.submit(kind("sleep", &[("for", "1h")])).await;
    let once = JobSpec { at_most_once: true, ..kind("sleep", &[("for", "1h")]) };
    let once = site.submit(once).await;
    site.running(once).await;
    let reply = site.restart().await;
    assert_eq!((reply.kept, reply.queued_again), (0, 1));
    assert_eq!(site.wait(once).await.outcome.as_deref(), Some("interrupted"));
    let job = site.until(id, |job| job.state == State::Running && job.attempt_count == 2).await;
    let attempts = job.details.unwrap().attempts;
    assert_eq!(attempts[0].outcome.as_deref(), Some("interrupted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_inside_the_daemon_has_its_time_to_end() {
    let site = Site::start();
    let id = site.submit(kind("sleep", &[("for", "300ms")])).await;
    site.running(id).await;
    let reply = site.ask_to_restart(false).await.unwrap();
    assert_eq!((reply.kept, reply.queued_again), (0, 0));
    let job = site.show(id).await;
    assert_eq!((job.state, job.attempt_count), (State::Succeeded, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_over_keeps_its_permits() {
    let site = Site::start();
    pipe(&site.path("pipe"));
    let cpu = |job: JobSpec| JobSpec { class: Some("cpu".to_owned()), ..job };
    let first = site.submit(cpu(shell("read line < pipe"))).await;
    let second = site.submit(cpu(command(&["sleep", "1000"]))).await;
    let third = site.submit(cpu(command(&["sleep", "1000"]))).await;
    site.running(second).await;
    let tell = open(site.path("pipe")).await;
    assert_eq!(site.restart().await.kept, 2);
    let status = site.status().await;
    assert_eq!((status.cpu_used, status.cpu), (2, 2));
    assert_eq!(site.show(third).await.state, State::Queued);
    drop(tell);
    site.wait(first).await;
    site.running(third).await;
    assert_eq!(site.status().await.cpu_used, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_says_no_is_not_started_and_nothing_has_changed() {
    let site = Site::with_own_program();
    let id = site.submit(command(&["sleep", "1000"])).await;
    site.running(id).await;
    let before = site.status().await;
    std::fs::remove_file(&site.program).unwrap();
    let told = refusal(site.ask_to_restart(true).await);
    assert!(told.contains(site.program.to_str().unwrap()), "{told}");
    std::fs::write(&site.program, "#!/bin/sh\necho 'too old for this' >&2\nexit 3\n").unwrap();
    assert!(refusal(site.ask_to_restart(true).await).contains("may execute"));
    let executable = Command::new("chmod").arg("755").arg(&site.program).status().unwrap();
    assert!(executable.success());
    assert!(refusal(site.ask_to_restart(true).await).contains("too old for this"));
    let after = site.status().await;
    assert_eq!((before.started_at, after.health.as_str()), (after.started_at, "running"));
    let (code, _, told) = ended(site.cli(&["restart"])).await;
    assert_eq!(code, Some(121));
    assert!(told.contains("too old for this"), "{told}");
    install(&site.program);
    assert_eq!(site.restart().await.kept, 1);
    assert_eq!(site.show(id).await.attempt_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_changes_after_its_word_is_not_started() {
    let site = Site::with_own_program();
    put_script(&site.program, "echo '#!/nowhere' > $0");
    assert!(refusal(site.ask_to_restart(true).await).contains("replaced a moment ago"));
    assert_eq!(site.status().await.health, "running");
}

/// It says yes, and the system refuses to execute it: somebody has it open for writing by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_can_not_be_started_after_all_leaves_everything_as_it_was() {
    let mut site = Site::with_own_program();
    pipe(&site.path("pipe"));
    let id = site.submit(shell("read line < pipe; exit 4")).await;
    let tell = open(site.path("pipe")).await;
    let inside = site.submit(kind("sleep", &[("for", "1h")])).await;
    site.running(inside).await;
    let follows = site.cli(&["wait", &id.to_string()]);
    put_script(
        &site.program,
        "setsid sh -c 'echo $$ > writer; exec sleep 1000' >> $0 & \
        until [ -s writer ]; do :; done",
    );
    let before = site.status().await;
    let (code, _, told) = ended(site.cli(&["restart", "--now"])).await;
    assert_eq!(code, Some(121), "{told}");
    assert!(told.contains("goes on as before"), "{told}");
    let writer = std::fs::read_to_string(site.path("writer"));
    kill_process(Pid::from_raw(writer.unwrap().trim().parse().unwrap()).unwrap(), Signal::KILL)
        .unwrap();
    let after = site.status().await;
    assert_eq!((after.started_at, after.health.as_str()), (before.started_at, "running"));
    // What was queued again runs again, what went on is noticed when it ends, and who waits for it hears of it.
    site.until(inside, |job| job.state == State::Running && job.attempt_count == 2).await;
    drop(tell);
    assert_eq!(site.wait(id).await.exit_code, 4);
    assert_eq!(ended(follows).await.0, Some(4));
    let other = site.submit(command(&["true"])).await;
    assert_eq!(site.wait(other).await.exit_code, 0);
    install(&site.program);
    site.restart().await;
    site.daemon.signal(Signal::INT);
    assert!(site.daemon.child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn hup_replaces_the_program_only_if_another_one_is_installed() {
    let site = Site::with_own_program();
    let id = site.submit(command(&["sleep", "1000"])).await;
    site.running(id).await;
    let before = site.status().await;
    install(&site.program);
    site.daemon.signal(Signal::HUP);
    within(async {
        while site.status().await.started_at == before.started_at {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(site.status().await.pid, site.pid());
    assert_eq!(site.show(id).await.attempt_count, 1);
    let after = site.status().await;
    site.daemon.signal(Signal::HUP);
    // A restart by hand is no second one behind that of the signal.
    site.restart().await;
    assert_ne!(site.status().await.started_at, after.started_at);
    let exe = std::fs::read_link(format!("/proc/{}/exe", site.pid())).unwrap();
    assert_eq!(exe, site.program, "it is the new file that runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_after_a_restart_is_one_that_was_killed() {
    let mut site = Site::start();
    pipe(&site.path("pipe"));
    let id = site.submit(shell("echo $$ >> pids; read line < pipe; exec sleep 1000")).await;
    drop(open(site.path("pipe")).await);
    site.restart().await;
    site.daemon.signal(Signal::KILL);
    site.daemon.child.wait().unwrap();
    site.daemon = Daemon::of(&mut line(&site.program, site.folder.path()));
    site.until(id, |job| job.attempt_count == 2).await;
    let pids = std::fs::read_to_string(site.path("pids")).unwrap();
    assert!(!lives(pids.lines().next().unwrap()), "it was ended before its job ran again");
}

/// The job holds a lock as long as anybody of it lives, and says so if somebody else has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_of_a_restart_is_a_crash_like_any_other() {
    let mut site = Site::start();
    let script = "exec 9>lock; flock -n 9 || echo twice > twice; exec sleep 1000";
    let id = site.submit(shell(script)).await;
    for round in 0..8_u32 {
        site.until(id, |job| job.state == State::Running && job.attempt_count == round + 1).await;
        let mut client = site.client().await;
        let asking = tokio::spawn(async move {
            client.call::<call::Restart>(&Restart { now: true }).await.is_ok()
        });
        let (begun, moment) = (Instant::now(), Duration::from_millis(7) * round);
        while begun.elapsed() < moment {
            tokio::task::yield_now().await;
        }
        site.daemon.signal(Signal::KILL);
        site.daemon.child.wait().unwrap();
        // It may have been killed before it answered.
        let _ = within(asking).await.unwrap();
        site.daemon = Daemon::of(&mut line(&site.program, site.folder.path()));
    }
    site.until(id, |job| job.state == State::Running && job.attempt_count == 9).await;
    assert!(!site.path("twice").exists(), "it ran twice at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn term_ends_a_daemon_that_was_restarted_in_order() {
    let mut site = Site::start();
    site.restart().await;
    let (code, out, told) = ended(site.cli(&["restart", "--json"])).await;
    assert_eq!(code, Some(0), "{told}");
    let reply: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(reply["pid"], site.pid());
    assert_eq!((&reply["kept"], &reply["queued_again"]), (&0.into(), &0.into()));
    site.daemon.signal(Signal::TERM);
    assert!(site.daemon.child.wait().unwrap().success());
    assert!(!site.socket().exists());
}
