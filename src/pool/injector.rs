//! The way in: a lock-free stack that producers push on and one taker empties in a single swap.
//!
//! Owns the links. Never allocates (the link is inside the job) and never pops one element, which is what makes it free
//! of the ABA problem. Invariant: each pushed element is in exactly one taken batch, oldest first.

#![allow(unsafe_code)] // Elements are linked through raw pointers.

use std::ptr::{self, NonNull};

use super::sync::{AtomicPtr, Ordering};

/// An element with room for the link.
pub(super) trait Linked: Sized {
    /// The link; only the injector writes it while the element is queued.
    fn link(&self) -> &AtomicPtr<Self>;
}

/// Many producers, many takers, each taker takes all.
#[derive(Debug)]
pub(super) struct Injector<T> {
    top: AtomicPtr<T>,
}

impl<T: Linked> Injector<T> {
    /// An empty injector.
    pub(super) fn new() -> Self {
        Self { top: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Queues an element; true if nothing was queued before it.
    ///
    /// # Safety
    /// The element must stay alive until a batch that holds it was consumed, and be in no other queue.
    pub(super) unsafe fn push(&self, element: NonNull<T>) -> bool {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            // SAFETY: the element is alive and not yet published.
            unsafe { element.as_ref() }.link().store(top, Ordering::Relaxed);
            match self.top.compare_exchange_weak(
                top,
                element.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return top.is_null(),
                Err(seen) => top = seen,
            }
        }
    }

    /// Whether nothing is queued at this moment.
    pub(super) fn is_empty(&self) -> bool {
        self.top.load(Ordering::Acquire).is_null()
    }

    /// Takes everything that is queued, oldest first.
    pub(super) fn take(&self) -> Batch<T> {
        if self.is_empty() {
            return Batch { first: ptr::null_mut() };
        }
        let mut rest = self.top.swap(ptr::null_mut(), Ordering::Acquire);
        let mut first = ptr::null_mut();
        while let Some(element) = NonNull::new(rest) {
            // SAFETY: the swap made this thread the only owner of the chain, and each element is alive.
            let link = unsafe { element.as_ref() }.link();
            rest = link.load(Ordering::Relaxed);
            link.store(first, Ordering::Relaxed);
            first = element.as_ptr();
        }
        Batch { first }
    }
}

/// A chain of elements, oldest first.
#[derive(Debug)]
pub(super) struct Batch<T> {
    first: *mut T,
}

impl<T: Linked> Iterator for Batch<T> {
    type Item = NonNull<T>;

    fn next(&mut self) -> Option<NonNull<T>> {
        let element = NonNull::new(self.first)?;
        // SAFETY: the batch owns its elements until it hands them out, and reads the link before that.
        self.first = unsafe { element.as_ref() }.link().load(Ordering::Relaxed);
        Some(element)
    }
}
