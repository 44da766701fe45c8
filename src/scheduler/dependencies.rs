//! Who waits for whom: the requirements of jobs that have not passed them yet.
//!
//! Owns what each of these jobs requires and the way from a job to those that require it, so that an
//! end costs a look at each of them and at nothing else. Jobs that require nothing cost nothing.
//!
//! A requirement is judged by how the job it names stands: once it has ended, by how; and if it is
//! run again, the requirement is open again. What a job has passed it has passed for good: it is
//! dropped here as soon as the job is written down as queued or scheduled. Invariant: both ways know
//! the same pairs, and what is counted as open is open.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;

use super::table::{Slot, Spread};
use crate::job::{Awaited, Condition, Deadline, Ending, JobId, Now, Requirement};

/// The requirements of jobs that have not passed them.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    waits: HashMap<Slot, Waits, BuildHasherDefault<Spread>>,
    /// Who requires something of a job, by that job; it may have ended.
    wanted: BTreeSet<(JobId, Slot)>,
    /// Waiting jobs that can be moved on.
    decided: BTreeSet<Slot>,
    /// Of these, the ones whose move the store refused, and when it is asked for again.
    put_off: Option<(Deadline, Vec<Slot>)>,
}

/// What one job requires.
#[derive(Debug)]
struct Waits {
    /// Sorted by the job they name, each named once.
    edges: Box<[Edge]>,
    /// How many of them are open.
    open: usize,
    /// Why it can't start any more, from the first requirement that can't be met.
    lost: Option<(JobId, Box<str>)>,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    requirement: Requirement,
    standing: Standing,
}

/// How a requirement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The other job has not ended.
    Open,
    /// It ended as it had to.
    Met,
    /// It ended otherwise.
    Lost,
}

/// What is to become of a job that waits for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something is still open.
    Waits,
    /// Everything it requires came true.
    Passes,
    /// Something can't come true any more, and why.
    Skipped(String),
}

impl Dependencies {
    /// Takes in what a job requires; `is_here` tells which jobs have not ended after all.
    pub(super) fn insert(
        &mut self,
        slot: Slot,
        requires: Vec<Awaited>,
        is_here: impl Fn(JobId) -> bool,
    ) {
        let mut waits = Waits { edges: Box::default(), open: 0, lost: None };
        let mut edges = Vec::with_capacity(requires.len());
        for Awaited { requirement, ending } in requires {
            let ending = ending.filter(|_| !is_here(requirement.job));
            edges.push(Edge { requirement, standing: waits.judge(requirement, ending.as_ref()) });
            self.wanted.insert((requirement.job, slot));
        }
        edges.sort_by_key(|edge| edge.requirement);
        edges.dedup_by_key(|edge| edge.requirement.job);
        waits.edges = edges.into();
        waits.count();
        self.waits.insert(slot, waits);
    }

