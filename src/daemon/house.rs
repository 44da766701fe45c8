//! What goes on in the background for as long as the daemon does: old jobs are forgotten, output is kept within bounds,
//! memory is given back.

use super::session::Hub;
use super::{caps, retention, thrift};

/// Keeps the house until the sessions end.
pub(super) fn keep(hub: &Hub, printing: caps::Printing) {
    let (events, output_dir, bounds) =
        (hub.events.clone(), hub.output_dir.clone(), hub.bounds.clone());
    let caps = caps::run(events.clone(), output_dir.clone(), bounds.clone(), printing);
    tokio::spawn(hub.ending.clone().run_until_cancelled_owned(caps));
    let retention = retention::run(hub.readers.clone(), events, bounds, output_dir);
    tokio::spawn(hub.ending.clone().run_until_cancelled_owned(retention));
    tokio::spawn(hub.ending.clone().run_until_cancelled_owned(thrift::run()));
}
