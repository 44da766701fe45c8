//! Many closures with one crossing: a batch is one closure on the pool whose parts the workers share out.
//!
//! Owns the sharing-out. Never allocates per closure. Invariant: each item is taken once, by one worker.

#![allow(unsafe_code)] // Items and results are moved by index.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::scope::scope;
use super::worker;

/// Maps all items, in parallel inside a pool closure, and returns the results in their order.
///
/// On a thread that belongs to no pool it is a plain loop. If `f` panics for an item the panic goes on here after the
/// others have ended; results (and items nobody took) are then dropped or, at worst, leaked.
pub fn map<T, R, F>(items: Vec<T>, f: F) -> Vec<R>
where
    T: Send,
    R: Send,
    F: Fn(T) -> R + Sync,
{
    let helpers = worker::with_current(|w| w.map_or(0, |w| w.shared.threads.cores() - 1));
    let len = items.len();
    if helpers == 0 || len < 2 {
        return items.into_iter().map(f).collect();
    }
    let mut results: Vec<MaybeUninit<R>> = Vec::with_capacity(len);
    // SAFETY: uninitialised elements of this type are fine, and there is room for `len` of them.
    unsafe { results.set_len(len) };
    let share = Share::new(items, &mut results, helpers + 1);
    scope(|s| {
        for _ in 0..helpers.min(len - 1) {
            s.spawn(|_| share.work(&f));
        }
        share.work(&f);
    });
    drop(share);
    let mut results = ManuallyDrop::new(results);
    // SAFETY: `scope` returned without a panic, so each index was taken and its result written; the two element types
    // have the same layout.
    unsafe { Vec::from_raw_parts(results.as_mut_ptr().cast(), len, results.capacity()) }
}

struct Share<T, R> {
    next: AtomicUsize,
    len: usize,
    hands: usize,
    items: *mut T,
    results: *mut MaybeUninit<R>,
    /// Keeps the items' memory; the items themselves are moved out one by one.
    memory: Vec<MaybeUninit<T>>,
}

// SAFETY: each index is handed to one worker only, and `T` and `R` may change threads.
unsafe impl<T: Send, R: Send> Sync for Share<T, R> {}

impl<T, R> Share<T, R> {
    fn new(items: Vec<T>, results: &mut [MaybeUninit<R>], hands: usize) -> Self {
        let mut items = ManuallyDrop::new(items);
        let len = items.len();
        // SAFETY: the parts are those of a vector that is not used again; `MaybeUninit<T>` has the layout of `T`.
        let mut memory: Vec<MaybeUninit<T>> =
            unsafe { Vec::from_raw_parts(items.as_mut_ptr().cast(), len, items.capacity()) };
        let items = memory.as_mut_ptr().cast();
        Self { next: AtomicUsize::new(0), len, hands, items, results: results.as_mut_ptr(), memory }
    }

    /// Takes pieces until none is left: big ones first, single items in the end, so that all hands finish together.
    fn work(&self, f: &(impl Fn(T) -> R + Sync)) {
        loop {
            let seen = self.next.load(Ordering::Relaxed);
            let left = self.len.saturating_sub(seen);
            let piece = (left / (4 * self.hands)).max(1);
            let begin = self.next.fetch_add(piece, Ordering::Relaxed);
            if begin >= self.len {
                return;
            }
            for index in begin..(begin + piece).min(self.len) {
                // SAFETY: the counter handed this index to this call alone; item and result are in bounds.
                unsafe {
                    let result = f(self.items.add(index).read());
                    (*self.results.add(index)).write(result);
                }
            }
        }
    }
}

impl<T, R> Drop for Share<T, R> {
    fn drop(&mut self) {
        let taken = (*self.next.get_mut()).min(self.len);
        for item in &mut self.memory[taken..] {
            // SAFETY: nobody took an index from here on.
            unsafe { item.assume_init_drop() };
        }
    }
}
