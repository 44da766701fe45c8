//! The work of jobs that start: at hand, or read from the store together with that of the jobs behind them.
//!
//! Owns what is being read. Invariant: a start whose work is not at hand is read for by itself and at
//! once; what is read ahead is nobody's wish, and is thrown away if it may be out of date.

use std::collections::HashSet;

use super::super::event::Event;
use super::Control;
use crate::job::JobId;
use crate::store::Work;

/// The most works that are read ahead at once: a query for so many takes a few milliseconds, in which
/// those at hand are started.
const MOST: usize = 256;

/// So many are read ahead while what was read before is not used, because very many lines take turns.
const LEAST: usize = 4;

/// What is being read.
#[derive(Debug, Default)]
pub(super) struct Loading {
    /// Starts whose work must be read.
    pub(super) wanted: Vec<JobId>,
    /// Works are being read ahead.
    ahead: bool,
    /// A job was edited meanwhile, so they may be old ones.
    stale: bool,
    reach: Reach,
}

/// How far is read ahead: further while what was read is used.
#[derive(Debug)]
struct Reach {
    most: usize,
    /// How many were read the last time, and how many of all were used since.
    read: usize,
    used: usize,
}

impl Default for Reach {
    fn default() -> Self {
        Self { most: MOST / 8, read: 0, used: 0 }
    }
}

impl Reach {
    /// How many are to be read now.
    fn next(&mut self) -> usize {
        // The next ones are asked for when the half is used.
        let useful = self.used * 3 >= self.read;
        self.most = if useful { (self.most * 2).min(MOST) } else { (self.most / 2).max(LEAST) };
        (self.read, self.used) = (0, 0);
        self.most
    }
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
        let Some((work, half)) = self.works.take_ahead(job) else { return self.works.take(job) };
        self.state.loading.reach.used += 1;
        if half {
            self.read_ahead(&[job]);
        }
        Some(work)
    }

    /// Reads the works of those that stand in line behind the ones that were started.
    fn read_ahead(&mut self, started: &[JobId]) {
        if self.state.loading.ahead {
            return;
        }
        let next = self.next_in_line(started);
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

    /// Which works are to be read, looking at each line once and not far.
    fn next_in_line(&mut self, started: &[JobId]) -> Vec<JobId> {
        let reach = self.state.loading.reach.next();
        let (mut lines, mut next) = (HashSet::new(), Vec::new());
        let mut looks = 2 * MOST;
        for job in started {
            let mut alike = self.scheduler.alike(*job).take(reach.min(looks)).peekable();
            // Who has the same one in front of the line stood in the same line.
            if !alike.peek().is_some_and(|first| lines.insert(*first)) {
                continue;
            }
            for job in alike {
                looks -= 1;
                if next.len() < reach && !self.works.has(job) {
                    next.push(job);
                }
            }
        }
        next
    }

    pub(super) fn on_read_ahead(&mut self, found: Vec<Work>) {
        self.state.loading.ahead = false;
        if !self.state.loading.stale {
            let waits =
                |work: &Work| self.scheduler.job(work.id).is_some_and(|live| live.token.is_none());
            let waiting: Vec<Work> = found.into_iter().filter(waits).collect();
            self.state.loading.reach.read = waiting.len();
            self.works.keep_ahead(waiting);
        }
    }

    /// A job's work has changed: what was kept, or is being read, is the old one.
    pub(super) fn forget_work(&mut self, job: JobId) {
        self.works.take(job);
        self.state.loading.stale = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_read_ahead_as_is_used() {
        let mut reach = Reach::default();
        for _ in 0..8 {
            reach.read = reach.next();
            reach.used = reach.read / 2;
        }
        assert_eq!(reach.next(), MOST);
        for _ in 0..8 {
            reach.read = reach.next().max(1);
        }
        assert_eq!(reach.next(), LEAST, "nothing was used");
        (reach.read, reach.used) = (LEAST, LEAST);
        assert_eq!(reach.next(), 2 * LEAST);
    }
}
