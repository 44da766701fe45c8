//! Signals, turned into events.
//!
//! One thread takes them; all others block them. So when that thread has gone, before the daemon's program is replaced, a
//! signal waits in the process for the next program, and none is lost in between.

use std::io;
use std::thread::{self, JoinHandle};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use tokio::sync::mpsc;

use super::event::{Event, Signal};
use crate::process::{block_signals, unblock_signals};

/// What is listened for.
const HEARD: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// The thread that listens.
#[derive(Debug)]
pub(super) struct Ear {
    handle: Handle,
    thread: JoinHandle<()>,
}

/// Has signals wait for [`listen`]; to be called before the process has another thread.
pub(super) fn wait_for_listener() -> io::Result<()> {
    block_signals(&HEARD)
}

/// Listens for TERM, INT and HUP.
pub(super) fn listen(events: mpsc::Sender<Event>) -> io::Result<Ear> {
    let signals = Signals::new(HEARD)?;
    let handle = signals.handle();
    let thread = thread::Builder::new().name("signals".to_owned());
    Ok(Ear { handle, thread: thread.spawn(move || hear(signals, &events))? })
}

fn hear(mut signals: Signals, events: &mpsc::Sender<Event>) {
    let tell = |signal| {
        let signal = if signal == SIGHUP { Signal::Reload } else { Signal::Stop };
        // The loop is gone only when the daemon has ended.
        let _ = events.blocking_send(Event::Signal(signal));
    };
    // It fails on no signal that there is.
    let _ = unblock_signals(&HEARD);
    for signal in &mut signals {
        tell(signal);
    }
    let _ = block_signals(&HEARD);
    for signal in signals.pending() {
        tell(signal);
    }
}

impl Ear {
    /// Listens no more: when this returns, what was heard is told, and what comes waits.
    pub(super) fn close(self) {
        self.handle.close();
        if self.thread.join().is_err() {
            tracing::error!("the thread that listens for signals panicked");
        }
    }
}
