//! What goes on in the background for as long as the daemon does: old jobs are forgotten, output is kept within bounds.

use std::path::PathBuf;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::readers::Readers;
use super::session::Bounds;
use super::{caps, retention};

/// What the housekeepers work with.
pub(super) struct House {
    pub(super) readers: Readers,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) bounds: watch::Receiver<Bounds>,
    pub(super) output_dir: PathBuf,
    pub(super) printing: caps::Printing,
}

impl House {
    /// Keeps it until `ending` fires.
    pub(super) fn keep(self, ending: &CancellationToken) {
        let Self { readers, events, bounds, output_dir, printing } = self;
        let caps = caps::run(events.clone(), output_dir.clone(), bounds.clone(), printing);
        tokio::spawn(ending.clone().run_until_cancelled_owned(caps));
        let retention = retention::run(readers, events, bounds, output_dir);
        tokio::spawn(ending.clone().run_until_cancelled_owned(retention));
    }
}
