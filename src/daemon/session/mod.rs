//! Sessions: one task for each connection, which owns its socket.
//!
//! A session reads calls, answers them in their order and notices when its client goes. What it can do
//! alone it does: decoding, checking, reading the store, following files. What changes anything it asks of the
//! control loop. Invariant: a slow, silent or hostile client holds up nobody but itself; all it can
//! take is one connection, one message (a long one when its turn comes) and a bounded backlog.

mod after;
mod arrays;
mod call;
mod connection;
mod edit;
mod follow;
pub(super) mod gates;
mod graph;
mod inspect;
mod intake;
mod jobs;
mod lend;
mod logs;
mod manage;
mod schedule;
mod select;
mod submit;
mod unfold;
mod wait;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, PollSemaphore};
use tokio_util::task::TaskTracker;

use self::connection::{Connection, leaves};
use self::follow::Changes;
use self::intake::LONG_AT_ONCE;
use self::wait::Untold;
use super::captured::Captured;
use super::event::{Ask, Event, FoldedRange};
use super::happening::{BACKLOG, Happening};
use super::instance;
use super::launch::Launcher;
use super::readers::{ReadError, Readers};
use super::refuse;
use super::retention::Keep;
use super::settings::Live;
use crate::config::Mode;
use crate::handlers::{OutputOptions, Registry};
use crate::job::KeyRule;
use crate::protocol::Error;

/// What sessions share. Nothing here is the control loop's state: they have to ask for that.
#[derive(Debug)]
pub(super) struct Hub {
    /// The way to the control loop.
    pub(super) events: mpsc::Sender<Event>,
    /// The way to the store.
    pub(super) readers: Readers,
    /// The kinds.
    pub(super) registry: Arc<Registry>,
    /// What has happened, for watchers.
    pub(super) happenings: broadcast::Sender<Happening>,
    /// What submissions are checked against.
    pub(super) bounds: tokio::sync::watch::Receiver<Bounds>,
    /// Elements of arrays that are no jobs of their own yet; published by the control loop.
    pub(super) folds: tokio::sync::watch::Receiver<Vec<FoldedRange>>,
    /// The daemon's own user, who is an admin like root.
    pub(super) daemon_uid: u32,
    /// Where captured output lies.
    pub(super) captured: Captured,
    /// How many clients there are.
    pub(super) connections: Arc<Connections>,
    /// Fires when sessions are to end.
    pub(super) ending: CancellationToken,
    /// Whether they are to close because the daemon's program is being replaced.
    pub(super) leaving: tokio::sync::watch::Receiver<bool>,
}

/// What sessions see of the control loop's state without asking.
pub(super) struct Seen {
    pub(super) bounds: tokio::sync::watch::Receiver<Bounds>,
    pub(super) folds: tokio::sync::watch::Receiver<Vec<FoldedRange>>,
    pub(super) leaving: tokio::sync::watch::Receiver<bool>,
}

/// What submissions are checked against; published by the control loop.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bounds {
    /// The queues there are.
    pub(super) queues: Arc<BTreeSet<String>>,
    /// The core permits there are.
    pub(super) cpu: u32,
    /// How much there is of each named resource.
    pub(super) resources: Arc<BTreeMap<String, u64>>,
    /// What the settings say of keys.
    pub(super) keys: Arc<[KeyRule]>,
    /// Connections at once.
    pub(super) max_connections: u32,
    /// How long finished jobs are kept.
    pub(super) keep: Keep,
    /// How much of their output is kept.
    pub(super) output: OutputOptions,
    /// Only the documented list of variables is passed on to jobs.
    pub(super) listed_env: bool,
}

/// Counts connections.
#[derive(Debug)]
pub(super) struct Connections {
    open: AtomicU64,
    ever: AtomicU64,
    /// For the long messages of all of them.
    turns: Arc<Semaphore>,
}

impl Default for Connections {
    fn default() -> Self {
        let turns = Arc::new(Semaphore::new(LONG_AT_ONCE));
        Self { open: AtomicU64::new(0), ever: AtomicU64::new(0), turns }
    }
}

impl Connections {
    /// Those open now, and all there ever were.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.open.load(Ordering::Relaxed), self.ever.load(Ordering::Relaxed))
    }
}

/// Counts one connection as long as it lives.
struct Counted(Arc<Connections>);

