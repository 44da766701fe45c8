//! The daemon of these tests: the real one, in a process of its own, that kills itself at a point.
//!
//! Nothing in the daemon knows of it. The points are the seams that an embedder has: a layer over the store, and
//! kinds of work of its own.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};
use twolane::daemon::{Args, Builder};
use twolane::handlers::{AsyncHandler, BlockingHandler, Kind, KindInfo, Report, Run};
use twolane::job::{AttemptToken, Change, Class};
use twolane::store::{Pending, Reader, Refusal, Store, StoreError, StoredSchedule};

use super::point::Point;

/// How the process learns that it is to be a daemon: `POINT:PASSES`, or nothing to live on.
pub(super) const BREAK_AT: &str = "CRASH_TEST_BREAK_AT";
/// And where.
pub(super) const FOLDER: &str = "CRASH_TEST_FOLDER";
/// Files in its folder whose presence makes its store fail: there is no room; a sync fails before anything was written;
/// a sync fails after everything was.
pub(crate) const FULL: &str = "full";
pub(crate) const BROKEN: &str = "broken";
pub(crate) const UNSURE: &str = "unsure";
/// Files in its folder: what lingers may end; what is poisonous kills, unless it was made harmless.
pub(crate) const FREE: &str = "free";
pub(crate) const KILL: &str = "kill";
pub(crate) const HARMLESS: &str = "harmless";
/// What it says when it answers.
pub(super) const READY: &str = "the daemon answers";

/// How long the work of a start is waited for, which may never come: some starts wait for their record.
const RUNS_SOON: Duration = Duration::from_millis(100);

/// Does nothing unless it runs in a process of its own, which the tests of this folder start.
#[test]
fn lives_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let breakpoint = Arc::new(Breakpoint::read(&folder));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let args = Args { state_dir: Some(folder.join("state")), ..Args::default() };
        let (layer, folder) = (Arc::clone(&breakpoint), folder.clone());
        let builder = Builder::new(args)
            .setting("lanes.cpu", "2")
            .setting("daemon.drain_timeout", "0s")
            .owns_process()
            .kind(Kind::asynchronous(about("mark", Class::Io), Marker(Arc::clone(&breakpoint))))
            .kind(Kind::blocking(about("burn", Class::Cpu), Marker(Arc::clone(&breakpoint))))
            .kind(Kind::asynchronous(about("linger", Class::Io), Linger(folder.join(FREE))))
            .kind(Kind::blocking(about("poison", Class::Cpu), Poison(Arc::clone(&breakpoint))))
            .store_layer(move |inner| {
                layer.reached(Point::LifeBegun);
                Box::new(Layer { inner, breakpoint: layer, folder, judged: AtomicBool::new(false) })
            });
        let running = builder.start().await.unwrap();
        println!("{READY}");
        if let Err(error) = running.ended().await {
            eprintln!("{error}");
            std::process::exit(1);
        }
    });
}

fn about(name: &'static str, class: Class) -> KindInfo {
    KindInfo::new(name, class, "tell that it began and that it is done")
}

/// Where this process is to die.
struct Breakpoint {
    at: Option<Point>,
    /// How often the point is still passed.
    left: AtomicU64,
    marks: PathBuf,
}

impl Breakpoint {
    fn read(folder: &Path) -> Self {
        let order = std::env::var(BREAK_AT).unwrap_or_default();
        let (name, passes) = order.split_once(':').unwrap_or_default();
        Self {
            at: Point::named(name),
            left: AtomicU64::new(passes.parse().unwrap_or(0)),
            marks: folder.join("marks"),
        }
    }

    fn reached(&self, point: Point) {
        if self.at == Some(point) && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // It fails only if the process has no pid.
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }

    fn is_told(&self, what: &str) -> bool {
        self.marks.with_file_name(what).exists()
    }

    fn note(&self, what: &str, run: &Run) {
        let mut marks = OpenOptions::new().append(true).create(true).open(&self.marks).unwrap();
        marks.write_all(format!("{what} {} {}\n", run.job, run.token).as_bytes()).unwrap();
    }

