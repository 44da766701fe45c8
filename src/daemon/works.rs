//! The work of jobs whose turn comes soon, kept at hand so that starting them needs no read.

use std::collections::{BTreeMap, HashMap};

use crate::job::JobId;
use crate::store::Work;

/// The most works kept of those that came in: beyond that they are read from the store when their turn
/// comes near.
const MOST: usize = 4_000;

/// The most works kept that were read ahead.
const MOST_AHEAD: usize = 4_000;

/// A bounded table of works.
#[derive(Debug, Default)]
pub(super) struct Works {
    /// Those that came with their submission.
    kept: BTreeMap<JobId, Work>,
    /// Those that were read since their turn is near.
    ahead: HashMap<JobId, Work>,
}

impl Works {
    /// Keeps the first works of a submission. The oldest of earlier ones make room for them: those had
    /// their time to start, and may wait in a paused queue for days.
    pub(super) fn keep(&mut self, submitted: impl IntoIterator<Item = Work>) {
        let mut first = None;
        for work in submitted {
            let first = *first.get_or_insert(work.id);
            if self.kept.len() >= MOST {
                let oldest = self.kept.first_key_value().map(|(id, _)| *id);
                if oldest.is_none_or(|oldest| oldest >= first) {
                    return;
                }
                self.kept.pop_first();
            }
            self.kept.insert(work.id, work);
        }
    }

    /// Keeps works that were read ahead. Jobs may be cancelled or held after that: once too many are
    /// kept, all of the earlier ones go, and are read again if it was too early.
    pub(super) fn keep_ahead(&mut self, read: Vec<Work>) {
        if self.ahead.len() + read.len() > MOST_AHEAD {
            self.ahead.clear();
        }
        self.ahead.extend(read.into_iter().take(MOST_AHEAD).map(|work| (work.id, work)));
    }

    /// Takes out a work that was read ahead; says how many of them are left.
    pub(super) fn take_ahead(&mut self, job: JobId) -> Option<(Work, usize)> {
        let work = self.ahead.remove(&job)?;
        Some((work, self.ahead.len()))
    }

    pub(super) fn has(&self, job: JobId) -> bool {
        self.kept.contains_key(&job) || self.ahead.contains_key(&job)
    }

    /// Takes a work out.
    pub(super) fn take(&mut self, job: JobId) -> Option<Work> {
        self.kept.remove(&job).or_else(|| self.ahead.remove(&job))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;

    use super::{MOST, MOST_AHEAD, Works};
    use crate::job::{Context, JobId, Spec};
    use crate::store::Work;

    fn id(number: usize) -> JobId {
        JobId::new(number as u64).expect("an id")
    }

    fn works(numbers: Range<usize>) -> impl Iterator<Item = Work> {
        let (spec, context) = (Arc::new(Spec::default()), Arc::new(Context::default()));
        numbers.map(move |number| Work {
            id: id(number),
            place: None,
            edits: 0,
            spec: Arc::clone(&spec),
            context: Arc::clone(&context),
        })
    }

    /// Jobs that waited in a paused queue once kept the place of all that came after them.
    #[test]
    fn what_waits_for_long_makes_room_for_what_comes() {
        let mut kept = Works::default();
        kept.keep(works(1..MOST + 1));
        kept.keep(works(MOST + 1..MOST + 11));
        assert!(kept.take(id(10)).is_none(), "the oldest made room");
        assert!(kept.take(id(11)).is_some(), "and no other");
        assert!((MOST + 1..MOST + 11).all(|number| kept.take(id(number)).is_some()));
    }

    #[test]
    fn what_was_read_ahead_of_its_turn_is_bounded_and_goes_with_its_start() {
        let mut kept = Works::default();
        let left = |kept: &mut Works, number| kept.take_ahead(id(number)).map(|(_, left)| left);
        assert_eq!(left(&mut kept, 1), None);
        kept.keep_ahead(works(1..MOST_AHEAD + 1).collect());
        assert_eq!((kept.has(id(1)), left(&mut kept, 1)), (true, Some(MOST_AHEAD - 1)));
        assert!(!kept.has(id(1)));
        kept.keep_ahead(works(MOST_AHEAD + 1..MOST_AHEAD + 11).collect());
        assert_eq!(left(&mut kept, MOST_AHEAD + 1), Some(9), "too many went at once");
        kept.keep_ahead(works(1..3 * MOST_AHEAD).collect());
        assert_eq!(left(&mut kept, 1), Some(MOST_AHEAD - 1), "of so many the first");
    }

    #[test]
    fn of_a_huge_submission_those_are_kept_that_start_first() {
        let mut kept = Works::default();
        kept.keep(works(1..11));
        kept.keep(works(11..3 * MOST));
        assert!(kept.take(id(10)).is_none());
        assert!((11..MOST + 11).all(|number| kept.take(id(number)).is_some()));
        assert!(kept.take(id(MOST + 11)).is_none());
    }
}
