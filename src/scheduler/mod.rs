//! The brain: a pure state machine that decides what starts, what waits and why.
//!
//! Owns every job that is not final and all capacity that is handed out. Never reads a clock, never
//! does I/O, never blocks: [`Scheduler::step`] takes a moment and an [`Input`] and says which
//! [`Action`]s to perform. Invariant: [`Scheduler::check_invariants`] holds after every step.
//!
//! # Theory of operation
//!
//! A job that may start stands in a *line*: the jobs of one queue that ask for the same (class, core
//! permits and limits), best first. Because a line's jobs are alike, its head speaks for all of them:
//! if the head does not fit, none does, and no step ever looks past a head.
//!
//! Limits by name (a key, an array's) belong to the line's shape. A line whose limit is reached is
//! *parked* on it when its turn comes, and when the limit has room again the best line of each
//! *group* (the lines of one queue with one class and size) is woken, then the next: a reached limit
//! takes whole lines out of the contest, and no step looks at all that are parked. A line that was
//! overtaken [`Options::backfill`] times under its limits has a place under each of them kept for it.
//!
//! Groups that are *open* (a line in them that is not parked, queue neither paused nor at its limit,
//! no bigger than the lane) stand in the *contest* of their class, sorted by how much of the lane their queue has had
//! for its weight. The queue that had least is at the *top*; its best head starts. If that one
//! does not fit yet, at most [`Options::backfill`] others that fit may overtake it; then what gets
//! free is kept for it. A queue with a limit of its own bounds overtaking inside it the same way.
//!
//! Work inside the daemon that may have brought it down runs alone: see `alone`.
//!
//! Of a long array only some elements stand in line; more become jobs as their turn comes near (see
//! `folds`).
//!
//! A job in one of four further places costs nothing while it waits: on a timer, held, waiting for
//! other jobs, or *being written* (a change of it is under way to the disk, and it can't start
//! meanwhile). When a job's end is synced, those that require something of it are looked at and the
//! decided ones are written down as queued or skipped, so nothing starts on an outcome that a crash
//! could take back.

mod action;
mod agenda;
mod alone;
mod capacity;
mod contest;
mod dependencies;
mod dispatch;
mod entry;
mod explain;
mod folds;
mod forecast;
mod gate;
mod holders;
mod input;
mod invariants;
mod limit_names;
mod limits;
mod line;
mod lines;
mod on_edit;
mod on_ended;
mod on_request;
mod on_required;
mod on_settings;
mod on_submitted;
mod on_tick;
mod on_written;
mod options;
mod pace;
mod parking;
mod places;
mod policies;
mod queues;
mod rules;
mod sentences;
mod table;
mod timers;
mod turns;
mod views;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::time::Duration;

pub use self::action::{Action, Decline, Misplaced, Start};
pub use self::agenda::{Agenda, Decision, MOST_WAITING_RUNS, Planned, Run};
pub use self::entry::{Begin, Demand, Entry, LaneSizes, Resource, Revision};
pub use self::explain::{Explanation, Rank};
pub use self::folds::FoldedEntry;
pub use self::forecast::{Basis, Forecast};
pub use self::gate::{Gate, Holder};
pub use self::holders::Origin;
pub use self::input::Input;
pub use self::invariants::Violation;
pub use self::options::{Aging, AgingError, Options, OptionsError};
pub use self::views::{ClassView, Live, QueueView, ResourceView};

use self::alone::Alone;
use self::capacity::Room;
use self::contest::Contest;
use self::dependencies::Dependencies;
use self::folds::Folds;
use self::limits::{LimitNo, LimitTable, Units};
use self::lines::{Group, LineNo, Lines};
use self::policies::Policies;
use self::queues::Queues;
use self::table::{JobTable, Slot, Spread};
use self::timers::Timers;
use crate::job::{AttemptToken, Change, Class, Deadline, Now, State, StoreId, WallTime};

