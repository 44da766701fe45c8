//! Long arrays: most of their elements are written down as one, and become jobs of their own when the
//! scheduler wants more or when somebody names them.

use super::super::event::{Answer, FoldedRange};
use super::Control;
use crate::job::{Fold, JobId, NewJob};
use crate::protocol::Error;
use crate::scheduler::{FoldedEntry, Input};

/// So many elements become jobs at once: some milliseconds of work for the disk and the loop, and
/// enough that a lane full of short jobs does not run dry meanwhile.
pub(in super::super) const UNFOLDED_AT_ONCE: u64 = 4_096;

/// Somebody waits until elements are jobs of their own.
#[derive(Debug)]
pub(super) struct Naming {
    /// Arrays, and up to which element.
    wanted: Vec<(JobId, JobId)>,
    answer: Answer<()>,
}

impl Control {
    /// The elements behind the last of the jobs, which were written down with it.
    pub(super) fn folded_behind(&self, last: &NewJob, fold: Fold) -> FoldedEntry {
        let mut first = self.entry(last);
        first.id = first.id.after(1);
        if let Some(place) = &mut first.place {
            place.index += fold.step;
        }
        FoldedEntry { first, fold, at_once: UNFOLDED_AT_ONCE }
    }

    /// They are there.
    pub(super) fn enter_folded(&mut self, folded: FoldedEntry) {
        self.step(Input::Folded(Box::new(folded)));
        self.publish_folds();
    }

    /// Makes jobs of the elements that somebody names.
    pub(super) fn on_unfold(&mut self, wanted: Vec<(JobId, JobId)>, answer: Answer<()>) {
        if let Some(full) = &self.state.full {
            let refusal = Error::StorageFull { message: full.to_string() };
            // The session may have gone.
            let _ = answer.send(Err(refusal));
            return;
        }
        for (array, through) in &wanted {
            self.step(Input::Unfold { array: *array, through: *through });
        }
        self.state.namings.push(Naming { wanted, answer });
        self.answer_namings();
    }

    /// Some elements are jobs of their own now.
    pub(super) fn unfolded(&mut self) {
        self.publish_folds();
        self.answer_namings();
    }

    fn answer_namings(&mut self) {
        let scheduler = &self.scheduler;
        let is_folded = |(array, through): &(JobId, JobId)| {
            scheduler.folded_from(*array).is_some_and(|first| first <= *through)
        };
        let done = |naming: &mut Naming| !naming.wanted.iter().any(is_folded);
        for naming in self.state.namings.extract_if(.., done) {
            let _ = naming.answer.send(Ok(()));
        }
    }

    /// Nobody is kept waiting for a disk that is full.
    pub(super) fn fail_namings(&mut self, error: &Error) {
        for naming in std::mem::take(&mut self.state.namings) {
            let _ = naming.answer.send(Err(error.clone()));
        }
    }

    pub(super) fn publish_folds(&mut self) {
        self.folds.send_replace(self.scheduler.folds().map(FoldedRange::of).collect());
    }
}
