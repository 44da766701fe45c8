//! Elements of arrays that are written down as one.

use std::collections::HashSet;
use std::sync::Arc;

use crate::job::{ArrayPlace, Folded, Job, JobId, State, WallTime};
use crate::store::fold::FoldedElements;
use crate::store::{Refusal, gate};

use super::{Boot, Content, Kept};

impl Content {
    fn folded(&mut self, folded: Folded) -> Result<&mut FoldedElements, Refusal> {
        let kept = self.folds.get_mut(&folded.array).filter(|kept| kept.folded() == folded);
        kept.ok_or_else(|| gate::folded_otherwise(folded))
    }

    fn ended(&mut self, folded: Folded) -> Result<(), Refusal> {
        let is_final = self.folded(folded)?.first.state.is_final();
        if is_final { Ok(()) } else { Err(gate::folded_otherwise(folded)) }
    }

    pub(super) fn fold_moved(
        &mut self,
        folded: Folded,
        (from, to): (State, State),
        reason: Option<&String>,
        at: WallTime,
    ) -> Result<(), Refusal> {
        let first = &mut self.folded(folded)?.first;
        if first.state != from {
            return Err(gate::folded_otherwise(folded));
        }
        first.state = to;
        first.reason = reason.cloned();
        first.finished_at = to.is_final().then_some(at);
        Ok(())
    }

    pub(super) fn fold_removed(&mut self, folded: Folded) -> Result<(), Refusal> {
        self.ended(folded)?;
        self.folds.remove(&folded.array);
        Ok(())
    }

    pub(super) fn unfold(&mut self, array: JobId, count: u64, boot: &Boot) -> Result<(), Refusal> {
        if self.folds.get(&array).is_some_and(|folded| folded.first.state.is_final()) {
            return Err(gate::nothing_to_unfold(array));
        }
        self.make_rows(array, count, boot)
    }

    pub(super) fn unfold_ended(
        &mut self,
        folded: Folded,
        count: u64,
        boot: &Boot,
    ) -> Result<(), Refusal> {
        self.ended(folded)?;
        self.make_rows(folded.array, count, boot)
    }

    fn make_rows(&mut self, array: JobId, count: u64, boot: &Boot) -> Result<(), Refusal> {
        gate::unfolded(array, count)?;
        let Some(mut folded) = self.folds.remove(&array) else {
            return Err(gate::nothing_to_unfold(array));
        };
        let clash = || Refusal::Invariant(format!("an index of array {array} is there already"));
        let taken: HashSet<ArrayPlace> =
            self.jobs.values().filter_map(|kept| kept.job.place).collect();
        let end = folded.first.id.after(count.min(folded.fold.count));
        let (mut id, mut made) = (folded.first.id, Vec::new());
        while let Some(job) = folded.job(id).filter(|_| id < end) {
            made.push(job);
            id = id.after(1);
        }
        if made.iter().any(|job| job.place.is_some_and(|place| taken.contains(&place))) {
            self.folds.insert(array, folded);
            return Err(clash());
        }
        let kept = |job: Job| (job.id, Kept::of(job, Arc::default(), boot));
        self.jobs.extend(made.into_iter().map(kept));
        if let Some(first) = folded.job(id) {
            folded.fold.count -= id.get() - folded.first.id.get();
            self.folds.insert(array, FoldedElements { first, ..folded });
        }
        Ok(())
    }
}
