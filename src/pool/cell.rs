//! The one allocation of a spawned closure: header, rendezvous, and the closure or its result in the same place.
//!
//! Owns the closure until it runs and the result until the handle takes it. Never schedules anything. Invariant: the
//! stage is touched only by the side that the rendezvous allows.

#![allow(unsafe_code)] // The handle reaches the result through a pointer whose closure type is forgotten.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::task::Waker;

use tokio_util::sync::CancellationToken;

use super::handle::JoinError;
use super::job::{Header, JobRef, VTable};
use super::rendezvous::{Rendezvous, Side};
use super::sync::UnsafeCell;

type Outcome<T> = Result<T, JoinError>;

enum Stage<F, T> {
    Closure(F, Option<CancellationToken>),
    Outcome(Outcome<T>),
    Empty,
}

/// What the two sides share before types are known.
#[repr(C)]
struct Front {
    header: Header,
    rendezvous: Rendezvous,
    handle: &'static HandleTable,
}

/// What the handle can do with a cell whose closure type is forgotten.
struct HandleTable {
    take: unsafe fn(NonNull<Front>, *mut ()),
    cancel: unsafe fn(NonNull<Front>),
    execute: unsafe fn(NonNull<Front>),
    free: unsafe fn(NonNull<Front>),
}

#[repr(C)]
struct Cell<F, T> {
    front: Front,
    stage: UnsafeCell<Stage<F, T>>,
}

impl<F, T> Cell<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    const JOB: VTable = VTable { run: Self::run, abandon: Self::abandon, claimed: Self::claimed };
    const HANDLE: HandleTable = HandleTable {
        take: Self::take,
        cancel: Self::cancel,
        execute: Self::execute_here,
        free: Self::free,
    };

    /// # Safety
    /// `header` must be the front of a live cell of this type.
    unsafe fn of<'a>(header: NonNull<Header>) -> &'a Self {
        // SAFETY: the header is the first field of the first field, and the caller vouches for type and life.
        unsafe { header.cast::<Self>().as_ref() }
    }

    unsafe fn run(header: NonNull<Header>) {
        // SAFETY: the queue's share keeps the cell alive until `release` below.
        let cell = unsafe { Self::of(header) };
        cell.execute();
        // SAFETY: this is the queue's one call.
        unsafe { Self::release(header.cast(), Side::Queue) };
    }

    unsafe fn abandon(header: NonNull<Header>) {
        // SAFETY: the queue's share keeps the cell alive until `release` below.
        unsafe { Self::of(header) }.give_up(JoinError::Abandoned);
        // SAFETY: this is the queue's one call.
        unsafe { Self::release(header.cast(), Side::Queue) };
    }

    unsafe fn claimed(header: NonNull<Header>) -> bool {
        // SAFETY: the caller holds the queue's share.
        unsafe { Self::of(header) }.front.rendezvous.is_claimed()
    }

    unsafe fn cancel(front: NonNull<Front>) {
        // SAFETY: the caller holds the handle's share.
        unsafe { Self::of(front.cast()) }.give_up(JoinError::Cancelled);
    }

    unsafe fn take(front: NonNull<Front>, out: *mut ()) {
        // SAFETY: the caller holds the handle's share and saw the result published.
        let cell = unsafe { Self::of(front.cast()) };
        if let Stage::Outcome(outcome) = cell.replace(Stage::Empty) {
            // SAFETY: `out` points to the caller's `Option<Outcome<T>>`, as `take_outcome` promises.
            unsafe { *out.cast::<Option<Outcome<T>>>() = Some(outcome) };
        }
    }

    unsafe fn free(front: NonNull<Front>) {
        // SAFETY: the caller is the last side; the cell came out of a box of this type.
        let cell = unsafe { Box::from_raw(front.cast::<Self>().as_ptr()) };
        // A result nobody took may panic as it is dropped; that must not end the thread which happens to be last.
        drop_quietly(cell);
    }

    unsafe fn release(front: NonNull<Front>, side: Side) {
        // SAFETY: the share of `side` keeps the cell alive up to this call.
        if unsafe { front.as_ref() }.rendezvous.release(side) {
            // SAFETY: the other side is gone.
            unsafe { Self::free(front) };
        }
    }

    unsafe fn execute_here(front: NonNull<Front>) {
        // SAFETY: the caller holds the handle's share.
        unsafe { Self::of(front.cast()) }.execute();
    }

    fn execute(&self) {
        if !self.front.rendezvous.claim() {
            return;
        }
        if let Stage::Closure(closure, token) = self.replace(Stage::Empty) {
            let outcome = if token.is_some_and(|t| t.is_cancelled()) {
                drop_quietly(closure);
                Err(JoinError::Cancelled)
            } else {
                catch_unwind(AssertUnwindSafe(closure)).map_err(JoinError::Panicked)
            };
            self.finish(outcome);
        }
    }

    fn give_up(&self, why: JoinError) {
        if self.front.rendezvous.claim() {
            drop_quietly(self.replace(Stage::Empty));
            self.finish(Err(why));
        }
    }

    fn finish(&self, outcome: Outcome<T>) {
        self.replace(Stage::Outcome(outcome));
        self.front.rendezvous.complete();
    }

    fn replace(&self, stage: Stage<F, T>) -> Stage<F, T> {
        // SAFETY: only the side that claimed (before completion) or the handle (after it) comes here.
        self.stage.with_mut(|place| unsafe { std::mem::replace(&mut *place, stage) })
    }
}

