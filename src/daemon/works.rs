//! The work of jobs whose turn comes soon, kept at hand so that starting them needs no read.

use std::collections::{BTreeMap, HashMap, VecDeque};

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
    /// Those that were read since their turn is near, and whether half of what was read with one is used
    /// when its turn has come.
    ahead: HashMap<JobId, (Work, bool)>,
    /// What was read together, the oldest first.
    read: VecDeque<Vec<JobId>>,
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

    /// Keeps works that were read ahead, in the order of their turns. Jobs may be cancelled or held after
    /// that: once too much was read, what is left of the oldest goes.
    pub(super) fn keep_ahead(&mut self, mut read: Vec<Work>) {
        read.truncate(MOST_AHEAD);
        self.read.push_back(read.iter().map(|work| work.id).collect());
        while self.read.iter().map(Vec::len).sum::<usize>() > MOST_AHEAD
            && let Some(oldest) = self.read.pop_front()
        {
            for job in oldest {
                self.ahead.remove(&job);
            }
        }
        let half = read.len() / 2;
        let marked = read.into_iter().enumerate().map(|(at, work)| (work.id, (work, at == half)));
        self.ahead.extend(marked);
    }

    /// Takes out a work that was read ahead; says whether half of those that were read with it are used now.
    pub(super) fn take_ahead(&mut self, job: JobId) -> Option<(Work, bool)> {
        self.ahead.remove(&job)
    }

    pub(super) fn has(&self, job: JobId) -> bool {
        self.kept.contains_key(&job) || self.ahead.contains_key(&job)
    }

    /// Takes a work out.
    pub(super) fn take(&mut self, job: JobId) -> Option<Work> {
        let ahead = self.ahead.remove(&job).map(|(work, _)| work);
        self.kept.remove(&job).or(ahead)
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
        let half = |kept: &mut Works, number| kept.take_ahead(id(number)).map(|(_, half)| half);
        assert_eq!(half(&mut kept, 1), None);
        kept.keep_ahead(works(1..11).collect());
        assert!(kept.has(id(6)));
        assert_eq!((half(&mut kept, 1), half(&mut kept, 6)), (Some(false), Some(true)));
        assert!(!kept.has(id(6)));
        kept.keep_ahead(works(11..MOST_AHEAD + 1).collect());
        assert!(kept.has(id(2)), "there is room for so many");
        kept.keep_ahead(works(MOST_AHEAD + 1..MOST_AHEAD + 11).collect());
        assert!(!kept.has(id(2)) && kept.has(id(11)), "the oldest make room");
        kept.keep_ahead(works(MOST_AHEAD..3 * MOST_AHEAD).collect());
        assert_eq!(kept.ahead.len(), MOST_AHEAD);
        assert_eq!(kept.read.len(), 1);
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