impl Counted {
    fn new(connections: &Arc<Connections>) -> Self {
        connections.open.fetch_add(1, Ordering::Relaxed);
        connections.ever.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long clients have to read their last answers when the daemon ends.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to wait after the system refused to accept a connection, for want of descriptors mostly.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Where the socket is, so that it can be opened again.
#[derive(Debug)]
pub(super) struct SocketPlace {
    /// Its path.
    pub(super) path: PathBuf,
    /// Whose daemon it is.
    pub(super) mode: Mode,
}

impl SocketPlace {
    /// Waits until something in the socket's folder has changed; for ever if that can't be seen.
    async fn changed(&self, changes: &mut Option<Changes>) {
        if changes.is_none() {
            *changes = self.path.parent().and_then(|folder| Changes::goings(folder).ok());
            if changes.is_some() {
                // It may have gone before anybody watched.
                return;
            }
        }
        let seen = match changes {
            Some(changes) => changes.next(|_any| true).await.is_ok(),
            None => false,
        };
        if !seen {
            std::future::pending::<()>().await;
        }
    }

    /// Opens the socket again if its path has gone: somebody tidied up, and nobody could come in any more.
    fn open_again(&self) -> Option<UnixListener> {
        if self.path.symlink_metadata().is_ok() {
            return None;
        }
        match instance::listen(&self.path, self.mode == Mode::System) {
            Ok(listener) => {
                tracing::warn!("{} had gone and was opened again", self.path.display());
                Some(listener)
            }
            Err(error) => {
                tracing::error!("the socket has gone: {error}");
                None
            }
        }
    }
}

/// Takes connections until `hub.ending` fires, then waits for the sessions to end.
pub(super) async fn serve(listener: UnixListener, place: SocketPlace, hub: Arc<Hub>) {
    let (mut listener, mut leaving) = (Arc::new(listener), hub.leaving.clone());
    let sessions = TaskTracker::new();
    let (mut changes, mut short) = (None, false);
    loop {
        let accepted = tokio::select! {
            biased;
            () = hub.ending.cancelled() => break,
            () = leaves(&mut leaving) => {
                leave(&sessions, &listener, &hub).await;
                continue;
            }
            () = place.changed(&mut changes) => {
                // At the daemon's own end the path goes for good.
                if !hub.events.is_closed() {
                    listener = place.open_again().map_or(listener, Arc::new);
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                short = false;
                if let Some(session) = welcome(stream, &hub) {
                    sessions.spawn(session);
                }
            }
            Err(error) => {
                // Once for as long as it lasts: it is tried many times a second.
                if !std::mem::replace(&mut short, true) {
                    tracing::warn!(
                        "connections can't be accepted and wait in line: {error}; that is tried again and again"
                    );
                }
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    say_farewell(&sessions).await;
}

/// Lets nobody in while the sessions close, hands the socket over, and goes on if the program is not replaced after all.
async fn leave(sessions: &TaskTracker, listener: &Arc<UnixListener>, hub: &Hub) {
    let mut leaving = hub.leaving.clone();
    say_farewell(sessions).await;
    // Here and below: the loop is gone only when the daemon has ended.
    let _ = hub.events.send(Event::SessionsLeft(Arc::clone(listener))).await;
    let goes_on = async { leaving.wait_for(|leaving| !*leaving).await.is_ok() };
    hub.ending.run_until_cancelled(goes_on).await;
    sessions.reopen();
}

/// Answers on their way are still written, but a client that does not read holds up no end.
async fn say_farewell(sessions: &TaskTracker) {
    sessions.close();
    if tokio::time::timeout(FAREWELL, sessions.wait()).await.is_err() {
        tracing::warn!("{} clients did not read their last answers", sessions.len());
    }
}

/// A session for the connection, unless there are too many or nobody knows who it is.
fn welcome(stream: UnixStream, hub: &Arc<Hub>) -> Option<impl Future<Output = ()> + use<>> {
    let most = hub.bounds.borrow().max_connections;
    if hub.connections.read().0 >= u64::from(most) {
        tracing::warn!(
            "a connection was closed: there are {most} already (daemon.max_connections)"
        );
        return None;
    }
    let uid = match stream.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(error) => {
            tracing::warn!("a connection was closed: its user is not known: {error}");
            return None;
        }
    };
    let counted = Counted::new(&hub.connections);
    let session = Session {
        hub: Arc::clone(hub),
        uid,
        connection: Connection::new(
            stream,
            PollSemaphore::new(Arc::clone(&hub.connections.turns)),
            hub.ending.clone(),
            hub.leaving.clone(),
        ),
        untold: Untold::default(),
    };
    Some(async move {
        let _counted = counted;
        session.run().await;
    })
}

/// One client.
struct Session {
    hub: Arc<Hub>,
    /// Who the kernel says it is.
    uid: u32,
    connection: Connection,
    /// The jobs whose end the present wait has not told.
    untold: Untold,
}

impl Hub {
    /// What sessions of this daemon share.
    pub(super) fn of(
        events: &mpsc::Sender<Event>,
        readers: &Readers,
        launcher: &Launcher,
        settings: &Live,
        connections: Arc<Connections>,
        seen: Seen,
    ) -> Self {
        Self {
            events: events.clone(),
            readers: readers.clone(),
            registry: Arc::clone(&launcher.registry),
            happenings: broadcast::Sender::new(BACKLOG),
            bounds: seen.bounds,
            folds: seen.folds,
            daemon_uid: settings.about.uid,
            captured: launcher.captured.clone(),
            connections,
            ending: CancellationToken::new(),
            leaving: seen.leaving,
        }
    }

    /// Asks the control loop and waits for its answer.
    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Error> {
        let (answer, reply) = oneshot::channel();
        self.tell(make(answer)).await?;
        reply.await.map_err(|_| refuse::stopping())
    }

    /// Tells the control loop something.
    async fn tell(&self, ask: Ask) -> Result<(), Error> {
        self.events.send(Event::Asked(ask)).await.map_err(|_| refuse::stopping())
    }

    /// Asks the control loop for something that it may refuse.
    async fn request<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Ask,
    ) -> Result<T, Error> {
        self.ask(make).await?
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => Self::StorageFailed { message: error.to_string() },
            ReadError::Ending => refuse::stopping(),
        }
    }
}

impl Session {
    /// Whether the client may do what concerns everybody.
    fn is_admin(&self) -> bool {
        self.uid == 0 || self.uid == self.hub.daemon_uid
    }

    /// Refuses `what` to those who are not admins.
    fn admins_only(&self, what: &str) -> Result<(), Error> {
        if self.is_admin() { Ok(()) } else { Err(refuse::not_permitted(what)) }
    }
}
