//! The agenda: which schedule's turn it is, and what becomes of each of their moments.
//!
//! Owns every schedule and which of its runs have not ended. It stands beside the state machine of
//! the jobs and shares nothing with it: what it decides becomes an ordinary job. Never reads a clock
//! and never looks up a time zone: both come in as values. Whoever drives it writes a [`Decision`] down
//! as one change, the run's job and the schedule's progress together, and says when that is done.
//!
//! Invariant: a schedule has at most one change under way and decides nothing meanwhile, so each of
//! its moments is decided on once, whatever crashes in between.
//!
//! A calendar pattern follows the wall clock: a step forward past moments makes them missed, a step
//! back makes the next one wait longer and never brings an old one back. A span follows the boot
//! clock and does not notice steps; after a reboot the wall clock tells how much of it has passed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::job::{
    Deadline, Follows, JobId, Missed, Now, Overlap, Progress, ScheduleId, ScheduleRecord, WallTime,
};

/// A moment that passed no longer ago than this counts as met: a daemon that was restarted, or a loop that was
/// busy, has missed nothing.
const PUNCTUAL: Duration = Duration::from_secs(60);
/// The most moments that are counted one by one when many were missed.
const MOST_COUNTED: u64 = 1_000;
/// The most runs of one schedule that wait for each other; what comes beyond is left out.
pub const MOST_WAITING_RUNS: usize = 100;
/// How long a change that the store refused waits before its schedule is looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// All schedules. See the module's documentation.
#[derive(Debug, Default)]
pub struct Agenda {
    known: BTreeMap<ScheduleId, Known>,
    names: BTreeMap<(u32, Box<str>), ScheduleId>,
    by_boot: BTreeSet<(Duration, ScheduleId)>,
    by_wall: BTreeSet<(WallTime, ScheduleId)>,
    /// Whose run an unfinished job is.
    runs: HashMap<JobId, ScheduleId>,
    /// How many numbers were given to schedules, removed ones included.
    given: u64,
}

/// A schedule with what is known of it beside its record.
#[derive(Clone, Debug)]
pub struct Planned {
    /// As it is written down.
    pub record: ScheduleRecord,
    /// Its time zone; none if this system does not know the name, and then nothing comes of it.
    pub zone: Option<TimeZone>,
    /// Jobs of its runs that have not ended.
    pub unfinished: BTreeSet<JobId>,
    /// How far past its next moment was when it was read under another boot than it was made in.
    pub overdue: Duration,
}

#[derive(Debug)]
struct Known {
    planned: Planned,
    /// A change of it is under way.
    writing: bool,
    /// Nothing is decided before this moment of the boot clock, because the last change was refused.
    put_off: Option<Duration>,
}

/// A moment that was decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which schedule.
    pub schedule: ScheduleId,
    /// The moment; the latest of them if several had passed.
    pub slot: WallTime,
    /// How far the schedule has come with this; whoever gives the run its id enters that too.
    pub progress: Progress,
    /// The run, if there is to be one.
    pub run: Option<Run>,
}

/// A run that is to become a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// It waits until this one has ended, however.
    pub after: Option<JobId>,
    /// These are cancelled for it.
    pub replaces: Vec<JobId>,
}

impl Agenda {
    /// One without schedules, whose next one has this number.
    pub fn counting_from(next: ScheduleId) -> Self {
        Self { given: next.0.saturating_sub(1), ..Self::default() }
    }

    /// The number of the next schedule that is made.
    pub const fn next_number(&self) -> ScheduleId {
        ScheduleId(self.given + 1)
    }

    /// The next number is given to a schedule.
    pub const fn give_number(&mut self) {
        self.given += 1;
    }

    /// Takes a schedule in, or what was changed of it by hand; both are written down.
    pub fn enter(&mut self, planned: Planned) {
        let (id, owner) = (planned.record.id, planned.record.owner);
        self.forget(id);
        self.names.insert((owner, planned.record.name.as_ref().into()), id);
        self.runs.extend(planned.unfinished.iter().map(|job| (*job, id)));
        self.known.insert(id, Known { planned, writing: false, put_off: None });
        self.arm(id);
    }

    /// A schedule is gone.
    pub fn forget(&mut self, id: ScheduleId) {
        self.disarm(id);
        if let Some(Known { planned, .. }) = self.known.remove(&id) {
            let record = &planned.record;
            self.names.remove(&(record.owner, record.name.as_ref().into()));
            for job in &planned.unfinished {
                self.runs.remove(job);
            }
        }
    }

    /// How many schedules there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// A schedule.
    pub fn get(&self, id: ScheduleId) -> Option<&Planned> {
        self.known.get(&id).map(|known| &known.planned)
    }

    /// A user's schedule by its name.
    pub fn named(&self, owner: u32, name: &str) -> Option<ScheduleId> {
        self.names.get(&(owner, name.into())).copied()
    }

