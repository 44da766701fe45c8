//! The first act of a life: what the last one left behind.
//!
//! Jobs that were running are judged before anything starts: those that a user wanted to end are
//! cancelled, those that must not run twice are interrupted, those are condemned that bring the daemon down whenever they
//! run, all others are queued again.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use super::control::UNFOLDED_AT_ONCE;
use super::handover::{Heirs, Inherited};
use super::launch::{Launcher, runs_inside};
use super::uniques::Uniques;
use crate::job::{
    Change, Class, Ending, JobId, Outcome, QueueRecord, ScheduleId, State, StoreId, Suspicion,
    Usage, WallTime,
};
use crate::lanes::Cause;
use crate::process::{self, Owner};
use crate::scheduler::{Agenda, Demand, Entry, FoldedEntry, HandedOver, Planned};
use crate::store::journal::Journal;
use crate::store::{Pending, Store, StoreError, StoredSchedule};

/// How long what a crashed daemon left running has between TERM and KILL.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

/// How many changes are judged in one commit.
const BATCH: usize = 5_000;

/// The unfinished jobs, as they stand after judging.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those that are jobs of their own.
    pub(super) entries: Vec<Entry>,
    /// Those that are written down as one.
    pub(super) folded: Vec<FoldedEntry>,
    /// What became of them.
    pub(super) judged: Judged,
    /// Those whose attempts go on.
    pub(super) going: Going,
}

/// Jobs whose attempts an earlier program of this process handed over.
#[derive(Debug, Default)]
pub(super) struct Going {
    /// For the scheduler.
    pub(super) attempts: Vec<HandedOver>,
    /// For the lanes.
    pub(super) heirs: Heirs,
    /// Those that run at most once.
    pub(super) once: HashSet<JobId>,
}

/// By what jobs are judged that were running.
#[derive(Clone, Copy, Debug)]
pub(super) struct Law {
    /// None of them is run again by itself.
    pub(super) interrupt: bool,
    /// The last life, if it was cut short while the machine went on: by what ran inside the daemon, perhaps. Neither a
    /// planned end nor a reboot counts.
    pub(super) crashed: Option<u64>,
    /// When.
    pub(super) at: WallTime,
}

/// Finds the unfinished jobs and judges those that were running, but for those whose attempts go on: one whose token is
/// still the current one is neither lost nor run again. Processes of others end here.
pub(super) fn recover(
    store: &mut dyn Store,
    launcher: &Launcher,
    law: Law,
    uniques: &mut Uniques,
    mut left: Heirs,
) -> Result<Found, StoreError> {
    let mut going = Going::default();
    let (mut entries, mut folded) = (Vec::new(), Vec::new());
    let mut changes = Vec::new();
    let mut judged = Judged::default();
    let mut ended = HashMap::new();
    store.pending(&mut |pending| {
        judged.pending += pending.fold.map_or(1, |fold| fold.count);
        if let Some(fold) = pending.fold {
            let first = entry(pending, launcher);
            folded.push(FoldedEntry { first, fold, at_once: UNFOLDED_AT_ONCE });
        } else if let Some(inherited) = still_runs(&pending, &mut left) {
            keep_key(uniques, &pending);
            judged.going_on += 1;
            going.take(pending, inherited, law.interrupt, launcher);
        } else if pending.state == State::Running {
            let suspicion = law.suspects(&pending);
            let change = judge(&pending, law, suspicion, &mut judged);
            ended.extend(change.iter().find_map(ending));
            changes.extend(change);
            if law.lets_go_on(&pending, suspicion) {
                keep_key(uniques, &pending);
                // The attempt that the crash cut short does not count.
                let pardoned = pending.pardoned.saturating_add(1);
                let state = again_as(&pending);
                let suspicion = suspicion.or(pending.suspicion);
                let again = Pending { state, pardoned, suspicion, ..pending };
                entries.push(entry(again, launcher));
            }
        } else {
            keep_key(uniques, &pending);
            entries.push(entry(pending, launcher));
        }
    })?;
    for batch in changes.chunk_by(in_one_batch()) {
        for refused in store.commit(batch)?.into_iter().filter_map(Result::err) {
            tracing::error!("a job of the last life could not be judged: {refused}");
        }
    }
    // Jobs that were judged to have ended are not with the scheduler, which could never tell.
    for awaited in entries.iter_mut().flat_map(|entry: &mut Entry| &mut entry.requires) {
        if let Some(ending) = ended.get(&awaited.requirement.job) {
            awaited.ending = Some(ending.clone());
        }
    }
    Ok(Found { entries, folded, judged, going })
}

