//! The threads that start children, and the queue before them.
//!
//! Starting a child suspends its thread until the program runs, about half a millisecond, so it
//! happens here and never on the loop. The threads keep the priority of the thread that called
//! [`Processes::start`]; children inherit it.
//!
//! Invariant: a request holds its place in the queue until a spawner takes it, so the queue never grows
//! beyond [`Options::queue`], and who waits for a place waits without a thread.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Signal, getrlimit};
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};

use super::child::{Child, Listener, Process};
use super::exit::Exit;
use super::image::Image;
use super::launch::{ATTEMPT_VARIABLE, Launch, SpawnError, Stdin};
use super::limits;
use super::queue::{Queue, Reply, Request, Wanted};
use super::reaper::Reaper;
use super::tree::Tree;
use super::vfork::{self, Born, Failure, Setup, Stack, Step};

/// How processes are started and waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Threads that start children. One suffices for a slow trickle; each start blocks its thread
    /// for about half a millisecond, most of it in the kernel.
    pub spawners: usize,
    /// Launches that may wait for a spawner; further callers wait outside.
    pub queue: usize,
    /// Reap orphans that this process inherits, for a daemon that called
    /// [`become_subreaper`](super::become_subreaper). Any ended child outside the daemon's own
    /// process group is then taken for an orphan unless these `Processes` started it, so at most
    /// one per process may have this on.
    pub adopt_orphans: bool,
    /// The soft limit on descriptors that children get; unchanged when absent.
    pub nofile: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            spawners: (num_cpus::get() / 4).max(2),
            queue: 1024,
            adopt_orphans: false,
            nofile: None,
        }
    }
}

/// Why processes cannot be started at all.
#[derive(Debug, Error)]
pub enum StartError {
    /// An option makes no sense.
    #[error("process option `{name}` must be at least 1")]
    Zero {
        /// The option.
        name: &'static str,
    },
    /// The system refused what the threads need.
    #[error("cannot set up the starting of processes ({what}): {source}")]
    System {
        /// What was refused.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A handle to the spawner threads and the reaper. The threads end after the last handle was
/// dropped, the reaper when the last child has been reaped as well.
#[derive(Clone)]
pub struct Processes {
    desk: Arc<Desk>,
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes").field("short_of_room", &self.short_of_room()).finish()
    }
}

/// A launch that waits for room.
#[derive(Debug)]
#[must_use = "it counts as long as it lives"]
pub struct Short<'a>(&'a AtomicUsize);