    /// Every schedule, in the order of the numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Planned> {
        self.known.values().map(|known| &known.planned)
    }

    /// Whether a change of it is under way.
    pub fn is_writing(&self, id: ScheduleId) -> bool {
        self.known.get(&id).is_some_and(|known| known.writing)
    }

    /// A change of the schedule by hand is under way: nothing is decided until it is [entered](Self::enter),
    /// [forgotten](Self::forget) or [refused](Self::refused).
    pub fn set_writing(&mut self, id: ScheduleId) {
        self.disarm(id);
        if let Some(known) = self.known.get_mut(&id) {
            known.writing = true;
        }
    }

    /// The store refused the change that was under way.
    pub fn refused(&mut self, now: Now, id: ScheduleId) {
        if let Some(known) = self.known.get_mut(&id) {
            known.writing = false;
            known.put_off = Some(now.boot.saturating_add(AGAIN));
        }
        self.arm(id);
    }

    /// A turn is written down; its run, if it has one, is this job.
    pub fn taken(&mut self, id: ScheduleId, progress: Progress, job: Option<JobId>) {
        let Some(known) = self.known.get_mut(&id) else { return };
        known.writing = false;
        known.put_off = None;
        known.planned.record.progress = progress;
        known.planned.overdue = Duration::ZERO;
        if let Some(job) = job {
            known.planned.unfinished.insert(job);
            self.runs.insert(job, id);
        }
        self.arm(id);
    }

    /// A job has ended, whoever's it was.
    pub fn ended(&mut self, job: JobId) {
        if let Some(id) = self.runs.remove(&job)
            && let Some(known) = self.known.get_mut(&id)
        {
            known.planned.unfinished.remove(&job);
        }
    }

    /// A job of a run is to be run again.
    pub fn revived(&mut self, id: ScheduleId, job: JobId) {
        if let Some(known) = self.known.get_mut(&id) {
            known.planned.unfinished.insert(job);
            self.runs.insert(job, id);
        }
    }

    /// When the next turn comes: by the boot clock, and by the wall clock.
    pub fn next(&self) -> (Option<Duration>, Option<WallTime>) {
        let boot = self.by_boot.first().map(|&(boot, _)| boot);
        (boot, self.by_wall.first().map(|&(wall, _)| wall))
    }

    /// Decides on at most so many moments that have come. Each is under way from here on.
    pub fn take_due(&mut self, now: Now, most: usize) -> Vec<Decision> {
        let mut turns = Vec::new();
        while turns.len() < most {
            let boot = self.by_boot.first().filter(|&&(boot, _)| boot <= now.boot);
            let wall = || self.by_wall.first().filter(|&&(wall, _)| wall <= now.wall);
            let next = boot.map(|&(_, id)| id).or_else(|| wall().map(|&(_, id)| id));
            let Some(id) = next else { break };
            self.disarm(id);
            let Some(known) = self.known.get_mut(&id) else { continue };
            known.put_off = None;
            match decide(&known.planned, now) {
                Some(turn) => {
                    known.writing = true;
                    turns.push(turn);
                }
                // It was put off and its moment has not come after all.
                None => self.arm(id),
            }
        }
        turns
    }

    fn arm(&mut self, id: ScheduleId) {
        let Some(known) = self.known.get(&id).filter(|known| !known.writing) else { return };
        let (next, zone) = (known.planned.record.progress.next, &known.planned.zone);
        let Some(next) = next.filter(|_| zone.is_some()) else { return };
        match (known.put_off, next.follows) {
            (Some(until), _) => self.by_boot.insert((until, id)),
            (None, Follows::Boot) => self.by_boot.insert((next.boot, id)),
            (None, Follows::Wall) => self.by_wall.insert((next.wall, id)),
        };
    }

    fn disarm(&mut self, id: ScheduleId) {
        let Some(known) = self.known.get(&id) else { return };
        if let Some(until) = known.put_off {
            self.by_boot.remove(&(until, id));
        }
        if let Some(next) = known.planned.record.progress.next {
            self.by_boot.remove(&(next.boot, id));
            self.by_wall.remove(&(next.wall, id));
        }
    }

    /// Checks that the tables agree; says what does not.
    pub fn check_invariants(&self) -> Result<(), String> {
        let armed = |id| {
            self.by_boot.iter().filter(|(_, other)| *other == id).count()
                + self.by_wall.iter().filter(|(_, other)| *other == id).count()
        };
        for (&id, known) in &self.known {
            let record = &known.planned.record;
            let waits = !known.writing && record.progress.next.is_some();
            let expected = usize::from(waits && known.planned.zone.is_some());
            if armed(id) != expected {
                return Err(format!("schedule {id} is armed {} times: {known:?}", armed(id)));
            }
            if self.named(record.owner, &record.name) != Some(id) {
                return Err(format!("schedule {id} is not found by its name {}", record.name));
            }
            if known.planned.unfinished.iter().any(|job| self.runs.get(job) != Some(&id)) {
                return Err(format!("a run of schedule {id} is not known as one"));
            }
        }
        let runs: usize = self.iter().map(|planned| planned.unfinished.len()).sum();
        let armed = self.by_boot.len() + self.by_wall.len();
        if runs != self.runs.len() || armed > self.known.len() || self.names.len() != self.len() {
            return Err("the tables hold more than there are schedules and runs".to_owned());
        }
        Ok(())
    }
}