/// The attempt that was handed over, if it is the job's current one.
fn still_runs(pending: &Pending, left: &mut Heirs) -> Option<Inherited> {
    let handed = left.get(&pending.id)?;
    let is_current = pending.state == State::Running && pending.token == Some(handed.resumed.token);
    if is_current { left.remove(&pending.id) } else { None }
}

impl Going {
    fn take(
        &mut self,
        pending: Pending,
        mut inherited: Inherited,
        interrupt: bool,
        launcher: &Launcher,
    ) {
        let (id, resumed) = (pending.id, &inherited.resumed);
        let (class, token) = (resumed.class, resumed.token);
        let permits = if class == Class::Cpu { resumed.cpus } else { 0 };
        let was_cancelled = resumed.cause == Some(Cause::Cancelled);
        let (cancel_asked, hold_asked) = (pending.cancel_asked, pending.hold_asked);
        if pending.at_most_once || interrupt {
            self.once.insert(id);
        }
        self.attempts.push(HandedOver {
            entry: Entry {
                demand: Demand { class, permits, inside: false },
                ..entry(pending, launcher)
            },
            token,
            cancel_asked: cancel_asked || was_cancelled,
            hold_asked,
            units: std::mem::take(&mut inherited.units),
        });
        if cancel_asked {
            inherited.resumed.cause.get_or_insert(Cause::Cancelled);
        }
        self.heirs.insert(id, inherited);
    }
}

/// Ends what the last life left running, before any of its jobs can run again; but for attempts that go on.
pub(super) async fn sweep(store: StoreId, going_on: HashSet<OsString>) {
    let swept = tokio::task::spawn_blocking(move || {
        process::end_leftovers(Owner::StoreBut(&store.to_string(), &going_on), LEFTOVER_GRACE)
    });
    match swept.await {
        Ok(Ok(swept)) if swept.signalled > 0 => {
            tracing::warn!(
                signalled = swept.signalled,
                remaining = swept.remaining.len(),
                "ended processes of the last life"
            );
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!("left-overs of the last life could not be looked for: {error}");
        }
        Err(error) => tracing::error!("looking for left-overs of the last life panicked: {error}"),
    }
}

/// Gives the store what the last life left in the side journal: how attempts ended while the store took nothing.
/// What it has already it refuses, and the journal is emptied when it has heard of everything.
pub(super) fn replay(
    store: &mut dyn Store,
    journal: &mut Journal,
    left: &[Change],
) -> Result<(), StoreError> {
    if left.is_empty() {
        return Ok(());
    }
    let mut taken = 0;
    for batch in left.chunks(BATCH) {
        taken += store.commit(batch)?.iter().filter(|answer| answer.is_ok()).count();
    }
    tracing::warn!(records = left.len(), taken, "took what the last life left in the side journal");
    if let Err(error) = journal.clear() {
        tracing::error!("{error}");
    }
    Ok(())
}

fn keep_key(uniques: &mut Uniques, pending: &Pending) {
    if let Some(key) = &pending.unique {
        uniques.take(pending.owner, key, pending.id);
    }
}

/// What became of the jobs that the last life left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judged {
    /// Unfinished jobs.
    pub(super) pending: u64,
    /// Of these, queued again although they were running.
    pub(super) again: u64,
    /// Of these, failed as interrupted.
    pub(super) interrupted: u64,
    /// Of these, cancelled.
    pub(super) cancelled: u64,
    /// Of these, going on as if nothing had happened.
    pub(super) going_on: u64,
    /// Of these, queued again to run alone.
    pub(super) suspected: u64,
    /// Of these, failed because the daemon died whenever they ran.
    pub(super) condemned: u64,
}

impl Law {
    const fn is_run_again(self, pending: &Pending) -> bool {
        !pending.cancel_asked && !pending.at_most_once && !self.interrupt
    }

    /// What is to be said from now on of a job that ran when the last life ended, if that end counts for it.
    fn suspects(self, pending: &Pending) -> Option<Suspicion> {
        let life = pending.token.map(|token| token.life);
        let counts = self.crashed.is_some() && life == self.crashed;
        (counts && self.is_run_again(pending) && runs_inside(&pending.kind))
            .then(|| Suspicion::after_crash(pending.suspicion))
    }

    fn lets_go_on(self, pending: &Pending, suspicion: Option<Suspicion>) -> bool {
        self.is_run_again(pending) && !suspicion.is_some_and(Suspicion::condemns)
    }
}

/// Cuts changes into batches; what is said of a job stands in one with the end that it follows from.
fn in_one_batch() -> impl FnMut(&Change, &Change) -> bool {
    let mut taken = 1;
    move |before, _| {
        let goes_on = taken < BATCH || matches!(before, Change::Suspected { .. });
        taken = if goes_on { taken + 1 } else { 1 };
        goes_on
    }
}

