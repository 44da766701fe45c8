//! Models: the very sources of the protocols, compiled against loom's primitives and tried in every order.
//!
//! Each test is a small cast of threads; loom runs it under all interleavings (bounded by preemptions where marked) and
//! with all values that weak memory allows. What is modelled is named in README.md.

#![allow(clippy::duplicate_mod)] // That is the point: the same sources, other primitives.
#![allow(unsafe_code)] // The models use the protocols as the pool does: with raw pointers and shared cells.

mod sync {
    //! Loom's primitives under the names of `pool::sync`.
    use std::sync::PoisonError;

    pub(super) use loom::cell::UnsafeCell;
    pub(super) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
    pub(super) use loom::sync::{Mutex, MutexGuard};

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[path = "../book.rs"]
#[expect(dead_code, reason = "a model uses a part of each protocol")]
mod book;
#[path = "../injector.rs"]
mod injector;
#[path = "../rendezvous.rs"]
#[expect(dead_code, reason = "a model uses a part of each protocol")]
mod rendezvous;
#[path = "../sleep.rs"]
#[expect(dead_code, reason = "a model uses a part of each protocol")]
mod sleep;

mod join_cell;
mod line;
mod wake;

/// Tries all orders with at most so many preemptions.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}
