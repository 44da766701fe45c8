//! Attempts that wait for something of the daemon's, and lend their core permits meanwhile.
//!
//! Owns the count of waits of one attempt. Never touches a permit: the attempt's own task does that. Invariant: permits
//! are lent just while somebody holds a [`Lent`] of the attempt.

use tokio::sync::watch;

/// An attempt's wish to lend; cheap to clone.
#[derive(Clone, Debug)]
pub struct Lending {
    waits: watch::Sender<u32>,
}

/// A wait that is under way; dropping it is its end.
#[derive(Debug)]
#[must_use = "the permits come back when this is dropped"]
pub struct Lent {
    waits: watch::Sender<u32>,
}

impl Lending {
    pub(super) fn new() -> Self {
        Self { waits: watch::Sender::new(0) }
    }

    /// The attempt waits from now on.
    pub fn begin(&self) -> Lent {
        self.waits.send_modify(|waits| *waits += 1);
        Lent { waits: self.waits.clone() }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u32> {
        self.waits.subscribe()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.waits.send_modify(|waits| *waits -= 1);
    }
}