impl<'a> Short<'a> {
    fn of(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Short<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Closes the queue when the last handle is gone.
struct Desk {
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// How long a patient launch waits when there is no room for another process: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

impl Processes {
    /// Starts the threads. Must be called from a thread of normal priority, whose priority children
    /// inherit.
    pub fn start(options: Options) -> Result<Self, StartError> {
        for (name, value) in [("spawners", options.spawners), ("queue", options.queue)] {
            if value == 0 {
                return Err(StartError::Zero { name });
            }
        }
        limits::keep_exit_statuses();
        let refused = |what| move |source| StartError::System { what, source };
        let reaper = Reaper::new(options.spawners, options.adopt_orphans);
        let reaper = Arc::new(reaper.map_err(refused("descriptors"))?);
        let null = File::open("/dev/null").map_err(refused("/dev/null"))?;
        let null = Arc::new(OwnedFd::from(null));
        let queue = Arc::new(Queue::default());
        // From here on an early return closes the queue, which ends the threads started so far.
        let room = Arc::new(Semaphore::new(options.queue));
        let desk = Arc::new(Desk { queue: Arc::clone(&queue), room });
        let mut spawners = Vec::with_capacity(options.spawners);
        for number in 0..options.spawners {
            let stack = Stack::new().map_err(refused("a stack"))?;
            let nofile = options.nofile.map(child_limit);
            let (queue, reaper, null) = (queue.clone(), reaper.clone(), null.clone());
            reaper.registrar_joined();
            spawners.push(Spawner { number, queue, reaper, null, stack, nofile });
        }
        start_thread("reaper", move || reaper.run())?;
        for spawner in spawners {
            start_thread(&format!("spawner-{}", spawner.number), move || spawner.run())?;
        }
        Ok(Self { desk })
    }

    /// Starts a child and completes when its program runs, or cannot. Giving up the wait before a
    /// spawner took the launch drops it; afterwards it ends the child.
    pub async fn spawn(&self, launch: Launch) -> Result<Child, SpawnError> {
        let (reply, answer) = oneshot::channel();
        self.push(launch, Reply::Start(reply), None).await?;
        answer.await.unwrap_or(Err(SpawnError::Stopped))
    }

    /// The same, and where the system has no process, memory or descriptor left just now it is tried again until it
    /// has, for as long as it is `wanted`. Launches behind it wait as well: they would fare no better.
    pub async fn spawn_patiently(
        &self,
        launch: Launch,
        wanted: impl Fn() -> bool + Send + 'static,
    ) -> Result<Child, SpawnError> {
        let (reply, answer) = oneshot::channel();
        self.push(launch, Reply::Start(reply), Some(Box::new(wanted))).await?;
        answer.await.unwrap_or(Err(SpawnError::Stopped))
    }

    /// Counts one more launch as short of room, until it is dropped: for who makes a launch ready and has no descriptor
    /// for it.
    pub fn short(&self) -> Short<'_> {
        Short::of(&self.desk.queue.short)
    }

    /// How many launches have found no room for another process and are being tried again.
    pub fn short_of_room(&self) -> usize {
        self.desk.queue.short.load(Ordering::Relaxed)
    }

    /// Starts a child and completes when it has ended, or could not be started. The child goes to
    /// `started` meanwhile, for whoever may want to signal it; a receiver that is not being awaited
    /// costs no wake-up, which makes this the cheapest way to run a short program.
    ///
    /// Giving up the wait leaves a child running if somebody took it from `started` or still may.
    pub async fn run(
        &self,
        launch: Launch,
        started: oneshot::Sender<Child>,
    ) -> Result<Exit, SpawnError> {
        let (end, answer) = oneshot::channel();
        self.push(launch, Reply::End { child: started, end }, None).await?;
        answer.await.unwrap_or(Err(SpawnError::Stopped))
    }

    async fn push(
        &self,
        launch: Launch,
        reply: Reply,
        wanted: Option<Wanted>,
    ) -> Result<(), SpawnError> {
        let room = Arc::clone(&self.desk.room);
        let place = room.acquire_owned().await.map_err(|_| SpawnError::Stopped)?;
        self.desk.queue.push(Request { launch, reply, wanted, place });
        Ok(())
    }
}

fn start_thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    let thread = thread::Builder::new().name(name.to_owned());
    match thread.spawn(body) {
        Ok(_) => Ok(()),
        Err(source) => Err(StartError::System { what: "a thread", source }),
    }
}

/// The daemon's hard limit stays; only the soft one is put back.
fn child_limit(soft: u64) -> libc::rlimit {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(libc::RLIM_INFINITY);
    libc::rlimit { rlim_cur: soft.min(hard), rlim_max: hard }
}

/// One thread that starts children.
struct Spawner {
    number: usize,
    queue: Arc<Queue>,
    reaper: Arc<Reaper>,
    null: Arc<OwnedFd>,
    stack: Stack,
    nofile: Option<libc::rlimit>,
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.reaper.registrar_left();
    }
}

impl Spawner {
    fn run(self) {
        vfork::block_signals();
        while let Some(Request { launch, reply, wanted, place }) = self.queue.pop() {
            drop(place);
            if !reply.is_closed() {
                self.serve(launch, reply, wanted.as_ref());
            }
        }
    }

