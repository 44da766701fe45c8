//! Who is to run alone inside the daemon, in a book of its own.

use super::world::World;
use crate::job::{Change, JobId, State};
use crate::scheduler::{Demand, Input};

impl World {
    /// What runs inside the daemon.
    fn inside(&self) -> impl Iterator<Item = JobId> {
        let inside = self.attempts.values().filter(|attempt| attempt.demand.inside);
        inside.map(|attempt| attempt.job)
    }

    /// Whether the job is to run alone, as far as the disk knows.
    fn is_suspect(&self, job: JobId) -> bool {
        let stored = &self.disk[&job];
        stored.suspicion.is_some() && stored.job.demand.inside
    }

    /// Nothing starts inside the daemon from the start of a suspect until its end is known to be synced, and a
    /// suspect starts beside nothing.
    pub(super) fn check_alone(&mut self, job: JobId, demand: Demand, alone: bool) {
        assert_eq!(alone, self.is_suspect(job), "{job}");
        if demand.inside {
            assert_eq!(self.ran_alone, None, "{job} starts beside a suspect");
        }
        if alone {
            let beside: Vec<JobId> = self.inside().collect();
            assert!(beside.is_empty(), "suspect {job} starts beside {beside:?}");
            self.ran_alone = Some(job);
        }
    }

    /// The end of an attempt is known to be synced.
    pub(super) fn note_alone(&mut self, input: &Input) {
        if let Input::Committed(Change::Ended { job, .. }) = input {
            self.ran_alone.take_if(|alone| alone == job);
        }
    }

    /// Whether nothing else may start inside the daemon.
    pub(super) fn inside_is_shut(&self) -> bool {
        self.scheduler.poised().is_some() || self.ran_alone.is_some()
    }

    /// A suspect has its place only while it waits for what runs inside the daemon.
    pub(super) fn check_poised(&self) {
        let Some(job) = self.scheduler.poised() else { return };
        let stored = &self.disk[&job];
        assert!(self.is_suspect(job) && stored.state == State::Queued, "{stored:?} has a place");
        let waits = self.inside().next().is_some();
        assert!(waits || !self.is_in_rate(&stored.job), "{job} waits for nobody");
        assert!(self.starts, "{job} has a place although nothing starts");
        let told = self.scheduler.explain(self.now, job).expect("a live job");
        let told = told.gates.first().map(crate::scheduler::Gate::name);
        assert!(told == Some("runs_alone") || !waits && told.is_some(), "{told:?}");
    }

    /// What a crash takes inside the daemon, as far as the disk knows, and whether it ran alone.
    pub(super) fn lost_inside(&self) -> Vec<(JobId, bool)> {
        let runs = self.disk.values().filter(|stored| stored.state == State::Running);
        let lost: Vec<(JobId, bool)> = runs
            .filter(|stored| stored.job.demand.inside && !stored.cancel_asked)
            .map(|stored| (stored.job.id, self.is_suspect(stored.job.id)))
            .collect();
        let alone = lost.iter().filter(|(_, alone)| *alone).count();
        assert!(alone <= 1, "{lost:?} ran alone together");
        lost
    }

    /// After a crash that counts: exactly those are condemned that lost two runs alone.
    pub(super) fn check_condemned(&mut self, lost: &[(JobId, bool)]) {
        for &(job, alone) in lost {
            let count = self.lost_alone.entry(job).or_default();
            *count += u32::from(alone);
            let condemned = self.disk[&job].state == State::Failed;
            assert_eq!(condemned, *count == 2, "{:?} after {count} runs alone", self.disk[&job]);
            if condemned {
                self.note("condemned");
            }
        }
    }
}
