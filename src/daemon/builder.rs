//! Putting a daemon together and starting it, in the one order in which nothing can be lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args::Args;
use super::captured::Captured;
use super::control::{Control, LoopState};
use super::event::{Ask, Event};
use super::happening::BACKLOG;
use super::instance::{self, InstanceError, StateLock};
use super::launch::Launcher;
use super::layer::Layers;
use super::places::{NoPlace, Places};
use super::readers::Readers;
use super::requests::Requests;
use super::session::{self, Connections, Hub, SocketPlace};
use super::settings::{About, Live};
use super::uniques::Uniques;
use super::waiters::Waiters;
use super::works::Works;
use super::writer::Writer;
use super::{caps, clock, house, recovery, signals};
use crate::config::{self, ConfigError, Loaded, Mode, Sources};
use crate::handlers::{AddError, Kind, Registry, Trades};
use crate::lanes::Lanes;
use crate::pool::{self, BuildError, Pool};
use crate::process::{self, Processes};
use crate::scheduler::{Action, Agenda, AgingError, Input, Scheduler};
use crate::store::journal::{Journal, JournalError};
use crate::store::sqlite::{self, SqliteStore};
use crate::store::{Recovery, Store, StoreError};

/// Events that wait for the control loop; sessions wait when it is full.
const EVENTS: usize = 4_096;
/// Reports that wait for the control loop; attempts wait when it is full.
const REPORTS: usize = 4_096;
/// After an unclean stop, start records are awaited for so long: whatever made the daemon crash may do it again,
/// and then no start may be unknown.
const CAREFUL: Duration = Duration::from_secs(60);