/// Where a job goes that is to be run again.
const fn again_as(pending: &Pending) -> State {
    if pending.hold_asked { State::Held } else { State::Queued }
}

fn judge(
    pending: &Pending,
    law: Law,
    suspicion: Option<Suspicion>,
    judged: &mut Judged,
) -> Vec<Change> {
    let job = pending.id;
    let verdict = suspicion.filter(|known| known.condemns()).map(|known| known.verdict(job));
    let (outcome, next) = if pending.cancel_asked {
        judged.cancelled += 1;
        (Outcome::Cancelled, State::Cancelled)
    } else if let Some(verdict) = &verdict {
        judged.condemned += 1;
        tracing::error!(%job, "failed: {verdict}");
        (Outcome::Interrupted, State::Failed)
    } else if !law.is_run_again(pending) {
        judged.interrupted += 1;
        (Outcome::Interrupted, State::Failed)
    } else {
        judged.again += 1;
        judged.suspected += u64::from(suspicion.is_some());
        (Outcome::Interrupted, again_as(pending))
    };
    let Some(token) = pending.token else { return Vec::new() };
    let (usage, at) = (Usage::default(), law.at);
    let end = Change::Ended { job, token, outcome, usage, at, next, not_before: None };
    let suspected = |suspicion| Change::Suspected { job, suspicion, verdict };
    suspicion.map(suspected).into_iter().chain([end]).collect()
}

/// How a job ended by this change, if it did.
fn ending(change: &Change) -> Option<(JobId, Ending)> {
    match change {
        Change::Ended { job, next, outcome, .. } if next.is_final() => {
            Some((*job, Ending::Final { state: *next, outcome: Some(outcome.clone()) }))
        }
        _ => None,
    }
}

fn entry(pending: Pending, launcher: &Launcher) -> Entry {
    Entry {
        id: pending.id,
        owner: pending.owner,
        place: pending.place,
        state: pending.state,
        not_before: pending.not_before,
        submitted_at: pending.submitted_at,
        turn: pending.turn,
        queue: Arc::clone(&pending.queue),
        priority: pending.priority,
        demand: launcher.demand(&pending.kind, pending.class, pending.cpus),
        retry: pending.retry,
        attempts: pending.attempts,
        pardoned: pending.pardoned,
        suspicion: pending.suspicion,
        reason: pending.reason,
        requires: pending.requires,
        limits: pending.limits,
    }
}

/// The schedules that were found. One whose time zone is not known here any more waits until it is.
pub(super) fn agenda(next: ScheduleId, found: Vec<StoredSchedule>) -> Agenda {
    let mut agenda = Agenda::counting_from(next);
    for StoredSchedule { record, overdue, unfinished } in found {
        let zone = jiff::tz::TimeZone::get(&record.zone);
        let zone = zone.inspect_err(|error| {
            tracing::error!("schedule {} does not run: {error}", record.name);
        });
        agenda.enter(Planned { record, zone: zone.ok(), unfinished, overdue });
    }
    agenda
}

/// The queues in force: those that were set by hand, and those of the config that were not; the default queue
/// is always there.
pub(super) fn queues(
    set: Vec<QueueRecord>,
    configured: impl Iterator<Item = QueueRecord>,
) -> std::collections::BTreeMap<String, QueueRecord> {
    let default = QueueRecord::named(crate::job::Spec::DEFAULT_QUEUE);
    std::iter::once(default)
        .chain(configured)
        .chain(set)
        .map(|record| (record.name.clone(), record))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::AttemptToken;

    #[test]
    fn what_is_said_of_a_job_stands_in_one_batch_with_its_end() {
        let job = JobId::FIRST;
        let suspicion = Suspicion::after_crash(None);
        let said = || Change::Suspected { job, suspicion, verdict: None };
        let end = || Change::Ended {
            job,
            token: AttemptToken { store: StoreId::new(1), life: 1, counter: 1 },
            outcome: Outcome::Interrupted,
            usage: Usage::default(),
            at: WallTime(0),
            next: State::Queued,
            not_before: None,
        };
        for alone in [0, 1] {
            let mut changes: Vec<Change> = (0..alone).map(|_| end()).collect();
            changes.extend((0..BATCH).flat_map(|_| [said(), end()]));
            let batches: Vec<&[Change]> = changes.chunk_by(in_one_batch()).collect();
            assert_eq!(batches.concat(), changes);
            for batch in batches {
                assert!((1..=BATCH + 1).contains(&batch.len()), "{}", batch.len());
                assert!(matches!(batch.last(), Some(Change::Ended { .. })));
            }
        }
    }
}
