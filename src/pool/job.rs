//! The header that every queued closure begins with, and the one-word reference that queues carry.
//!
//! Owns the layout. Never knows what the closure returns: that is behind the vtable. Invariant: a `JobRef` is run or
//! abandoned exactly once, by whoever took it out of its queue.

#![allow(unsafe_code)] // A header is the type-erased front of an allocation or of a stack frame.

use std::ptr::{self, NonNull};

use super::injector::Linked;
use super::sync::AtomicPtr;

/// What can be done with a job whose type is forgotten.
pub(super) struct VTable {
    /// Runs the closure if nobody cancelled it, and gives the queue's share of the job back.
    pub(super) run: unsafe fn(NonNull<Header>),
    /// Drops the closure if nobody did, and gives the queue's share of the job back.
    pub(super) abandon: unsafe fn(NonNull<Header>),
    /// Whether the closure is already claimed (cancelled while it waited).
    pub(super) claimed: unsafe fn(NonNull<Header>) -> bool,
}

/// The front of every job.
#[repr(C)]
pub(super) struct Header {
    next: AtomicPtr<Header>,
    vtable: &'static VTable,
    weight: u16,
}

impl Header {
    /// A header for a job that takes `weight` core permits while it runs.
    pub(super) fn new(vtable: &'static VTable, weight: u16) -> Self {
        Self { next: AtomicPtr::new(ptr::null_mut()), vtable, weight }
    }
}

impl Linked for Header {
    fn link(&self) -> &AtomicPtr<Self> {
        &self.next
    }
}

/// A queue's share of one job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JobRef(NonNull<Header>);

// SAFETY: a header is only reached by the one holder of its reference, and every closure behind one is `Send`.
unsafe impl Send for JobRef {}

impl JobRef {
    /// Takes over the queue's share of the job at `header`.
    ///
    /// # Safety
    /// The job must stay alive until the reference is run or abandoned, and there must be no second reference.
    pub(super) unsafe fn new(header: NonNull<Header>) -> Self {
        Self(header)
    }

    /// The address of the header, for comparing and for the injector.
    pub(super) fn into_raw(self) -> NonNull<Header> {
        self.0
    }

    /// How many core permits the closure takes.
    pub(super) fn weight(&self) -> usize {
        // SAFETY: the job is alive while its reference is.
        usize::from(unsafe { self.0.as_ref() }.weight)
    }

    /// Whether the closure was cancelled while it waited.
    pub(super) fn is_claimed(&self) -> bool {
        // SAFETY: the job is alive while its reference is, and the vtable belongs to it.
        unsafe { (self.0.as_ref().vtable.claimed)(self.0) }
    }

    /// Runs the closure, or drops it if it was cancelled.
    pub(super) fn run(self) {
        // SAFETY: the reference is consumed, so this is the only call; the vtable belongs to the job.
        unsafe { (self.0.as_ref().vtable.run)(self.0) }
    }

    /// Gives the closure up without running it.
    pub(super) fn abandon(self) {
        // SAFETY: as in `run`.
        unsafe { (self.0.as_ref().vtable.abandon)(self.0) }
    }
}