/// Drops a value of the caller's; a panic in its `Drop` ends here, because there is nobody to carry it to.
fn drop_quietly<V>(value: V) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(move || drop(value))) {
        forget_payload(payload);
    }
}

/// A payload whose own `Drop` panics is leaked instead.
fn forget_payload(payload: Box<dyn Any + Send>) {
    if payload.is::<&'static str>() || payload.is::<String>() {
        drop(payload);
    } else {
        std::mem::forget(payload);
    }
}

/// The handle's share of a cell.
pub(super) struct HandleShare<T> {
    front: NonNull<Front>,
    taken: bool,
    result: PhantomData<T>,
}

// SAFETY: the share moves a `T` to whichever thread takes it, and `T: Send` is required at creation.
unsafe impl<T: Send> Send for HandleShare<T> {}
// SAFETY: a shared reference reaches nothing but atomics.
unsafe impl<T: Send> Sync for HandleShare<T> {}

/// Puts a closure in a cell of its own and returns both shares.
pub(super) fn new<F, T>(
    closure: F,
    weight: u16,
    token: Option<CancellationToken>,
) -> (JobRef, HandleShare<T>)
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    let front = Front {
        header: Header::new(const { &Cell::<F, T>::JOB }, weight),
        rendezvous: Rendezvous::new(),
        handle: const { &Cell::<F, T>::HANDLE },
    };
    let stage: Stage<F, T> = Stage::Closure(closure, token);
    let cell = Box::new(Cell { front, stage: UnsafeCell::new(stage) });
    let front = NonNull::from(Box::leak(cell)).cast::<Front>();
    // SAFETY: the cell lives until both shares are released, and this is its only queue share.
    let job = unsafe { JobRef::new(front.cast()) };
    (job, HandleShare { front, taken: false, result: PhantomData })
}

impl<T> HandleShare<T> {
    fn front(&self) -> &Front {
        // SAFETY: the handle's share keeps the cell alive.
        unsafe { self.front.as_ref() }
    }

    /// Whether the result is there (or was taken).
    pub(super) fn is_complete(&self) -> bool {
        self.front().rendezvous.is_complete()
    }

    /// Asks to be woken at the end; `true` if the result is there already.
    pub(super) fn register(&mut self, waker: &Waker) -> bool {
        self.front().rendezvous.register(waker)
    }

    /// Drops the closure if it has not started.
    pub(super) fn cancel(&self) {
        // SAFETY: the share keeps the cell alive and the table belongs to the cell.
        unsafe { (self.front().handle.cancel)(self.front) }
    }

    /// Runs the closure on this thread if nobody has begun it.
    pub(super) fn execute(&self) {
        // SAFETY: the share keeps the cell alive and the table belongs to the cell.
        unsafe { (self.front().handle.execute)(self.front) }
    }

    /// Takes the result; `None` before it is there and after it was taken.
    pub(super) fn take(&mut self) -> Option<Outcome<T>> {
        if self.taken || !self.is_complete() {
            return None;
        }
        self.taken = true;
        let mut out: Option<Outcome<T>> = None;
        // SAFETY: the result is published, the table belongs to the cell, and `out` has the type it was made for.
        unsafe { (self.front().handle.take)(self.front, (&raw mut out).cast()) };
        out
    }
}

impl<T> Drop for HandleShare<T> {
    fn drop(&mut self) {
        if self.front().rendezvous.release(Side::Handle) {
            // SAFETY: the other side is gone, and the table belongs to the cell.
            unsafe { (self.front().handle.free)(self.front) };
        }
    }
}
