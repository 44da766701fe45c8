//! A daemon that runs, as whoever started it sees it: where it listens, how to end it, when it has ended.
//!
//! Owns the lock on the state directory, which is let go last, or crosses over to the program that takes this one's place.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::event::{Ask, Event};
use super::handover::Note;
use super::image::Image;
use super::instance::StateLock;
use crate::pool::{self, Pool};
use crate::process::replace_image;
use crate::store::StoreError;

/// A daemon that runs.
#[derive(Debug)]
pub struct Running {
    pub(super) socket: PathBuf,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) control: JoinHandle<Result<(), StoreError>>,
    pub(super) sessions: JoinHandle<()>,
    pub(super) ending: CancellationToken,
    pub(super) pool: Pool,
    pub(super) lock: StateLock,
    /// From the control loop, which waits for what comes of it.
    pub(super) replacing: mpsc::Receiver<Replacement>,
}

/// A program that is to take this one's place.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) image: Image,
    pub(super) note: Note,
    pub(super) listener: Arc<UnixListener>,
    /// Told why it could not.
    pub(super) refused: oneshot::Sender<io::Error>,
}

impl Replacement {
    /// Comes back only if the other program could not be started; then nothing has changed.
    fn take_place(self, lock: &StateLock) {
        let Self { image, note, listener, refused } = self;
        let error = match replace(&image, note, &listener, lock) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        // The loop is gone only when the daemon has ended.
        let _ = refused.send(error);
    }
}

fn replace(
    image: &Image,
    mut note: Note,
    listener: &UnixListener,
    lock: &StateLock,
) -> io::Result<Infallible> {
    (note.lock, note.listener) = (lock.as_fd().as_raw_fd(), listener.as_raw_fd());
    let note = note.written()?;
    let mut argv = image.words().to_vec();
    argv.extend(["--handover-fd".into(), note.as_raw_fd().to_string().into()]);
    let env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let keep = [note.as_fd(), lock.as_fd(), listener.as_fd()];
    Err(replace_image(image.path(), &argv, &env, &keep))
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

    /// Waits until it has ended; `Err` when the store could not be counted on any more. A daemon that owns its process may
    /// be followed by another program in that process meanwhile: then this never returns. The calling thread's priority is
    /// that program's.
    pub async fn ended(mut self) -> Result<(), StoreError> {
        let result = loop {
            tokio::select! {
                result = &mut self.control => break result,
                Some(replacement) = self.replacing.recv() => replacement.take_place(&self.lock),
            }
        };
        let result = match result {
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
