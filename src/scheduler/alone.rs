//! Work inside the daemon that may have brought it down runs alone, so that the next crash tells whose fault it is.
//!
//! Owns who is suspected and who has the inside of the daemon to itself. Commands are not concerned: they can't bring the
//! daemon down. Invariant: while a suspect runs, nothing else runs inside the daemon, and from the moment it has its
//! place until its end is synced, nothing else starts there.
//!
//! A suspect stands in line like any other job. When its turn has come and everything else of its gates is open, it
//! gets its place: what it takes is set aside, and the inside of the daemon, a limit that all who run there stand under,
//! is shut. It is *poised* until those have ended that run there, and then it starts: it waits for nobody who came
//! later. A suspect that is held, paused, or waits for a time or a limit has no place, and keeps nobody out.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::gate::Gate;
use super::limit_names::LimitName;
use super::limits::{Limit, Units};
use super::table::{Place, Record, Slot, Spread};
use super::{Action, Scheduler};
use crate::job::{JobId, Suspicion};

/// Who is suspected, and who has the inside of the daemon to itself.
#[derive(Debug, Default)]
pub(super) struct Alone {
    suspects: HashMap<Slot, Suspicion, BuildHasherDefault<Spread>>,
    taken: Option<Taken>,
}

/// The inside of the daemon is a suspect's alone.
#[derive(Debug)]
struct Taken {
    slot: Slot,
    /// The units of named resources that are set aside for it until it starts.
    poised: Option<Units>,
}

impl Alone {
    /// The job is suspected, or is not any more.
    pub(super) fn suspect(&mut self, slot: Slot, suspicion: Option<Suspicion>) {
        match suspicion {
            Some(suspicion) => drop(self.suspects.insert(slot, suspicion)),
            None if self.suspects.is_empty() => {}
            None => drop(self.suspects.remove(&slot)),
        }
    }

    /// What the job is suspected of.
    pub(super) fn suspicion(&self, slot: Slot) -> Option<Suspicion> {
        self.suspects.get(&slot).copied()
    }

    /// Who has its place and does not run yet, with the units set aside for it.
    pub(super) fn poised(&self) -> Option<(Slot, &Units)> {
        self.taken.as_ref().and_then(|taken| Some((taken.slot, taken.poised.as_ref()?)))
    }

    /// Who has the inside of the daemon to itself, and whether it runs.
    pub(super) fn taken(&self) -> Option<(Slot, bool)> {
        self.taken.as_ref().map(|taken| (taken.slot, taken.poised.is_none()))
    }

    /// Everybody who is suspected, for the checks.
    pub(super) fn suspects(&self) -> impl Iterator<Item = Slot> {
        self.suspects.keys().copied()
    }
}

impl Scheduler {
    /// Whether the job is to run alone.
    pub(super) fn is_suspect(&self, slot: Slot) -> bool {
        !self.alone.suspects.is_empty()
            && self.alone.suspects.contains_key(&slot)
            && self.limits.is_inside(self.jobs.get(slot).limits)
    }

    /// The suspect whose turn has come and that waits for what runs inside the daemon to end.
    pub fn poised(&self) -> Option<JobId> {
        self.alone.poised().map(|(slot, _)| self.jobs.get(slot).id)
    }

    /// A suspect has got its place.
    pub(super) fn poise(&mut self, slot: Slot, units: Units) {
        debug_assert!(self.alone.taken.is_none(), "two are to run alone at once");
        self.alone.taken = Some(Taken { slot, poised: Some(units) });
        self.limits.open_inside(false);
        self.review_favour();
    }

    /// Starts the suspect that has its place, if nothing else runs inside the daemon any more. It is asked before all
    /// others, so that a rate which others used up meanwhile lets it start first.
    pub(super) fn launch_poised(&mut self, actions: &mut Vec<Action>) {
        let waits = |(slot, _)| self.limits.used_inside() > 1 || !self.rates_let_start(slot);
        if self.alone.poised().is_none_or(waits) {
            return;
        }
        let Some(taken) = self.alone.taken.as_mut() else { return };
        let slot = taken.slot;
        if let Some(units) = taken.poised.take() {
            self.place(slot, Place::Running);
            self.launch(slot, units, actions);
        }
    }

    /// Whether no rate keeps it from starting.
    pub(super) fn rates_let_start(&self, slot: Slot) -> bool {
        let Record { queue, limits, .. } = *self.jobs.get(slot);
        let mut keys = self.limits.of(limits).iter().filter_map(|(key, _)| self.limits.get(*key));
        self.queues.get(queue).shut_until.is_none() && keys.all(|key| key.shut_until().is_none())
    }

    /// The suspect that has its place gives it up.
    pub(super) fn step_back(&mut self, slot: Slot) {
        let own = |taken: &mut Taken| taken.slot == slot && taken.poised.is_some();
        if let Some(Taken { poised: Some(units), .. }) = self.alone.taken.take_if(own) {
            self.open_inside();
            self.free(slot, &units, Place::Held);
        }
    }

    /// If it is such a job that has its place, it goes back to its line.
    pub(super) fn step_back_where(&mut self, wanted: impl Fn(&Record) -> bool) {
        if let Some((slot, _)) = self.alone.poised()
            && wanted(self.jobs.get(slot))
        {
            self.leave(slot);
            self.enter(slot);
        }
    }

    /// An attempt ended otherwise than by a crash, and that is synced: whatever its job was suspected of was not its
    /// fault. Only now others may start inside the daemon, or a crash would find it among them.
    pub(super) fn ended_alone(&mut self, slot: Slot) {
        self.alone.suspect(slot, None);
        if self.alone.taken.take_if(|taken| taken.slot == slot).is_some() {
            self.open_inside();
        }
    }

    fn open_inside(&mut self) {
        self.stirred = true;
        if let Some(inside) = self.limits.open_inside(true) {
            self.offer(inside);
        }
    }

    /// Whom a suspect waits for before it can run alone.
    pub(super) fn alone_gate(&self, slot: Slot) -> Option<Gate> {
        let suspicion = *self.alone.suspects.get(&slot)?;
        let poised = u64::from(self.alone.poised().is_some());
        let running = u32::try_from(self.limits.used_inside() - poised).unwrap_or(u32::MAX);
        let holders = || self.running_where(|record| self.limits.is_inside(record.limits));
        let waits = self.is_suspect(slot) && running > 0;
        waits.then(|| Gate::RunsAlone { suspicion, running, holders: holders() })
    }

    /// Whom those wait for who would run inside the daemon beside a suspect.
    pub(super) fn apart_gate(&self, limit: &Limit) -> Option<Gate> {
        let (slot, running) = self.alone.taken().filter(|_| limit.name == LimitName::Inside)?;
        Some(Gate::Apart { job: self.jobs.get(slot).id, running })
    }
}
