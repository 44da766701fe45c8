//! Fork-join of any number of closures, which may borrow from the frame that opened the scope.
//!
//! Owns the count of children. Never returns before each of them has ended. One allocation a child. The first panic is
//! carried on at the end.

#![allow(unsafe_code)] // A child's lifetime is bound by the count instead of the type system.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::job::{Header, JobRef, VTable};
use super::latch::Latch;
use super::slot::Slot;
use super::sync::lock;
use super::worker::{self, Worker};

/// A place in which closures can be spawned that borrow what outlives `'scope`.
pub struct Scope<'scope> {
    /// Children that have not ended, and the frame itself.
    open: AtomicUsize,
    done: Latch,
    owner: Option<Arc<Slot>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Invariant in `'scope`, so that nobody shortens what the children borrow.
    lifetime: PhantomData<fn(&'scope ()) -> &'scope ()>,
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.open.load(Ordering::Relaxed);
        f.debug_struct("Scope").field("open", &open).finish_non_exhaustive()
    }
}

/// Opens a scope, runs `f` in it, and returns when `f` and all closures it spawned have ended.
///
/// Inside a pool closure the children go on the worker's own deque, where idle workers steal them, on core permits that
/// nobody waits for. On any other thread each child runs at once where it is spawned. If `f` or a child panics, the first
/// panic goes on here after all have ended.
pub fn scope<'scope, R>(f: impl FnOnce(&Scope<'scope>) -> R) -> R {
    worker::with_current(|worker| {
        let scope = Scope {
            open: AtomicUsize::new(1),
            done: Latch::default(),
            owner: worker.map(|w| Arc::clone(&w.slot)),
            panic: Mutex::new(None),
            lifetime: PhantomData,
        };
        let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
        scope.child_ended();
        if let Some(worker) = worker {
            scope.wait(worker);
        }
        let panic = lock(&scope.panic).take();
        match (result, panic) {
            (Ok(result), None) => result,
            (Err(panic), _) | (_, Some(panic)) => resume_unwind(panic),
        }
    })
}

#[repr(C)]
struct Child<F> {
    header: Header,
    scope: NonNull<()>,
    closure: F,
}

impl<F> Child<F> {
    unsafe fn run<'scope>(header: NonNull<Header>)
    where
        F: FnOnce(&Scope<'scope>) + Send + 'scope,
    {
        // SAFETY: the reference that is consumed here was made from this box.
        let child = unsafe { Box::from_raw(header.cast::<Self>().as_ptr()) };
        let Self { scope, closure, .. } = *child;
        // SAFETY: the scope's frame waits for this child to be counted as ended.
        let scope = unsafe { scope.cast::<Scope<'scope>>().as_ref() };
        scope.run(closure);
        scope.child_ended();
    }
}

impl<'scope> Scope<'scope> {
    /// Spawns a child, which gets the scope to spawn further ones.
    pub fn spawn<F>(&self, closure: F)
    where
        F: FnOnce(&Self) + Send + 'scope,
    {
        worker::with_current(|worker| match worker {
            Some(worker) if self.owner.is_some() => self.spawn_on(worker, closure),
            _ => self.run(closure),
        });
    }

    fn spawn_on<F>(&self, worker: &Worker, closure: F)
    where
        F: FnOnce(&Self) + Send + 'scope,
    {
        let table = const {
            &VTable { run: Child::<F>::run, abandon: Child::<F>::run, claimed: |_| false }
        };
        self.open.fetch_add(1, Ordering::Relaxed);
        let child =
            Child { header: Header::new(table, 1), scope: NonNull::from(self).cast(), closure };
        let header = NonNull::from(Box::leak(Box::new(child))).cast::<Header>();
        // SAFETY: the box lives until the reference is run, and what it borrows lives until the scope has counted it.
        worker.deques.children.push(unsafe { JobRef::new(header) });
        worker.shared.notify();
    }

    fn run(&self, closure: impl FnOnce(&Self)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| closure(self))) {
            lock(&self.panic).get_or_insert(panic);
        }
    }

    fn child_ended(&self) {
        // The owner's slot is kept alive from here: the scope may be gone once the count is zero and the latch set.
        let owner = self.owner.clone();
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(owner) = owner
        {
            self.done.set(&owner);
        }
    }

    fn wait(&self, worker: &Worker) {
        self.done.wait(worker);
    }
}

// SAFETY: children on other threads touch only the count, the latch and the panic slot, which are made for that.
unsafe impl Sync for Scope<'_> {}