    /// Spawns, again and again while there is no room for another process and somebody waits for it.
    fn spawn_when_there_is_room(
        &self,
        launch: &Launch,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Child, SpawnError> {
        let mut pause = FIRST_PAUSE;
        let mut short = None;
        loop {
            match self.spawn(launch, None) {
                Err((error, _))
                    if error.is_retryable() && is_wanted() && !self.queue.is_closed() =>
                {
                    short.get_or_insert_with(|| Short::of(&self.queue.short));
                    thread::sleep(pause);
                    pause = (pause * 2).min(LAST_PAUSE);
                    self.turn_away_unwanted();
                }
                other => return other.map_err(|(error, _)| error),
            }
        }
    }

    /// Those behind this one wait for room as well: who is not wanted any more is told so.
    fn turn_away_unwanted(&self) {
        for Request { launch, reply, .. } in self.queue.take_unwanted() {
            drop(launch);
            if let Reply::Start(reply) = reply {
                let source = io::Error::from_raw_os_error(libc::EAGAIN);
                let step = "waiting behind others";
                // Whoever wanted it may have gone.
                let _ = reply.send(Err(SpawnError::Exhausted { step, source }));
            }
        }
    }

    /// Who is told of the outcome finds the launch's descriptors closed on this side.
    fn serve(&self, launch: Launch, reply: Reply, wanted: Option<&Wanted>) {
        let unwanted = match reply {
            Reply::Start(reply) => {
                let wanted = || !reply.is_closed() && wanted.is_some_and(|wanted| wanted());
                let started = self.spawn_when_there_is_room(&launch, wanted);
                drop(launch);
                reply.send(started).err().and_then(Result::ok)
            }
            Reply::End { child, end } => match self.spawn(&launch, Some(end)) {
                Ok(started) => child.send(started).err().filter(Child::is_unheard),
                Err((error, end)) => {
                    drop(launch);
                    // A listener that has gone wanted to hear of nothing.
                    let _ = end.map(|end| end.send(Err(error)));
                    None
                }
            },
        };
        if let Some(child) = unwanted {
            // Nobody will ever wait for it; this fails only if it has ended already.
            let _ = child.end_tree(Signal::KILL);
        }
    }

    /// Starts the child. Its listener comes back with the error, to be told of it.
    fn spawn(
        &self,
        launch: &Launch,
        listener: Option<Listener>,
    ) -> Result<Child, (SpawnError, Option<Listener>)> {
        let birth = self.reaper.birth(self.number);
        let started = Instant::now();
        let child = match self.clone(launch) {
            Ok(born) => self.register(born, started, attempt(launch), listener),
            Err(error) => Err((error, listener)),
        };
        birth.store(0, Ordering::Release);
        child
    }

    fn clone(&self, launch: &Launch) -> Result<Born, SpawnError> {
        let image = Image::of(launch)?;
        let input = match &launch.stdin {
            Stdin::Null => self.null.as_fd(),
            Stdin::Fd(descriptor) => descriptor.as_fd(),
        };
        let stdio = Stdio::of([input, launch.stdout.as_fd(), launch.stderr.as_fd()])?;
        let setup = Setup { stdio: stdio.raw, umask: launch.umask, nofile: self.nofile };
        let birth = self.reaper.birth(self.number);
        let born = vfork::spawn(&image, setup, &self.stack, birth);
        born.map_err(|failure| explain(failure, launch))
    }

    fn register(
        &self,
        born: Born,
        started: Instant,
        attempt: Option<OsString>,
        listener: Option<Listener>,
    ) -> Result<Child, (SpawnError, Option<Listener>)> {
        let tree = Tree::new(born.pid, born.pidfd);
        let process = Process::new(tree, started, attempt, listener, Arc::downgrade(&self.reaper));
        let process = Arc::new(process);
        if let Err(source) = self.reaper.register(&process) {
            // Unwatched it must not live on: its end would never be noticed.
            let _ = process.tree.signal(Signal::KILL);
            vfork::bury(born.pid);
            let error = SpawnError::Exhausted { step: "watching it", source };
            return Err((error, process.take_listener()));
        }
        Ok(Child::new(process))
    }
}

fn attempt(launch: &Launch) -> Option<OsString> {
    let mut variables = launch.env.iter();
    variables.find(|(name, _)| name == ATTEMPT_VARIABLE).map(|(_, value)| value.clone())
}

/// Three descriptors above 2: one of the daemon's own standard descriptors may be closed, and a
/// source that lies among the targets would be overwritten before its turn.
struct Stdio {
    raw: [RawFd; 3],
    _moved: Vec<OwnedFd>,
}

impl Stdio {
    fn of(sources: [BorrowedFd<'_>; 3]) -> Result<Self, SpawnError> {
        let mut raw = sources.map(|source| source.as_raw_fd());
        let mut moved = Vec::new();
        for (place, source) in raw.iter_mut().zip(sources) {
            if *place <= 2 {
                let copy = rustix::io::fcntl_dupfd_cloexec(source, 3);
                let copy = copy.map_err(|errno| refused("its descriptors", errno.into()))?;
                *place = copy.as_raw_fd();
                moved.push(copy);
            }
        }
        Ok(Self { raw, _moved: moved })
    }
}

/// What a failed step means for the job.
fn explain(Failure { step, source }: Failure, launch: &Launch) -> SpawnError {
    let program = launch.program.clone();
    match step {
        Step::Clone => refused("making it", source),
        Step::Group => refused("its process group", source),
        Step::Stdio => refused("its descriptors", source),
        Step::Limit => refused("its limits", source),
        Step::WorkingDirectory => {
            SpawnError::WorkingDirectory { cwd: launch.cwd.clone().unwrap_or_default(), source }
        }
        Step::Execute => match source.raw_os_error() {
            Some(libc::ENOENT) if program.is_absolute() && program.exists() => {
                SpawnError::NoInterpreter { program }
            }
            Some(libc::ENOENT | libc::ENOTDIR) => SpawnError::NotFound { program },
            Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => {
                SpawnError::Exhausted { step: "executing its program", source }
            }
            _ => SpawnError::NotExecutable { program, source },
        },
    }
}

fn refused(step: &'static str, source: io::Error) -> SpawnError {
    match source.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => {
            SpawnError::Exhausted { step, source }
        }
        _ => SpawnError::System { step, source },
    }
}