/// How long the scheduler waits before it asks again for a write that was refused although nobody
/// but the scheduler itself wanted it: long enough not to turn in circles, short enough not to be
/// noticed.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// Decides what starts. See the module's documentation.
#[derive(Debug)]
pub struct Scheduler {
    options: Options,
    store: StoreId,
    life: u64,
    /// The last attempt token's counter.
    counter: u64,
    /// Whether anything new may start.
    starts: bool,
    /// Which class is asked first at the next choice, so that a limit over all is shared in turn.
    turn: usize,
    jobs: JobTable,
    queues: Queues,
    lines: Lines,
    limits: LimitTable,
    policies: Policies,
    timers: Timers,
    dependencies: Dependencies,
    folds: Folds,
    /// Who is to run alone, and who does.
    alone: Alone,
    /// What is handed out and what is left, by class (see [`seat`]).
    rooms: [Room; SEATS],
    /// Who competes for what is left, by class.
    contests: [Contest; SEATS],
    /// Limits that may have room for the lines of a group that are parked on them.
    offers: VecDeque<(LimitNo, Group)>,
    /// The line that limits overtook too often: places under them are kept for it.
    favoured: Option<LineNo>,
    /// When the rates of queues let something start again.
    paces: BTreeSet<(Duration, u32)>,
    /// The moment of the latest step.
    clock: Now,
    /// The latest moment at which a job counts as having come, on the boot clock in microseconds.
    latest: i64,
    /// How many lines ever had to wait for a limit.
    turns: u64,
    /// A step ended before everything was looked at, at this moment.
    unfinished: Option<Now>,
    /// Something changed that may let a job start; unless it did, nothing is looked at.
    stirred: bool,
    /// Attempts that are under way.
    running: HashMap<Slot, Running, BuildHasherDefault<Spread>>,
    /// Changes that are under way to the disk.
    writing: BTreeMap<Slot, Writing>,
    /// Why jobs are held, where somebody said so.
    reasons: HashMap<Slot, Box<str>, BuildHasherDefault<Spread>>,
}

/// An attempt that is under way.
#[derive(Debug)]
struct Running {
    /// The token's counter; store and life are the scheduler's.
    counter: u64,
    /// Whether a user wants it to end.
    cancel: CancelWish,
    /// Whether a user wants the job held before its next attempt.
    hold: Option<HoldWish>,
    /// The units of named resources that it holds.
    units: Units,
}

/// A user wants a running job held before its next attempt.
#[derive(Debug)]
struct HoldWish {
    reason: Option<String>,
}

/// How far a cancellation of a running attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CancelWish {
    /// Nobody wants it to end.
    None,
    /// The wish is being written; the attempt still runs undisturbed.
    Asked,
    /// The lane was told.
    Aborted,
}

/// A change that is under way to the disk.
#[derive(Clone, Debug)]
enum Writing {
    /// The job goes from its state to this one.
    Moved(State),
    /// A user's edit.
    Edited(Box<on_edit::Editing>),
    /// The attempt with this token counter ended and the job goes to this state.
    Ended {
        counter: u64,
        next: State,
        /// The refused change, kept to be asked for again.
        again: Option<Box<Change>>,
    },
}

/// How many classes have capacity of their own.
const SEATS: usize = 3;

/// The classes in the order of their seats.
const CLASSES: [Class; SEATS] = [Class::Io, Class::Cpu, Class::Blocking];

/// Where the class's room and contest stand. `auto` was decided before; were it not, `cpu` is the
/// safe side.
const fn seat(class: Class) -> usize {
    match class {
        Class::Io => 0,
        Class::Cpu | Class::Auto => 1,
        Class::Blocking => 2,
    }
}

impl Scheduler {
    /// An empty scheduler for one life of the daemon on one store. Nothing is held back: starts are
    /// allowed until [`Input::Starts`] says otherwise.
    pub fn new(options: Options, lanes: LaneSizes, store: StoreId, life: u64) -> Self {
        let aging = options.aging.micros_per_point();
        Self {
            options,
            store,
            life,
            counter: 0,
            starts: true,
            turn: 0,
            jobs: JobTable::new(aging),
            queues: Queues::default(),
            lines: Lines::default(),
            limits: LimitTable::default(),
            policies: Policies::default(),
            timers: Timers::default(),
            dependencies: Dependencies::default(),
            folds: Folds::default(),
            alone: Alone::default(),
            rooms: [lanes.io, lanes.cpu, lanes.blocking].map(Room::of_size),
            contests: Default::default(),
            offers: VecDeque::new(),
            favoured: None,
            paces: BTreeSet::new(),
            clock: Now::default(),
            latest: i64::MIN,
            turns: 0,
            unfinished: None,
            stirred: true,
            running: HashMap::default(),
            writing: BTreeMap::new(),
            reasons: HashMap::default(),
        }
    }

