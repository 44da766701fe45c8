//! The writer thread: the only owner of the store.
//!
//! The control loop hands it one batch at a time and gathers the next meanwhile, so everything that
//! queued up during one sync shares the next one. What the store does not take of the ends of attempts goes to the side
//! journal, before the loop hears that it was not taken.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::event::Event;
use crate::job::Change;
use crate::store::journal::{Journal, JournalError};
use crate::store::{Refusal, Store, StoreError};

/// A batch that the writer has finished.
#[derive(Debug)]
pub(super) struct Written {
    /// The changes, as they were handed in.
    pub(super) batch: Vec<Change>,
    /// One answer for each, or why none of them was taken.
    pub(super) answers: Result<Vec<Result<(), Refusal>>, StoreError>,
    /// How many ends of attempts are in the side journal, which is none while the store takes them.
    pub(super) aside: usize,
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
        journal: Journal,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        // One place: the loop never hands in a batch before the last one came back.
        let (batches, inbox) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || Desk { store, journal, events }.serve(&inbox))?;
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
                Order::Note(_) | Order::Close => Err(Vec::new()),
            },
        }
    }

    /// Has the ends among these changes kept in the side journal, while the store takes nothing. `false` if the thread
    /// is busy or gone.
    pub(super) fn note(&mut self, changes: Vec<Change>) -> bool {
        self.busy = self.busy || self.batches.try_send(Order::Note(changes)).is_ok();
        self.busy
    }

    /// Notes that the batch came back.
    pub(super) const fn came_back(&mut self) {
        self.busy = false;
    }

    /// Lets the thread note an orderly end in the store, and waits for it.
    pub(super) fn close(self) {
        self.end_with(Order::Close);
    }

    /// The store is lost: what ended meanwhile is left to the next life in the side journal, and waited for.
    pub(super) fn abandon(self, changes: Vec<Change>) {
        self.end_with(Order::Note(changes));
    }

    fn end_with(mut self, last: Order) {
        // A thread that has gone says so when it is joined.
        let _ = self.batches.send(last);
        drop(self.batches);
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
    /// Keep the ends among these in the side journal.
    Note(Vec<Change>),
    /// Note an orderly end.
    Close,
}

/// The thread's own.
struct Desk {
    store: Box<dyn Store>,
    journal: Journal,
    events: mpsc::Sender<Event>,
}

impl Desk {
    fn serve(mut self, inbox: &Receiver<Order>) {
        while let Ok(order) = inbox.recv() {
            let happened = match order {
                Order::Commit(batch) => Event::Written(self.commit(batch)),
                Order::Note(changes) => {
                    self.note(&changes);
                    Event::Noted { aside: self.journal.ends() }
                }
                Order::Close => {
                    if let Err(error) = self.store.close() {
                        tracing::warn!("the store could not note an orderly end: {error}");
                    }
                    return;
                }
            };
            if self.events.blocking_send(happened).is_err() {
                return;
            }
        }
    }

    fn commit(&mut self, batch: Vec<Change>) -> Written {
        let begun = Instant::now();
        let answers = self.store.commit(&batch);
        let took = begun.elapsed();
        match &answers {
            Ok(_) => {
                if let Err(error) = self.journal.settled(&batch) {
                    tracing::error!("{error}");
                }
            }
            Err(_) => self.note(&batch),
        }
        Written { batch, answers, aside: self.journal.ends(), took }
    }

    /// Without a place in the journal an end is kept in memory, as everything else is that the store does not take.
    fn note(&mut self, changes: &[Change]) {
        match self.journal.note(changes) {
            Ok(()) => {}
            Err(error @ JournalError::NoSlot { .. }) => tracing::warn!("{error}"),
            Err(error) => tracing::error!("{error}"),
        }
    }
}