/// Why a daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no place for its state.
    #[error(transparent)]
    Place(#[from] NoPlace),
    /// The config is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another daemon is there, or a path can't be used.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The side journal can't be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// `scheduler.aging` is no ageing.
    #[error("scheduler.aging: {0}")]
    Aging(#[from] AgingError),
    /// The pool's threads could not be started.
    #[error("the pool could not be started: {0}")]
    Pool(#[from] BuildError),
    /// The threads that start commands could not be started.
    #[error("commands can't be started: {0}")]
    Processes(#[from] process::StartError),
    /// An embedder's kind can't be added.
    #[error(transparent)]
    Kind(#[from] AddError),
    /// The system refused something else.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
}

/// A daemon that is to be started, with kinds of an embedder's own if there are any.
#[derive(Debug, Default)]
pub struct Builder {
    args: Args,
    kinds: Vec<Kind>,
    settings: Vec<(String, String)>,
    env: Vec<(String, String)>,
    layers: Layers,
    owns_process: bool,
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Running {
    socket: PathBuf,
    events: mpsc::Sender<Event>,
    control: JoinHandle<Result<(), StoreError>>,
    sessions: JoinHandle<()>,
    ending: CancellationToken,
    pool: Pool,
    lock: StateLock,
}

impl Builder {
    /// A daemon with these flags.
    pub fn new(args: Args) -> Self {
        Self { args, ..Self::default() }
    }

    /// Adds a kind of work.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Sets a value as a flag would: `lanes.cpu` to `2`.
    #[must_use]
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The environment to read settings and places from; empty if this is not called.
    #[must_use]
    pub fn env(mut self, env: Vec<(String, String)>) -> Self {
        self.env = env;
        self
    }

    /// Puts a layer of the embedder's own over the store: a mirror, a meter, a fault to rehearse. It keeps what
    /// [`Store`] promises, or the daemon can't.
    #[must_use]
    pub fn store_layer(
        mut self,
        wrap: impl FnOnce(Box<dyn Store>) -> Box<dyn Store> + Send + 'static,
    ) -> Self {
        self.layers.add(wrap);
        self
    }

    /// The process is the daemon's alone: it listens for signals and reaps orphans.
    #[must_use]
    pub fn owns_process(mut self) -> Self {
        self.owns_process = true;
        self
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        let found = self.env.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| PathBuf::from(value))
    }

    fn sources(&self, places: &Places) -> Sources {
        Sources {
            file: self.args.config.clone(),
            env: self.env.clone(),
            flags: self.settings.clone(),
            ..Sources::new(places.mode, places.state_dir.clone())
        }
    }

    /// Reads and checks the config, and nothing else.
    pub fn check_config(&self) -> Result<Loaded, StartError> {
        let places = Places::find(&self.args, |name| self.variable(name))?;
        Ok(config::load(&self.sources(&places))?)
    }

    /// Starts the daemon. Returns when it answers on its socket. Must be called on a tokio runtime.
    pub async fn start(self) -> Result<Running, StartError> {
        let places = Places::find(&self.args, |name| self.variable(name))?;
        let sources = self.sources(&places);
        let loaded = config::load(&sources)?;
        let lock = instance::lock_state(&places.state_dir)?;
        let listener = instance::listen(&places.socket, places.mode == Mode::System)?;
        let socket = places.socket.clone();
        let running = self.over_store(places, sources, loaded, lock, listener).await;
        if running.is_err() {
            // Nobody will answer there. If it can't be removed, the next daemon takes it over.
            let _ = std::fs::remove_file(socket);
        }
        running
    }

    /// Opens what is remembered, and goes on from there.
    async fn over_store(
        mut self,
        places: Places,
        sources: Sources,
        loaded: Loaded,
        lock: StateLock,
        listener: UnixListener,
    ) -> Result<Running, StartError> {
        let descriptors =
            process::raise_nofile().map_err(system("raising the descriptor limit"))?;
        let options = sqlite::Options {
            wal_limit_bytes: loaded.settings.store.wal_limit,
            ..sqlite::Options::default()
        };
        let (store, recovery) = SqliteStore::open(&places.state_dir, &options, clock::now())?;
        let mut store = std::mem::take(&mut self.layers).over(Box::new(store));
        let attempts = attempts_at_once(&loaded);
        let (mut journal, left) = Journal::open(&places.state_dir, attempts, recovery.store)?;
        recovery::replay(&mut *store, &mut journal, &left)?;
        let started = Started { places, sources, loaded, descriptors, lock, listener, journal };
        self.assemble(started, store, recovery).await
    }

    async fn assemble(
        self,
        started: Started,
        mut store: Box<dyn Store>,
        recovery: Recovery,
    ) -> Result<Running, StartError> {
        let Started { places, sources, loaded, descriptors, lock, listener, journal } = started;
        let connections = Arc::<Connections>::default();
        let settings = settings(&places, sources, loaded, &connections);
        let captured = Captured::below(places.state_dir.join("output"));
        let launcher = self.launcher(&settings, descriptors, &captured)?;
        let pool = Pool::new(settings.pool_options())?;
        recovery::sweep(recovery.store).await;
        let entered = enter(&mut *store, &recovery, &launcher, &settings)?;
        let readers = Readers::start(&*store)?;
        let (events, inbox) = mpsc::channel(EVENTS);
        let (reports, reported) = mpsc::channel(REPORTS);
        let (press, printing) = caps::press();
        let queues = recovery::queues(recovery.queues, settings.queues());
        let (folds, folds_seen) = watch::channel(Vec::new());
        let (bounds, bounds_seen) = watch::channel(settings.bounds(&queues));
        let writer = Writer::start(store, journal, events.clone()).map_err(system("a thread"))?;
        let hub = Arc::new(Hub {
            events: events.clone(),
            readers: readers.clone(),
            registry: Arc::clone(&launcher.registry),
            happenings: broadcast::Sender::new(BACKLOG),
            bounds: bounds_seen,
            folds: folds_seen,
            daemon_uid: settings.about.uid,
            captured: captured.clone(),
            connections,
            ending: CancellationToken::new(),
        });
        let careful = if recovery.clean { Duration::ZERO } else { CAREFUL };
        let control = Control {
            events: inbox,
            reports: reported,
            own: events.clone(),
            alarm: clock::Alarm::new().map_err(system("the alarm"))?,
            scheduler: entered.scheduler,
            agenda: entered.agenda,
            folds,
            lanes: Lanes::new(pool.clone(), reports),
            pool: pool.clone(),
            launcher,
            writer,
            readers,
            works: Works::default(),
            waiters: Waiters::default(),
            uniques: entered.uniques,
            requests: Requests::default(),
            happenings: hub.happenings.clone(),
            bounds,
            queues,
            settings,
            next_id: recovery.next_id,
            captured,
            press,
            state: LoopState::beginning_with(entered.actions, recovery.drain, careful),
        };
        self.listen(&pool, &events)?;
        house::keep(&hub, printing);
        let ending = hub.ending.clone();
        let place = SocketPlace { path: places.socket, mode: places.mode };
        Ok(Running {
            socket: place.path.clone(),
            events,
            control: tokio::spawn(control.run()),
            sessions: tokio::spawn(session::serve(listener, place, hub)),
            ending,
            pool,
            lock,
        })
    }

    /// Has the loop told of what happens outside of it.
    fn listen(&self, pool: &Pool, events: &mpsc::Sender<Event>) -> Result<(), StartError> {
        if self.owns_process {
            signals::listen(events.clone()).map_err(system("listening for signals"))?;
        }
        wake_when_lent(pool, events);
        Ok(())
    }

    fn processes(&self, settings: &Live, nofile: u64) -> Result<Processes, StartError> {
        if self.owns_process {
            process::become_subreaper().map_err(system("becoming the reaper of orphans"))?;
        }
        Ok(Processes::start(process::Options {
            adopt_orphans: self.owns_process,
            nofile: Some(nofile),
            ..settings.process_options()
        })?)
    }

    fn launcher(
        &self,
        settings: &Live,
        descriptors: u64,
        captured: &Captured,
    ) -> Result<Launcher, StartError> {
        let processes = self.processes(settings, descriptors)?;
        Ok(Launcher {
            registry: Arc::new(self.registry(settings, processes.clone())?),
            processes,
            captured: captured.clone(),
            grace: settings.settings().command.grace,
        })
    }

    fn registry(&self, settings: &Live, processes: Processes) -> Result<Registry, StartError> {
        let mut registry = Registry::builtin(&Trades {
            processes,
            socket: Some(settings.about.socket.clone()),
            options: settings.handler_options(),
        });
        for kind in self.kinds.iter().cloned() {
            registry.add(kind)?;
        }
        Ok(registry)
    }
}

/// What the first steps of a start made.
struct Started {
    places: Places,
    sources: Sources,
    loaded: Loaded,
    /// The soft limit on descriptors before it was raised; children get it back.
    descriptors: u64,
    lock: StateLock,
    listener: UnixListener,
    journal: Journal,
}

/// The most attempts that the lanes let run at once.
fn attempts_at_once(loaded: &Loaded) -> u64 {
    let lanes = &loaded.settings.lanes;
    [lanes.io, lanes.cores(), lanes.blocking].into_iter().map(u64::from).sum()
}

/// The settings in force at the start.
fn settings(
    places: &Places,
    sources: Sources,
    loaded: Loaded,
    connections: &Arc<Connections>,
) -> Live {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let about = About {
        uid: rustix::process::geteuid().as_raw(),
        mode: places.mode,
        started_at: clock::now().wall,
        socket: places.socket.clone(),
        state_dir: places.state_dir.clone(),
        descriptors: descriptors.current.unwrap_or(u64::MAX),
    };
    Live::new(about, Arc::clone(connections), sources, loaded)
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Wakes the control loop when core permits are lent or taken back; a full channel is awake already.
fn wake_when_lent(pool: &Pool, events: &mpsc::Sender<Event>) {
    let events = events.downgrade();
    let first = pool.on_lent(move || {
        if let Some(events) = events.upgrade() {
            let _ = events.try_send(Event::Lent);
        }
    });
    debug_assert!(first, "nobody else has this pool");
}

/// What the unfinished jobs of the store make of an empty daemon.
struct Entered {
    scheduler: Scheduler,
    agenda: Agenda,
    /// What the scheduler wants done about them.
    actions: Vec<Action>,
    uniques: Uniques,
}

/// A scheduler that knows every unfinished job.
fn enter(
    store: &mut dyn Store,
    recovery: &Recovery,
    launcher: &Launcher,
    settings: &Live,
) -> Result<Entered, StartError> {
    let sizes = settings.sizes().into();
    let options = settings.scheduler_options()?;
    let mut scheduler = Scheduler::new(options, sizes, recovery.store, recovery.life);
    let (mut actions, mut uniques) = (Vec::new(), Uniques::default());
    // Nothing may start before the loop runs that performs it.
    scheduler.step(clock::now(), Input::Starts(false), &mut actions);
    for record in recovery::queues(recovery.queues.clone(), settings.queues()).into_values() {
        scheduler.step(clock::now(), Input::QueueSet(record), &mut actions);
    }
    scheduler.step(clock::now(), Input::StartsForgotten, &mut actions);
    let resources = super::resources::of_settings(settings.settings());
    scheduler.step(clock::now(), Input::Resources(resources), &mut actions);
    let keys = settings.settings().limits.rules();
    scheduler.step(clock::now(), Input::Keys(keys), &mut actions);
    let crashed = !recovery.clean && recovery.same_boot;
    let law = recovery::Law {
        interrupt: settings.interrupts_after_crash(),
        crashed: crashed.then(|| recovery.life.saturating_sub(1)),
        at: clock::now().wall,
    };
    let found = recovery::recover(store, launcher, law, &mut uniques)?;
    let recovery::Found { entries, folded, judged } = found;
    scheduler.step(clock::now(), Input::Submitted(entries), &mut actions);
    for folded in folded {
        scheduler.step(clock::now(), Input::Folded(Box::new(folded)), &mut actions);
    }
    if judged.pending > 0 {
        tracing::info!(?judged, clean = recovery.clean, "found unfinished jobs");
    }
    // Jobs that were judged to have ended stand in the way of no run.
    let agenda = recovery::agenda(recovery.next_schedule, store.schedules()?);
    Ok(Entered { scheduler, agenda, actions, uniques })
}

impl Running {
    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks it to end: with `at_once`, without waiting for running jobs.
    pub async fn stop(&self, at_once: bool) {
        let (answer, done) = oneshot::channel();
        if self.events.send(Event::Asked(Ask::Stop(at_once, answer))).await.is_ok() {
            // An answer that does not come means that it has ended already.
            let _ = done.await;
        }
    }

    /// Waits until it has ended; `Err` when the store could not be counted on any more.
    pub async fn ended(self) -> Result<(), StoreError> {
        let result = match self.control.await {
            Ok(result) => result,
            Err(error) => {
                Err(StoreError::Broken { path: "control loop".into(), reason: error.to_string() })
            }
        };
        if let Err(error) = std::fs::remove_file(&self.socket)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{}: {error}", self.socket.display());
        }
        self.pool.shutdown_async(pool::Shutdown::Abandon).await;
        drop(self.lock);
        // Clients that wait for the end see their connection close: last, so that whoever starts the next daemon then
        // finds the place free. A session can't panic the daemon; what it did is in the log.
        self.ending.cancel();
        let _ = self.sessions.await;
        result
    }
}
