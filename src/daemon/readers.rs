//! The reader threads: queries beside the writer, off the event loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::job::{Job, JobId};
use crate::store::{Reader, Store, StoreError};

/// Reader threads of one daemon: one for long queries must not keep the short ones of others.
const READERS: usize = 3;
/// Queries that wait for one reader thread; further askers wait for a place.
const QUEUE: usize = 64;

/// How often, and how long apart, a query is made that must not fail for a passing reason.
const TRIES: u32 = 10;
const AGAIN: Duration = Duration::from_millis(500);

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

    /// The same for what the control loop needs of the store and must not give up at the first failure; in the end
    /// nothing was found.
    pub(super) async fn query_patiently<T, F>(&self, query: F) -> T
    where
        T: Default + Send + 'static,
        F: Fn(&mut dyn Reader) -> Result<T, StoreError> + Send + Sync + 'static,
    {
        let query = Arc::new(query);
        let mut tries = TRIES;
        loop {
            let again = Arc::clone(&query);
            tries -= 1;
            match self.query(move |reader| again(reader)).await {
                Err(error) if tries > 0 => {
                    tracing::warn!("reading unfinished jobs failed, trying again: {error}");
                    tokio::time::sleep(AGAIN).await;
                }
                found => return found.unwrap_or_default(),
            }
        }
    }

    /// The thread with the most room, looked at in turn so that equals share the work.
    fn free_one(&self, turn: usize) -> &mpsc::Sender<Query> {
        (0..self.inboxes.len())
            .map(|step| &self.inboxes[(turn + step) % self.inboxes.len()])
            .max_by_key(|inbox| inbox.capacity())
            .unwrap_or(&self.inboxes[0])
    }
}

/// These jobs with their specs; ids that are not there are left out.
pub(super) fn whole_jobs(reader: &mut dyn Reader, ids: &[JobId]) -> Result<Vec<Job>, StoreError> {
    let jobs: Result<Vec<_>, _> = ids.iter().map(|id| reader.job(*id)).collect();
    Ok(jobs?.into_iter().flatten().map(|(job, _)| job).collect())
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
