//! The writer thread: the only owner of the store.
//!
//! The control loop hands it one batch at a time and gathers the next meanwhile, so everything that
//! queued up during one sync shares the next one.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::event::Event;
use crate::job::Change;
use crate::store::{Refusal, Store, StoreError};

/// A batch that the writer has finished.
#[derive(Debug)]
pub(super) struct Written {
    /// The changes, as they were handed in.
    pub(super) batch: Vec<Change>,
    /// One answer for each, or why none of them was taken.
    pub(super) answers: Result<Vec<Result<(), Refusal>>, StoreError>,
    /// How long the commit took.
    pub(super) took: Duration,
}

/// The control loop's end of the writer.
#[derive(Debug)]
pub(super) struct Writer {
    batches: SyncSender<Order>,
    thread: Option<thread::JoinHandle<()>>,
    busy: bool,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        store: Box<dyn Store>,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        // One place: the loop never hands in a batch before the last one came back.
        let (batches, inbox) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || write(store, &inbox, &events))?;
        Ok(Self { batches, thread: Some(thread), busy: false })
    }

    /// Whether a batch is on its way.
    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }

    /// Hands in a batch. Gives it back if the thread is busy or gone.
    pub(super) fn hand_in(&mut self, batch: Vec<Change>) -> Result<(), Vec<Change>> {
        if self.busy {
            return Err(batch);
        }
        match self.batches.try_send(Order::Commit(batch)) {
            Ok(()) => {
                self.busy = true;
                Ok(())
            }
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => match order {
                Order::Commit(batch) => Err(batch),
                Order::Close => Err(Vec::new()),
            },
        }
    }

    /// Notes that the batch came back.
    pub(super) const fn came_back(&mut self) {
        self.busy = false;
    }

    /// Lets the thread note an orderly end in the store, and waits for it.
    pub(super) fn close(mut self) {
        // A thread that has gone says so when it is joined.
        let _ = self.batches.send(Order::Close);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                "the writer thread panicked; the store will be recovered at the next start"
            );
        }
    }
}

/// What the thread is told. When it is told nothing more, the loop has come to no good, and the next start
/// must not take this life for one that ended in order.
#[derive(Debug)]
enum Order {
    /// Write these down.
    Commit(Vec<Change>),
    /// Note an orderly end.
    Close,
}

fn write(mut store: Box<dyn Store>, inbox: &Receiver<Order>, events: &mpsc::Sender<Event>) {
    while let Ok(order) = inbox.recv() {
        let Order::Commit(batch) = order else {
            if let Err(error) = store.close() {
                tracing::warn!("the store could not note an orderly end: {error}");
            }
            return;
        };
        let begun = Instant::now();
        let answers = store.commit(&batch);
        let written = Written { batch, answers, took: begun.elapsed() };
        if events.blocking_send(Event::Written(written)).is_err() {
            return;
        }
    }
}
