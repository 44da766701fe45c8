//! Jobs that wait for others, on their way to the scheduler.
//!
//! The scheduler knows the jobs that have not ended. Of the others it has to be told how they did, and
//! that is looked up before a job enters that requires one of them.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::event::{Endings, Event};
use super::Control;
use crate::job::{Awaited, Ending, Job, JobId, Requirement, State};
use crate::protocol::Declined;
use crate::scheduler::{Entry, Input};
use crate::store::{Edge, Filter};

/// The most jobs that are named as waiting for one that was to be removed.
const MOST_NAMED: usize = 5;

impl Control {
    /// Hands jobs that are written down to the scheduler, once it is known how those ended that they
    /// require.
    pub(super) fn enter(&mut self, mut entries: Vec<Entry>, endings: &Endings) {
        let waits = entries.iter().any(|entry| !entry.requires.is_empty());
        let together: HashSet<JobId> =
            entries.iter().filter(|_| waits).map(|entry| entry.id).collect();
        let awaited = entries.iter_mut().flat_map(|entry| &mut entry.requires);
        let unknown = self.fill_in(awaited, &together, endings);
        if unknown.is_empty() {
            // All of them, also those that only came together with one whose requirements had to be looked up.
            if !self.state.reviving.is_empty() {
                for entry in &entries {
                    self.state.reviving.remove(&entry.id);
                }
            }
            self.step(Input::Submitted(entries));
            self.ask_deferred();
            return;
        }
        self.state.reviving.extend(entries.iter().map(|entry| entry.id));
        self.look_up(unknown, |endings| Event::Known { entries, endings });
    }

    /// Reads how these jobs ended and hands that to the loop.
    pub(super) fn look_up(
        &self,
        unknown: HashSet<JobId>,
        told: impl FnOnce(Endings) -> Event + Send + 'static,
    ) {
        let (readers, own) = (self.readers.clone(), self.own.clone());
        tokio::spawn(async move {
            let filter =
                Filter { ids: unknown.iter().map(|id| (*id, *id)).collect(), ..Filter::default() };
            let found = readers.query_patiently(move |reader| reader.select(&filter)).await;
            let mut endings: Endings = unknown.iter().map(|id| (*id, Ending::Removed)).collect();
            for job in found {
                if job.state.is_final() {
                    let ending = Ending::Final { state: job.state, outcome: job.outcome };
                    endings.insert(job.id, ending);
                } else {
                    // It is being run again: the next look finds it with the scheduler.
                    endings.remove(&job.id);
                }
            }
            // The loop is gone only when the daemon has ended.
            let _ = own.send(told(endings)).await;
        });
    }

    /// Fills in how the required jobs ended. Returns those of which nothing is known.
    pub(super) fn fill_in<'a>(
        &self,
        all: impl Iterator<Item = &'a mut Awaited>,
        together: &HashSet<JobId>,
        endings: &Endings,
    ) -> HashSet<JobId> {
        let mut unknown = HashSet::new();
        for awaited in all {
            let job = awaited.requirement.job;
            let coming = together.contains(&job) || self.is_live(job) || self.is_entering(job);
            if coming {
                awaited.ending = None;
            } else if awaited.ending.is_none() {
                awaited.ending = endings.get(&job).cloned();
                if awaited.ending.is_none() {
                    unknown.insert(job);
                }
            }
        }
        unknown
    }

    /// Why a final job can't be removed, if others still wait for it.
    pub(super) fn is_awaited(&self, id: JobId) -> Option<Declined> {
        let waiting = self.scheduler.waits_for(id);
        if waiting.is_empty() {
            return None;
        }
        let named: Vec<String> = waiting.iter().take(MOST_NAMED).map(ToString::to_string).collect();
        let more = match waiting.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let why = format!(
            "job {}{more} still waits for it: cancel that first, or wait until it has gone on",
            named.join(", ")
        );
        Some(Declined { id, state: None, why })
    }
}

/// Requirements of which nothing is known yet.
pub(super) fn unknown(requirements: &Arc<[Requirement]>) -> Vec<Awaited> {
    let awaited = |requirement: &Requirement| Awaited { requirement: *requirement, ending: None };
    requirements.iter().map(awaited).collect()
}

/// What a job that came back to life requires.
pub(super) fn of(job: &Job, edges: &[Edge]) -> Vec<Awaited> {
    if job.state != State::Waiting {
        return Vec::new();
    }
    // Edges stand in the order of their jobs.
    let first = edges.partition_point(|edge| edge.job < job.id);
    let own = edges[first..].iter().take_while(|edge| edge.job == job.id);
    own.filter(|edge| !edge.passed).map(|edge| edge.awaited.clone()).collect()
}
