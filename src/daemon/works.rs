//! The work of jobs whose turn comes soon, kept at hand so that starting them needs no read.

use std::collections::HashMap;

use crate::job::JobId;
use crate::store::Work;

/// The most works kept: beyond that they are read from the store when their turn comes.
const MOST: usize = 20_000;

/// A bounded table of works.
#[derive(Debug, Default)]
pub(super) struct Works {
    kept: HashMap<JobId, Work>,
}

impl Works {
    /// Keeps a work, if there is room.
    pub(super) fn keep(&mut self, work: Work) {
        if self.kept.len() < MOST {
            self.kept.insert(work.id, work);
        }
    }

    /// Takes a work out.
    pub(super) fn take(&mut self, job: JobId) -> Option<Work> {
        self.kept.remove(&job)
    }
}