impl Planned {
    /// The first moment of the schedule after now; none of one that is paused or comes no more.
    pub fn first_after(&self, now: Now) -> Option<Deadline> {
        if self.record.paused {
            return None;
        }
        if let Some(span) = self.record.every.span() {
            return Some(Deadline::after(now, span));
        }
        self.record.every.after(now.wall, self.zone.as_ref()?).map(Deadline::at)
    }

    /// The next moments, at most so many, as far as they are known.
    pub fn upcoming(&self, now: Now, most: usize) -> Vec<WallTime> {
        let Some(next) = self.record.progress.next else { return Vec::new() };
        let Some(zone) = &self.zone else { return Vec::new() };
        let first = match next.follows {
            Follows::Boot => now.wall.plus(next.left(now)),
            Follows::Wall => next.wall,
        };
        let after = |moment: &WallTime| self.record.every.after(*moment, zone);
        std::iter::successors(Some(first), after).take(most).collect()
    }
}

/// What has passed when a schedule's turn comes.
struct Passed {
    /// The latest moment.
    slot: WallTime,
    /// How long ago that was.
    late: Duration,
    /// How many passed before it.
    before: u64,
    /// The moment after it.
    next: Option<Deadline>,
}

/// What becomes of the schedule's moments that have come; none if none has.
fn decide(planned: &Planned, now: Now) -> Option<Decision> {
    let record = &planned.record;
    let due = record.progress.next?;
    if !due.is_due(now) {
        return None;
    }
    let passed = match record.every.span() {
        Some(span) => span_passed(due, planned.overdue, span, now),
        None => calendar_passed(planned, due.wall, now),
    };
    let mut progress = record.progress;
    progress.turn += 1;
    progress.next = passed.next;
    progress.missed = progress.missed.saturating_add(passed.before);
    let wanted = passed.late <= PUNCTUAL || record.missed == Missed::RunOnce;
    let run = if wanted { run(planned) } else { None };
    match &run {
        Some(_) => progress.runs += 1,
        None if wanted => progress.skipped += 1,
        None => progress.missed = progress.missed.saturating_add(1),
    }
    Some(Decision { schedule: record.id, slot: passed.slot, progress, run })
}

/// The run, unless an earlier one stands in its way.
fn run(planned: &Planned) -> Option<Run> {
    let earlier = &planned.unfinished;
    let after = earlier.last().copied();
    let crowded = earlier.len() >= MOST_WAITING_RUNS;
    match planned.record.overlap {
        _ if after.is_none() => Some(Run { after: None, replaces: Vec::new() }),
        Overlap::Skip => None,
        _ if crowded => None,
        Overlap::Queue => Some(Run { after, replaces: Vec::new() }),
        Overlap::Replace => Some(Run { after, replaces: earlier.iter().copied().collect() }),
    }
}

fn span_passed(due: Deadline, overdue: Duration, span: Duration, now: Now) -> Passed {
    let late = now.boot.saturating_sub(due.boot).saturating_add(overdue);
    // A span is a second at least, and no clock has counted 2^64 of them.
    let before = (late.as_nanos() / span.as_nanos().max(1)) as u64;
    let late = Duration::from_nanos((late.as_nanos() % span.as_nanos().max(1)) as u64);
    let slot = WallTime(now.wall.0.saturating_sub(i64::try_from(late.as_micros()).unwrap_or(0)));
    let next = Deadline { delay: span, ..Deadline::after(now, span.saturating_sub(late)) };
    Passed { slot, late, before, next: Some(next) }
}

fn calendar_passed(planned: &Planned, first: WallTime, now: Now) -> Passed {
    let zone = planned.zone.clone().unwrap_or(TimeZone::UTC);
    let every = &planned.record.every;
    let (mut slot, mut before) = (first, 0);
    let mut next = every.after(slot, &zone);
    while let Some(passed) = next.filter(|next| *next <= now.wall && before < MOST_COUNTED) {
        (slot, before) = (passed, before + 1);
        next = every.after(slot, &zone);
    }
    if next.is_some_and(|next| next <= now.wall) {
        next = every.after(now.wall, &zone);
    }
    let late = now.wall.since(slot);
    Passed { slot, late, before, next: next.map(Deadline::at) }
}
