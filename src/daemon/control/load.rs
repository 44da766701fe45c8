//! The work of jobs that start: at hand, or read from the store together with that of the jobs behind them.
//!
//! Owns what is being read. Invariant: a start whose work is not at hand is read for by itself and at
//! once; what is read ahead is nobody's wish, and is thrown away if it may be out of date.

use std::collections::HashSet;

use super::super::event::Event;
use super::Control;
use crate::job::JobId;
use crate::store::Work;

/// How many works are read ahead at once: a query for so many takes a few milliseconds, in which
/// those at hand are started.
const AHEAD: usize = 256;

/// So few left of what was read ahead have the next ones read.
const FEW: usize = AHEAD / 2;

/// What is being read.
#[derive(Debug, Default)]
pub(super) struct Loading {
    /// Starts whose work must be read.
    pub(super) wanted: Vec<JobId>,
    /// Works are being read ahead.
    ahead: bool,
    /// A job was edited meanwhile, so they may be old ones.
    stale: bool,
}

impl Control {
    /// Reads the work of starts that was not at hand, in one query a turn, and what comes behind them in another.
    pub(super) fn load_wanted(&mut self) {
        if self.state.loading.wanted.is_empty() {
            return;
        }
        let wanted = std::mem::take(&mut self.state.loading.wanted);
        self.read_ahead(&wanted);
        let (readers, own) = (self.readers.clone(), self.own.clone());
        tokio::spawn(async move {
            let asked = wanted.clone();
            let found = readers.query_patiently(move |reader| reader.specs(&asked)).await;
            // The loop is gone only when the daemon has ended.
            let _ = own.send(Event::Loaded { wanted, found }).await;
        });
    }

    pub(super) fn on_loaded(&mut self, wanted: &[JobId], found: &[Work]) {
        for work in found {
            self.launch(work);
        }
        let read: HashSet<JobId> = found.iter().map(|work| work.id).collect();
        for job in wanted.iter().filter(|job| !read.contains(job)) {
            self.fail_to_launch(*job, "its work could not be read from the store".to_owned());
        }
    }

    /// The work of a job that starts; of those that were read ahead the next are read while some are left.
    pub(super) fn work_at_hand(&mut self, job: JobId) -> Option<Work> {
        let Some((work, left)) = self.works.take_ahead(job) else { return self.works.take(job) };
        if left <= FEW {
            self.read_ahead(&[job]);
        }
        Some(work)
    }

    /// Reads the works of those that stand in line behind the ones that were started.
    fn read_ahead(&mut self, started: &[JobId]) {
        if self.state.loading.ahead {
            return;
        }
        let behind = started.iter().flat_map(|job| self.scheduler.alike(*job).take(AHEAD));
        let unknown = behind.filter(|job| !self.works.has(*job));
        let next: Vec<JobId> = unknown.take(AHEAD).collect();
        if next.is_empty() {
            return;
        }
        (self.state.loading.ahead, self.state.loading.stale) = (true, false);
        let (readers, own) = (self.readers.clone(), self.own.clone());
        tokio::spawn(async move {
            // What could not be read ahead is read when its turn has come.
            let found = readers.query(move |reader| reader.specs(&next)).await.unwrap_or_default();
            let _ = own.send(Event::ReadAhead(found)).await;
        });
    }

    pub(super) fn on_read_ahead(&mut self, found: Vec<Work>) {
        self.state.loading.ahead = false;
        if !self.state.loading.stale {
            let waiting = found.into_iter().filter(|work| {
                self.scheduler.job(work.id).is_some_and(|live| live.token.is_none())
            });
            self.works.keep_ahead(waiting.collect());
        }
    }

    /// A job's work has changed: what was kept, or is being read, is the old one.
    pub(super) fn forget_work(&mut self, job: JobId) {
        self.works.take(job);
        self.state.loading.stale = true;
    }
}
