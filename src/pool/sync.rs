//! The primitives that the modelled files are built from: `book`, `sleep`, `rendezvous`, `injector`.
//!
//! Those files name nothing but `super::sync`. The model tests compile the very same sources a second time beside
//! a `sync` made of loom's types, so what is checked is what runs.

#![allow(unsafe_code)] // The cell is shared between threads under the protocols that its users document.

use std::sync::PoisonError;

pub(super) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
pub(super) use std::sync::{Mutex, MutexGuard};

/// Locks, and goes on after a panic of another holder: every critical section here keeps its data whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `std`'s cell with the interface of loom's.
#[derive(Debug, Default)]
pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// Wraps a value.
    pub(super) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Gives a pointer for reading.
    pub(super) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Gives a pointer for writing.
    pub(super) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
