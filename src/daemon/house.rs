//! What goes on in the background for as long as the daemon does: old jobs are forgotten, output is kept within bounds,
//! memory is given back.

use super::session::Hub;
use super::{caps, retention, thrift};

/// Keeps the house until the sessions end.
pub(super) fn keep(hub: &Hub, printing: caps::Printing) {
    let (events, captured, bounds) = (hub.events.clone(), hub.captured.clone(), hub.bounds.clone());
    let caps = caps::run(events.clone(), captured.clone(), bounds.clone(), printing);
    tokio::spawn(hub.ending.clone().run_until_cancelled_owned(caps));
    let retention = retention::run(hub.readers.clone(), events, bounds, captured);
    tokio::spawn(hub.ending.clone().run_until_cancelled_owned(retention));
    tokio::spawn(hub.ending.clone().run_until_cancelled_owned(thrift::run()));
}
