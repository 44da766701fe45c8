//! A wait inside a closure, during which its core permits are in the hands of others.
//!
//! Owns nothing between waits. Never returns without as many permits as the closure had (fewer only after a shrink).

use std::sync::Arc;
use std::time::Instant;

use super::book::Turn;
use super::handle::block_on;
use super::ledger::Wait;
use super::slot::Mode;
use super::worker::Worker;

impl Worker {
    /// Runs `f` with the closure's permits in the hands of others, and gets as many back before it returns.
    pub(super) fn wait_outside<R>(&self, f: impl FnOnce() -> R) -> R {
        if self.slot.duty().mode != Mode::Cpu {
            return f();
        }
        let was = self.end_stretch(Mode::Waiting);
        let _back = ComeBack { worker: self, begin: Instant::now() };
        self.shared.lent.add(self.held.get());
        if was.charge > 0 {
            self.shared.give_and_notify(was.charge);
        }
        f()
    }
}

/// Gets the permits back at the end of a declared wait, also when it ends in a panic.
struct ComeBack<'a> {
    worker: &'a Worker,
    begin: Instant,
}

impl Drop for ComeBack<'_> {
    fn drop(&mut self) {
        let worker = self.worker;
        worker.slot.counters.blocked_ns.add(self.begin.elapsed().as_nanos() as u64);
        let lent = worker.held.get();
        let granted = if worker.shared.book.try_take(lent) {
            lent
        } else {
            block_on(Wait::new(Arc::clone(&worker.shared), Turn::Returning, lent))
        };
        worker.shared.lent.sub(lent);
        worker.take_up(granted);
    }
}
