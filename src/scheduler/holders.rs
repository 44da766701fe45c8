//! Who holds what others wait for, and who says how much of it there is.
//!
//! Owns nothing and decides nothing. Costs a look at what runs.

use super::Scheduler;
use super::gate::{Gate, Holder};
use super::limit_names::LimitName;
use super::limits::{Limit, LimitNo};
use super::table::Record;
use crate::job::{Class, JobId};

/// The most holders that are named: the rest would only fill the screen.
const MOST_HOLDERS: usize = 8;

/// Who says how much may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The rule of this name in the settings of keys.
    Rule(String),
    /// The newest job that names the limit.
    Job(JobId),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rule(pattern) => write!(f, "limits.keys.{pattern:?} of the config"),
            Self::Job(job) => write!(f, "said by job {job}"),
        }
    }
}

impl Scheduler {
    pub(super) fn holders_of(&self, limit: LimitNo) -> Vec<Holder> {
        self.most_of(|record| {
            let mut set = self.limits.of(record.limits).iter();
            set.find(|(number, _)| *number == limit).map(|&(_, amount)| amount)
        })
    }

    pub(super) fn holders(&self) -> Vec<Holder> {
        let burning = |record: &Record| record.class() == Class::Cpu;
        self.most_of(|record| burning(record).then(|| u64::from(record.permits())))
    }

    /// The oldest of what runs of this sort, each with the one place that it has.
    pub(super) fn running_where(&self, wanted: impl Fn(&Record) -> bool) -> Vec<Holder> {
        self.most_of(|record| wanted(record).then_some(1))
    }

    /// Who has the most, of running jobs that have any.
    fn most_of(&self, amount: impl Fn(&Record) -> Option<u64>) -> Vec<Holder> {
        let records = self.running.keys().map(|&slot| self.jobs.get(slot));
        let holder = |record: &Record| Some(Holder { job: record.id, permits: amount(record)? });
        let mut holders: Vec<_> = records.filter_map(holder).collect();
        holders.sort_unstable_by_key(|holder| (std::cmp::Reverse(holder.permits), holder.job));
        holders.truncate(MOST_HOLDERS);
        holders
    }

    pub(super) fn key_rate_gate(&self, limit: &Limit) -> Option<Gate> {
        let (LimitName::Key(_, key), Some(ruled)) = (&limit.name, &limit.ruled) else {
            return None;
        };
        let left = limit.shut_until()?.saturating_sub(self.clock.boot);
        let origin = Origin::Rule(ruled.pattern.clone());
        Some(Gate::KeyRate { key: key.to_string(), rate: limit.rate()?, left, origin })
    }
}

impl Limit {
    /// Who says how many may run at once.
    pub(super) fn origin(&self) -> Origin {
        let ruled = self.ruled.as_ref().filter(|ruled| ruled.max.map(u64::from) == Some(self.max));
        ruled.map_or(Origin::Job(self.newest), |ruled| Origin::Rule(ruled.pattern.clone()))
    }
}
