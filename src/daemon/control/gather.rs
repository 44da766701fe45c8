//! How long records are gathered before they go to the writer.
//!
//! What a client, an attempt or another job waits for goes at once. The starts and ends of many small
//! jobs, which nobody is kept waiting by, share a sync with those that follow within a few milliseconds:
//! the disk is asked less often, and the cores have more time for the jobs themselves.

use std::time::{Duration, Instant};

use super::{Control, Then};
use crate::job::Change;

/// So long records are gathered at most: less than anybody notices, and long enough that dozens of
/// small jobs share a sync.
const GATHERED: Duration = Duration::from_millis(4);

/// So many records are worth a sync of their own.
const ENOUGH: usize = 64;

/// With fewer attempts under way nothing would follow soon.
const UNDER_WAY: usize = 2;

/// Since when records are gathered, and whether somebody waits for one of them.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    since: Option<Instant>,
    urgent: bool,
}

impl Gathering {
    /// Whether so many records are to wait for more, while so many attempts are under way.
    fn goes_on(&mut self, now: Instant, records: usize, under_way: usize) -> bool {
        let since = *self.since.get_or_insert(now);
        !self.urgent && records < ENOUGH && under_way >= UNDER_WAY && now - since < GATHERED
    }
}

impl Control {
    /// Puts a change into the next batch.
    pub(super) fn write(&mut self, change: Change, then: Then) {
        let urgent = match (&change, &then) {
            (Change::Started { .. }, Then::Started) => false,
            (Change::Ended { job, .. }, Then::Scheduled) => {
                self.waiters.end_with(*job) || self.scheduler.is_waited_for(*job)
            }
            _ => true,
        };
        self.state.gathering.urgent |= urgent;
        self.state.batch.push(change);
        self.state.then.push(then);
    }

    /// An attempt waits for its start record.
    pub(super) const fn hurry(&mut self) {
        self.state.gathering.urgent = true;
    }

    /// Whether the batch is to wait for more.
    pub(super) fn gathers(&mut self) -> bool {
        let (records, under_way) = (self.state.batch.len(), self.lanes.len());
        self.state.gathering.goes_on(Instant::now(), records, under_way)
    }

    /// The batch has gone to the writer.
    pub(super) fn gathered(&mut self) {
        self.state.gathering = Gathering::default();
    }

    /// How long the batch may wait yet, if it waits for anything but the writer.
    pub(super) fn gathering_left(&self) -> Option<Duration> {
        let since = self.state.gathering.since.filter(|_| !self.writer.is_busy())?;
        (!self.state.batch.is_empty()).then(|| GATHERED.saturating_sub(since.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_wait_for_more_unless_somebody_waits_for_them() {
        let begun = Instant::now();
        let later = |micros| begun + Duration::from_micros(micros);
        let mut gathering = Gathering::default();
        assert!(gathering.goes_on(begun, 1, 2));
        assert!(gathering.goes_on(later(3_999), ENOUGH - 1, 2));
        assert!(!gathering.goes_on(later(10), ENOUGH, 2), "that is enough");
        assert!(!gathering.goes_on(later(10), 1, 1), "nothing follows soon");
        assert!(!gathering.goes_on(later(4_000), 2, 2), "that was long enough");
        gathering = Gathering { urgent: true, ..Gathering::default() };
        assert!(!gathering.goes_on(begun, 1, 2));
    }
}