    /// Takes one input and appends what is to be done about it. The same inputs at the same moments
    /// give the same actions.
    pub fn step(&mut self, now: Now, input: Input, actions: &mut Vec<Action>) {
        self.clock = now;
        // What comes in or is written down changes only the heads of lines, if it changes anything.
        self.stirred |= !matches!(input, Input::Submitted(_) | Input::Committed(_));
        self.open_paces();
        self.open_keys();
        match input {
            Input::Submitted(entries) => self.on_submitted(now, entries, actions),
            Input::Folded(entry) => self.on_folded(now, *entry),
            Input::Unfold { array, through } => self.on_unfold(array, through),
            Input::Committed(Change::Unfolded { array, count }) => {
                self.on_unfolded(array, count, actions);
            }
            Input::Refused(Change::Unfolded { array, .. }) => self.unfold_later(now, array),
            Input::MoveFolded { array, to, reason } => {
                self.on_move_folded(now, array, to, reason, actions);
            }
            Input::Committed(Change::FoldMoved { folded, to, reason, .. }) => {
                self.on_fold_moved(folded.array, Some((to, reason)));
            }
            Input::Refused(Change::FoldMoved { folded, .. }) => {
                self.on_fold_moved(folded.array, None);
            }
            Input::Ended { job, token, outcome, usage, retry_after, retryable } => {
                let end = on_ended::End { outcome, usage, retry_after, retryable };
                self.on_ended(now, job, token, end, actions);
            }
            Input::Cancel { job, reason } => self.on_cancel(now, job, reason, actions),
            Input::Hold { job, reason } => self.on_hold(now, job, reason, actions),
            Input::Release { job } => self.on_release(now, job, actions),
            Input::Edit { job, revision } => self.on_edit(now, job, &revision, actions),
            Input::Edited { edited, requires } => self.on_edited(&edited, requires, actions),
            Input::Committed(change) => self.on_committed(&change, actions),
            Input::Refused(change) => self.on_refused(now, change),
            Input::QueueSet(record) => self.on_queue_set(record),
            Input::QueueRemoved(name) => self.on_queue_removed(&name),
            Input::Lanes(sizes) => self.on_lanes(sizes),
            Input::Keys(rules) => self.on_keys(rules),
            Input::StartsForgotten => self.on_starts_forgotten(),
            Input::Resources(resources) => self.on_resources(&resources),
            Input::Lent(permits) => self.rooms[seat(Class::Cpu)].lent = permits,
            Input::Starts(allowed) => self.on_starts(allowed, actions),
            Input::MaxRunning(limit) => self.options.max_running = limit,
            Input::Tick => {}
        }
        self.fire_timers(now, actions);
        self.move_decided(now, actions);
        self.dispatch(now, actions);
        self.unfold_wanted(now, actions);
    }

    /// When [`Input::Tick`] is wanted next, if nothing else comes before; none while so much is
    /// being written that what is due waits for [`Input::Committed`]. Changes with every step.
    pub fn next_deadline(&self) -> Option<Deadline> {
        let at_once = self.unfinished.map(|now| Deadline::after(now, Duration::ZERO));
        let pace = self.paces.first().map(|&(moment, _)| {
            Deadline::after(self.clock, moment.saturating_sub(self.clock.boot))
        });
        let may_fire = self.may_fire();
        let opening = self.limits.rules.opening.first().map(|&(moment, _)| {
            Deadline::after(self.clock, moment.saturating_sub(self.clock.boot))
        });
        let fires = [self.timers.next(), self.dependencies.next()];
        let fires = fires.into_iter().filter(|_| may_fire);
        let own = [at_once, pace, opening, self.folds.next()];
        let moments = own.into_iter().chain(fires).flatten();
        moments.min_by_key(|deadline| deadline.boot)
    }

    /// The moment of the wall clock at which [`Input::Tick`] is wanted too, whenever that clock comes to show
    /// it. Changes with every step.
    pub fn next_wall(&self) -> Option<WallTime> {
        self.timers.next_wall().filter(|_| self.may_fire())
    }

    fn token(&self, counter: u64) -> AttemptToken {
        AttemptToken { store: self.store, life: self.life, counter }
    }
}