    /// Forgets what a job requires: it has passed it, or is gone.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(waits) = self.waits.remove(&slot) else { return };
        for edge in &waits.edges {
            self.wanted.remove(&(edge.requirement.job, slot));
        }
        self.leave(slot);
    }

    /// A job ended: everybody who requires something of it is told. Returns them.
    pub(super) fn ended(&mut self, job: JobId, ending: &Ending) -> Vec<Slot> {
        self.judge_again(job, Some(ending))
    }

    /// A job that had ended is run again.
    pub(super) fn revived(&mut self, job: JobId) {
        for slot in self.judge_again(job, None) {
            if self.verdict(slot) == Verdict::Waits {
                self.leave(slot);
            }
        }
    }

    fn judge_again(&mut self, job: JobId, ending: Option<&Ending>) -> Vec<Slot> {
        let all = (job, Slot::MIN)..=(job, Slot::MAX);
        let slots: Vec<Slot> = self.wanted.range(all).map(|&(_, slot)| slot).collect();
        for slot in &slots {
            if let Some(waits) = self.waits.get_mut(slot) {
                waits.set(job, ending);
            }
        }
        slots
    }

    /// What is to become of the job; one that requires nothing passes.
    pub(super) fn verdict(&self, slot: Slot) -> Verdict {
        match self.waits.get(&slot) {
            Some(Waits { lost: Some((_, why)), .. }) => Verdict::Skipped(why.to_string()),
            None | Some(Waits { open: 0, .. }) => Verdict::Passes,
            Some(_) => Verdict::Waits,
        }
    }

    /// The job waits from now on: if nothing keeps it, it is to be moved on.
    pub(super) fn enter(&mut self, slot: Slot) {
        let put_off = self.put_off.as_ref().is_some_and(|(_, slots)| slots.contains(&slot));
        if !put_off && self.verdict(slot) != Verdict::Waits {
            self.decided.insert(slot);
        }
    }

    /// The job waits no more, whatever it still requires.
    pub(super) fn leave(&mut self, slot: Slot) {
        self.decided.remove(&slot);
        if let Some((_, slots)) = &mut self.put_off {
            slots.retain(|other| *other != slot);
        }
        self.put_off.take_if(|(_, slots)| slots.is_empty());
    }

    /// The store refused to move the job on: it is asked again at this moment, with all others.
    pub(super) fn put_off(&mut self, slot: Slot, until: Deadline) {
        self.put_off.get_or_insert((until, Vec::new())).1.push(slot);
    }

    /// The next job that can be moved on.
    pub(super) fn take_decided(&mut self, now: Now) -> Option<Slot> {
        if let Some((_, slots)) = self.put_off.take_if(|(until, _)| until.is_due(now)) {
            self.decided.extend(slots);
        }
        self.decided.pop_first()
    }

    /// When refused moves are asked for again.
    pub(super) fn next(&self) -> Option<Deadline> {
        self.put_off.as_ref().map(|(until, _)| *until)
    }

    /// What the job requires, and how that stands.
    pub(super) fn of(&self, slot: Slot) -> impl Iterator<Item = (Requirement, Standing)> {
        let edges = self.waits.get(&slot).map(|waits| &*waits.edges).unwrap_or_default();
        edges.iter().map(|edge| (edge.requirement, edge.standing))
    }

    /// Who requires something of the job and has not passed it.
    pub(super) fn wanted_by(&self, job: JobId) -> impl Iterator<Item = Slot> {
        let all = (job, Slot::MIN)..=(job, Slot::MAX);
        self.wanted.range(all).map(|&(_, slot)| slot)
    }

    /// The jobs that have requirements, those that can be moved on, and all pairs; for the checks.
    pub(super) fn check(
        &self,
    ) -> (impl Iterator<Item = Slot>, impl Fn(Slot) -> bool, (usize, usize)) {
        let pairs: usize = self.waits.values().map(|waits| waits.edges.len()).sum();
        let moves = |slot| {
            let put_off = self.put_off.as_ref().is_some_and(|(_, slots)| slots.contains(&slot));
            self.decided.contains(&slot) || put_off
        };
        (self.waits.keys().copied(), moves, (pairs, self.wanted.len()))
    }

    /// Whether what is counted of a job is what its requirements say.
    pub(super) fn is_counted_right(&self, slot: Slot) -> bool {
        let Some(waits) = self.waits.get(&slot) else { return true };
        let count = |wanted| waits.edges.iter().filter(|edge| edge.standing == wanted).count();
        let both_ways =
            waits.edges.iter().all(|edge| self.wanted.contains(&(edge.requirement.job, slot)));
        waits.open == count(Standing::Open)
            && waits.lost.is_some() == (count(Standing::Lost) > 0)
            && both_ways
    }
}

impl Waits {
    fn judge(&mut self, requirement: Requirement, ending: Option<&Ending>) -> Standing {
        match ending {
            None => Standing::Open,
            Some(ending) if ending.meets(requirement.on) => Standing::Met,
            Some(ending) => {
                let why = || (requirement.job, ending.reason(requirement).into());
                self.lost.get_or_insert_with(why);
                Standing::Lost
            }
        }
    }

    fn count(&mut self) {
        self.open = self.edges.iter().filter(|edge| edge.standing == Standing::Open).count();
    }

    fn set(&mut self, job: JobId, ending: Option<&Ending>) {
        let Ok(place) = self.edges.binary_search_by_key(&job, |edge| edge.requirement.job) else {
            return;
        };
        let was = self.edges[place].standing;
        self.lost.take_if(|(by, _)| *by == job);
        let is = self.judge(self.edges[place].requirement, ending);
        self.edges[place].standing = is;
        self.open =
            self.open + usize::from(is == Standing::Open) - usize::from(was == Standing::Open);
        if self.lost.is_none() {
            self.lose_by_another();
        }
    }

    /// The job that stood for the loss is run again, but another one is lost as well.
    fn lose_by_another(&mut self) {
        let lost = self.edges.iter().find(|edge| edge.standing == Standing::Lost);
        self.lost = lost.map(|edge| {
            let Requirement { job, on } = edge.requirement;
            let did = match on {
                Condition::Ok => "it did not",
                Condition::Any | Condition::Fail => "it ended otherwise",
            };
            (job, format!("job {job} had to {}, and {did}", on.verb()).into())
        });
    }
}