    /// Waits until the attempt has said that it began.
    fn await_work(&self, token: AttemptToken) {
        if self.at != Some(Point::Spawned) {
            return;
        }
        let (token, deadline) = (token.to_string(), Instant::now() + RUNS_SOON);
        while Instant::now() < deadline {
            if std::fs::read_to_string(&self.marks).is_ok_and(|marks| marks.contains(&token)) {
                return self.reached(Point::Spawned);
            }
            std::thread::yield_now();
        }
    }
}

/// A store that dies around its commits, and fails when it is told to.
struct Layer {
    inner: Box<dyn Store>,
    breakpoint: Arc<Breakpoint>,
    folder: PathBuf,
    /// Readers are opened when the last life's jobs were judged.
    judged: AtomicBool,
}

impl Layer {
    fn pass(&self, batch: &[Change], before: bool) {
        for change in batch {
            let (first, then) = match change {
                _ if !self.judged.load(Ordering::SeqCst) => (Point::Judging, Point::Judged),
                Change::Submitted { .. } => (Point::Submitting, Point::Submitted),
                Change::Started { .. } => (Point::Starting, Point::Started),
                Change::Ended { .. } => (Point::Ending, Point::Ended),
                _ => (Point::Changing, Point::Changed),
            };
            self.breakpoint.reached(if before { first } else { then });
            if let (true, Change::Started { token, .. }) = (before, change) {
                self.breakpoint.await_work(*token);
            }
        }
    }
}

impl Layer {
    fn is_told(&self, fault: &str) -> bool {
        self.judged.load(Ordering::SeqCst) && self.folder.join(fault).exists()
    }

    fn broken(&self) -> StoreError {
        StoreError::Broken { path: self.folder.clone(), reason: "a sync failed".to_owned() }
    }
}

impl Store for Layer {
    fn commit(&mut self, batch: &[Change]) -> Result<Vec<Result<(), Refusal>>, StoreError> {
        self.pass(batch, true);
        if self.is_told(FULL) {
            return Err(StoreError::Full(self.folder.join("state/twolane.db")));
        }
        if self.is_told(BROKEN) {
            return Err(self.broken());
        }
        let answers = self.inner.commit(batch);
        if self.is_told(UNSURE) {
            return Err(self.broken());
        }
        self.pass(batch, false);
        answers
    }

    fn pending(&mut self, visit: &mut dyn FnMut(Pending)) -> Result<(), StoreError> {
        self.breakpoint.reached(Point::LeftoversEnded);
        self.inner.pending(visit)
    }

    fn schedules(&mut self) -> Result<Vec<StoredSchedule>, StoreError> {
        self.inner.schedules()
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.judged.store(true, Ordering::SeqCst);
        self.inner.reader()
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.breakpoint.reached(Point::Closing);
        let closed = self.inner.close();
        self.breakpoint.reached(Point::Closed);
        closed
    }
}

/// Work inside the daemon that leaves marks.
struct Marker(Arc<Breakpoint>);

impl Marker {
    fn begin(&self, run: &Run) {
        self.0.note("b", run);
        self.0.reached(Point::WorkBegun);
    }

    fn end(&self, run: &Run) -> Report {
        self.0.note("e", run);
        self.0.reached(Point::WorkDone);
        Report::succeeded()
    }
}

impl AsyncHandler for Marker {
    fn run(self: Arc<Self>, run: Run) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        Box::pin(async move {
            self.begin(&run);
            tokio::task::yield_now().await;
            self.end(&run)
        })
    }
}

impl BlockingHandler for Marker {
    fn run(&self, run: Run) -> Report {
        self.begin(&run);
        self.end(&run)
    }
}

/// Work inside the daemon that ends when it is free to.
struct Linger(PathBuf);

/// How soon it looks again whether it is.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl AsyncHandler for Linger {
    fn run(self: Arc<Self>, _: Run) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        Box::pin(async move {
            while !self.0.exists() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Report::succeeded()
        })
    }
}

/// Work inside the daemon that brings it down.
struct Poison(Arc<Breakpoint>);

impl BlockingHandler for Poison {
    fn run(&self, run: Run) -> Report {
        self.0.note("p", &run);
        while !self.0.is_told(HARMLESS) {
            if self.0.is_told(KILL) {
                std::process::abort();
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Report::succeeded()
    }
}
