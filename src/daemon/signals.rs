//! Signals, turned into events.

use std::io;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::mpsc;

use super::event::{Event, Signal};

/// Listens for TERM, INT and HUP as long as the loop does. Must be called on a tokio runtime.
pub(super) fn listen(events: mpsc::Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    tokio::spawn(async move {
        while let Some(signal) = signals.next().await {
            let signal = if signal == SIGHUP { Signal::Reload } else { Signal::Stop };
            if events.send(Event::Signal(signal)).await.is_err() {
                break;
            }
        }
    });
    Ok(())
}
