//! Where a closure's end meets the one who waits for it: one word of flags and one waker.
//!
//! Owns who may touch the closure, the result and the waker, and who frees the cell. Never holds the result itself.
//! Invariants: exactly one side wins [`Rendezvous::claim`] and may take the closure out; the winner alone writes the
//! result, before [`Rendezvous::complete`]; after that the handle alone reads it; the last of the two sides frees.

#![allow(unsafe_code)] // The waker's cell is handed between the sides by the flags.

use std::task::Waker;

use super::sync::{AtomicU32, Ordering, UnsafeCell};

const CLAIMED: u32 = 1;
const COMPLETE: u32 = 2;
const WAITED: u32 = 4;
const QUEUE: u32 = 8;
const HANDLE: u32 = 16;

/// The two owners of a cell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// The queue, then the worker that runs the closure.
    Queue,
    /// The join handle.
    Handle,
}

impl Side {
    fn bit(self) -> u32 {
        match self {
            Self::Queue => QUEUE,
            Self::Handle => HANDLE,
        }
    }
}

/// Flags and waker of one cell.
#[derive(Debug)]
pub(super) struct Rendezvous {
    flags: AtomicU32,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the waker is written by the handle while WAITED is clear and COMPLETE is not seen, and read by the completing
// side only after it saw WAITED; the flags order both (see `register` and `complete`).
unsafe impl Sync for Rendezvous {}
// SAFETY: nothing in it is bound to a thread.
unsafe impl Send for Rendezvous {}

impl Rendezvous {
    /// A cell whose closure waits; both sides are alive.
    pub(super) fn new() -> Self {
        Self { flags: AtomicU32::new(QUEUE | HANDLE), waker: UnsafeCell::new(None) }
    }

    /// Claims the closure, to run it or to drop it. One caller ever gets `true`.
    pub(super) fn claim(&self) -> bool {
        self.flags.fetch_or(CLAIMED, Ordering::AcqRel) & CLAIMED == 0
    }

    /// Whether the closure is out of reach for others.
    pub(super) fn is_claimed(&self) -> bool {
        self.flags.load(Ordering::Acquire) & CLAIMED != 0
    }

    /// Whether the result is there.
    pub(super) fn is_complete(&self) -> bool {
        self.flags.load(Ordering::Acquire) & COMPLETE != 0
    }

    /// Publishes the result that the caller, who claimed, has written, and wakes the handle if it waits.
    pub(super) fn complete(&self) {
        let seen = self.flags.fetch_or(COMPLETE, Ordering::AcqRel);
        if seen & WAITED != 0 {
            // SAFETY: WAITED was set when COMPLETE appeared: from now on the handle only reads the slot.
            self.waker.with(|slot| unsafe { &*slot }.as_ref().map(Waker::wake_by_ref));
        }
    }

    /// The handle asks to be woken; `true` if the result is there already. Called by the handle alone.
    pub(super) fn register(&self, waker: &Waker) -> bool {
        let flags = self.flags.load(Ordering::Acquire);
        if flags & COMPLETE != 0 {
            return true;
        }
        if flags & WAITED != 0 {
            // SAFETY: while WAITED is set nobody writes the slot.
            let same = self
                .waker
                .with(|slot| unsafe { &*slot }.as_ref().is_some_and(|w| w.will_wake(waker)));
            if same {
                return false;
            }
            if self.flags.fetch_and(!WAITED, Ordering::AcqRel) & COMPLETE != 0 {
                return true;
            }
        }
        // SAFETY: WAITED is clear and COMPLETE was not set when it was cleared, so the other side won't read the slot.
        self.waker.with_mut(|slot| unsafe { *slot = Some(waker.clone()) });
        self.flags.fetch_or(WAITED, Ordering::AcqRel) & COMPLETE != 0
    }

    /// One side is done with the cell; `true` if it is the last one, who must free it.
    pub(super) fn release(&self, side: Side) -> bool {
        let both = QUEUE | HANDLE;
        self.flags.fetch_and(!side.bit(), Ordering::AcqRel) & both == side.bit()
    }
}
