//! The reader threads: queries beside the writer, off the event loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::store::{Reader, Store, StoreError};

/// Reader threads of one daemon: one for long queries must not keep the short ones of others.
const READERS: usize = 3;
/// Queries that wait for one reader thread; further askers wait for a place.
const QUEUE: usize = 64;

type Query = Box<dyn FnOnce(&mut dyn Reader) + Send>;

/// A handle to the reader threads, which end when the last handle is dropped.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    inboxes: Arc<[mpsc::Sender<Query>]>,
    next: Arc<AtomicUsize>,
}

/// Why a query brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread has gone, because the daemon is ending.
    #[error("the daemon is ending")]
    Ending,
}

impl Readers {
    /// Opens connections and starts the threads.
    pub(super) fn start(store: &dyn Store) -> Result<Self, StoreError> {
        let inboxes: Result<Vec<_>, _> = (0..READERS).map(|_| start_one(store.reader()?)).collect();
        Ok(Self { inboxes: inboxes?.into(), next: Arc::default() })
    }

    /// Runs `query` on one of the threads.
    pub(super) async fn query<T, F>(&self, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let inbox = self.free_one(turn);
        let boxed: Query = Box::new(move |reader| {
            // Nobody waits any more when the client has gone.
            let _ = answer.send(query(reader));
        });
        inbox.send(boxed).await.map_err(|_| ReadError::Ending)?;
        Ok(result.await.map_err(|_| ReadError::Ending)??)
    }

    /// The thread with the most room, looked at in turn so that equals share the work.
    fn free_one(&self, turn: usize) -> &mpsc::Sender<Query> {
        (0..self.inboxes.len())
            .map(|step| &self.inboxes[(turn + step) % self.inboxes.len()])
            .max_by_key(|inbox| inbox.capacity())
            .unwrap_or(&self.inboxes[0])
    }
}

fn start_one(mut reader: Box<dyn Reader>) -> Result<mpsc::Sender<Query>, StoreError> {
    let (inbox, mut queries) = mpsc::channel::<Query>(QUEUE);
    let work = move || {
        while let Some(query) = queries.blocking_recv() {
            query(&mut *reader);
        }
    };
    thread::Builder::new().name("reader".to_owned()).spawn(work).map_err(|error| {
        StoreError::Broken { path: "reader thread".into(), reason: error.to_string() }
    })?;
    Ok(inbox)
}
