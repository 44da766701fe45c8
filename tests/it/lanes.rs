//! Two lanes under one queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use twolane::daemon::Builder;
use twolane::handlers::{BlockingHandler, Kind, KindInfo, Param, ParamKind, Report, Run};
use twolane::job::{Class, Lane, State};
use twolane::protocol::{Empty, SetLanes, call};

use crate::fixture::{Fixture, command, kind, within};

#[tokio::test(flavor = "multi_thread")]
async fn waiting_jobs_need_no_thread() {
    let daemon = Fixture::start().await;
    let before = daemon.client().await.call::<call::Lanes>(&Empty {}).await.unwrap().threads;
    let first = daemon.submit(vec![kind("sleep", &[("for", "600s")]); 1_000]).await;
    daemon.running(first.after(999)).await;
    let lanes = daemon.client().await.call::<call::Lanes>(&Empty {}).await.unwrap();
    assert_eq!((lanes.io_running, lanes.cpu_used, lanes.pool_queued), (1_000, 0, 0));
    assert_eq!(lanes.threads, before);
    assert_eq!(daemon.show(first).await.lane, Some(Lane::Async));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_class_cpu_holds_core_permits_and_parks_no_thread() {
    let daemon = Fixture::start().await;
    let mut job = command(&["sleep", "600"]);
    (job.class, job.cpus) = (Some("cpu".to_owned()), Some(2));
    let first = daemon.submit(vec![job, command(&["true"])]).await;
    daemon.running(first).await;
    let lanes = daemon.client().await.call::<call::Lanes>(&Empty {}).await.unwrap();
    assert_eq!((lanes.cpu, lanes.cpu_used), (2, 2));
    assert_eq!(daemon.show(first.after(1)).await.state, State::Queued);
    // The other lane is not kept waiting.
    let id = daemon.submit_one(kind("sleep", &[("for", "0s")])).await;
    assert_eq!(daemon.wait(id).await.exit_code, 0);
}

/// Counts how many run at once and waits until the test lets them go.
struct Gate {
    inside: AtomicUsize,
    arrived: mpsc::SyncSender<usize>,
}

impl BlockingHandler for Gate {
    fn run(&self, run: Run) -> Report {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.arrived.send(inside).expect("the test listens");
        twolane::pool::blocking(|| {
            while !run.cancel.is_cancelled() {
                std::thread::yield_now();
            }
        });
        Report::cancelled()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedder_s_kind_runs_on_the_pool_and_sizes_change_live() {
    let (arrived, arrivals) = mpsc::sync_channel(16);
    let gate = Gate { inside: AtomicUsize::new(0), arrived };
    let info = KindInfo::new("gate", Class::Blocking, "Waits for a test.");
    let gate = Kind::blocking(info, gate);
    let folder = tempfile::TempDir::new().unwrap();
    let settings = [("lanes.blocking", "1")];
    let daemon = Fixture::in_folder(folder, &settings, |builder| builder.kind(gate)).await;
    let first = daemon.submit(vec![kind("gate", &[]); 3]).await;
    daemon.running(first).await;
    let arrivals = Arc::new(std::sync::Mutex::new(arrivals));
    let arrive = |arrivals: &Arc<std::sync::Mutex<mpsc::Receiver<usize>>>| {
        let arrivals = Arc::clone(arrivals);
        within(tokio::task::spawn_blocking(move || arrivals.lock().unwrap().recv().unwrap()))
    };
    assert_eq!(arrive(&arrivals).await.unwrap(), 1);
    assert_eq!(daemon.show(first.after(1)).await.state, State::Queued);
    let grow = SetLanes { blocking: Some(3), ..SetLanes::default() };
    let lanes = daemon.client().await.call::<call::SetLanes>(&grow).await.unwrap();
    assert_eq!(lanes.blocking, 3);
    assert_eq!(arrive(&arrivals).await.unwrap(), 2);
    assert_eq!(arrive(&arrivals).await.unwrap(), 3);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shrunk_pool_lets_the_surplus_finish_and_starts_no_more() {
    let daemon = Fixture::start().await;
    let mut job = command(&["sh", "-c", "until test -e go; do sleep 0.01; done"]);
    job.class = Some("cpu".to_owned());
    let first = daemon.submit(vec![job; 4]).await;
    daemon.running(first.after(1)).await;
    let shrink = SetLanes { cpu: Some(1), ..SetLanes::default() };
    let lanes = daemon.client().await.call::<call::SetLanes>(&shrink).await.unwrap();
    assert_eq!((lanes.cpu, lanes.cpu_used), (1, 2));
    std::fs::write(daemon.folder().join("go"), "").unwrap();
    let finished = daemon.wait_all(first, 4).await;
    assert!(finished.iter().all(|finished| finished.exit_code == 0));
}

/// Lends its core permit until it is cancelled, or until the test lets it go.
struct Lender;

impl BlockingHandler for Lender {
    fn run(&self, run: Run) -> Report {
        let Some(gate) = run.params.get("gate").and_then(|gate| gate.as_str()) else {
            return Report::error("no gate was given");
        };
        // Opening a FIFO waits for the other side.
        let opened = twolane::pool::blocking(|| std::fs::read(run.context.cwd.join(gate)));
        opened.map_or_else(Report::error, |_| Report::succeeded())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_permit_that_is_lent_lets_another_job_start() {
    let gate = Param::required("gate", ParamKind::Text, "The FIFO to wait for.");
    let info = KindInfo { params: vec![gate], ..KindInfo::new("lender", Class::Cpu, "Lends.") };
    let folder = tempfile::TempDir::new().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let embed = |builder: Builder| builder.kind(Kind::blocking(info, Lender));
    let daemon = Fixture::in_folder(folder, &[("lanes.cpu", "1")], embed).await;
    let lender = daemon.submit_one(kind("lender", &[("gate", "fifo")])).await;
    let other = daemon.submit_one(command(&["true"])).await;
    assert_eq!(daemon.wait(other).await.exit_code, 0);
    assert_eq!(daemon.show(lender).await.state, State::Running);
    tokio::task::spawn_blocking(move || std::fs::write(fifo, "go")).await.unwrap().unwrap();
    assert_eq!(daemon.wait(lender).await.exit_code, 0);
}
