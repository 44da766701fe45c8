//! Fork-join of two closures without an allocation: the second one lies on the stack while others may steal it.
//!
//! Owns the stack frame of the forked closure. Never returns while somebody may still touch that frame. A panic of either
//! side is carried on after both have ended.

#![allow(unsafe_code)] // The forked closure is reached through a pointer into this frame.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

use super::job::{Header, JobRef, VTable};
use super::latch::Latch;
use super::slot::Slot;
use super::worker::{self, Worker};

type Caught<T> = Result<T, Box<dyn Any + Send>>;

/// Runs both closures, possibly at the same time, and returns both results.
///
/// Inside a pool closure `b` goes on the worker's own deque, where idle workers steal it, on core permits that nobody
/// waits for; nothing is allocated. On any other thread both run here, one after the other: use
/// [`super::Pool::install`] to come inside. If either panics, the panic goes on here when both have ended.
pub fn join<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    worker::with_current(|worker| match worker {
        Some(worker) => join_on(worker, a, b),
        None => (a(), b()),
    })
}

enum Fork<B, R> {
    Closure(B),
    Result(Caught<R>),
    Empty,
}

#[repr(C)]
struct StackJob<B, R> {
    header: Header,
    latch: Latch,
    owner: Arc<Slot>,
    fork: UnsafeCell<Fork<B, R>>,
}

impl<B, R> StackJob<B, R>
where
    B: FnOnce() -> R + Send,
    R: Send,
{
    // A sub-job is a part of a closure that runs: giving it up would leave its parent without a result.
    const JOB: VTable = VTable { run: Self::run, abandon: Self::run, claimed: |_| false };

    unsafe fn run(header: NonNull<Header>) {
        let job = header.cast::<Self>();
        // SAFETY: the frame stays until the latch is set, which is the last thing done here.
        let job = unsafe { job.as_ref() };
        // The owner's frame may be gone once the latch is set, so the slot is kept alive from here.
        let owner = Arc::clone(&job.owner);
        // SAFETY: the one holder of the reference is the only one to touch the fork before the latch is set.
        let fork = unsafe { &mut *job.fork.get() };
        if let Fork::Closure(closure) = std::mem::replace(fork, Fork::Empty) {
            *fork = Fork::Result(catch_unwind(AssertUnwindSafe(closure)));
        }
        job.latch.set(&owner);
    }
}

fn join_on<A, B, RA, RB>(worker: &Worker, a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    let fork = StackJob {
        header: Header::new(const { &StackJob::<B, RB>::JOB }, 1),
        latch: Latch::default(),
        owner: Arc::clone(&worker.slot),
        fork: UnsafeCell::new(Fork::Closure(b)),
    };
    let header = NonNull::from(&fork).cast::<Header>();
    // SAFETY: the frame is not left before the reference came back from the deque or the latch is set.
    worker.deques.children.push(unsafe { JobRef::new(header) });
    worker.shared.notify();
    let result_a = catch_unwind(AssertUnwindSafe(a));
    while !fork.latch.is_set() {
        match worker.deques.children.pop() {
            Some(job) => {
                worker.slot.counters.run.add(1);
                job.run();
            }
            None => fork.latch.wait(worker),
        }
    }
    let result_b = fork.fork.into_inner();
    match (result_a, result_b) {
        (Ok(a), Fork::Result(Ok(b))) => (a, b),
        (Err(panic), _) | (_, Fork::Result(Err(panic))) => resume_unwind(panic),
        (Ok(_), Fork::Closure(_) | Fork::Empty) => {
            unreachable!("the latch is set after the result is written")
        }
    }
}
