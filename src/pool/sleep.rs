//! Who sleeps and who looks for work: two counts in one word, and the stack of sleepers.
//!
//! Owns the decision whether a push has to wake somebody. Never blocks a thread (the caller parks) and never looks at a
//! queue. Invariants: a worker is counted as searching or sleeping or neither; a worker on the stack is woken by nobody
//! but the one who popped it; at most one wake-up is under way that nobody has answered (a woken worker counts as
//! searching from the moment it was chosen). The numbered protocol is in README.md.

use super::sync::{AtomicU64, Mutex, Ordering, fence, lock};

const SLEEPING_BITS: u32 = 32;
const ONE_SLEEPING: u64 = 1 << SLEEPING_BITS;
const SEARCHING: u64 = ONE_SLEEPING - 1;

/// The counts and the stack.
#[derive(Debug)]
pub(super) struct Sleep {
    counts: AtomicU64,
    stack: Mutex<Vec<usize>>,
}

impl Sleep {
    /// Nobody sleeps, nobody searches.
    pub(super) fn new() -> Self {
        Self { counts: AtomicU64::new(0), stack: Mutex::new(Vec::new()) }
    }

    /// How many workers are looking for work.
    pub(super) fn searching(&self) -> usize {
        (self.counts.load(Ordering::SeqCst) & SEARCHING) as usize
    }

    /// How many workers sleep.
    pub(super) fn sleeping(&self) -> usize {
        (self.counts.load(Ordering::SeqCst) >> SLEEPING_BITS) as usize
    }

    /// After a push: whether nobody is looking, so that somebody should be woken. The fence orders the push before the
    /// look at the counts (step P2).
    pub(super) fn push_needs_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.searching() == 0
    }

    /// Becomes the one who wakes: counts the worker that will be woken as searching. Fails if one searches already.
    pub(super) fn claim_wake(&self) -> bool {
        let counts = self.counts.load(Ordering::SeqCst);
        counts & SEARCHING == 0
            && self
                .counts
                .compare_exchange(counts, counts + 1, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
    }

    /// A worker begins to look.
    pub(super) fn begin_search(&self) {
        self.counts.fetch_add(1, Ordering::SeqCst);
    }

    /// A worker ends its search with something found (or a waker found nobody to wake). True for the last one, who must
    /// look whether more work wants a worker.
    pub(super) fn end_search(&self) -> bool {
        self.counts.fetch_sub(1, Ordering::SeqCst) & SEARCHING == 1
    }

    /// A searching worker lies down. It must look at the queues once more before it parks (step S3).
    pub(super) fn lie_down(&self, worker: usize) {
        let mut stack = lock(&self.stack);
        stack.push(worker);
        self.counts.fetch_add(ONE_SLEEPING - 1, Ordering::SeqCst);
        drop(stack);
        fence(Ordering::SeqCst);
    }

    /// A worker gets up by itself and searches again; `false` if it was popped: then a token is on its way.
    pub(super) fn get_up(&self, worker: usize) -> bool {
        let mut stack = lock(&self.stack);
        let Some(place) = stack.iter().rposition(|&w| w == worker) else { return false };
        stack.remove(place);
        self.counts.fetch_sub(ONE_SLEEPING - 1, Ordering::SeqCst);
        true
    }

    /// Chooses the sleeper that lay down last; the caller owes it a token.
    pub(super) fn pop(&self) -> Option<usize> {
        let mut stack = lock(&self.stack);
        let worker = stack.pop()?;
        self.counts.fetch_sub(ONE_SLEEPING, Ordering::SeqCst);
        Some(worker)
    }
}
