//! The control loop: the one place where everything that happens meets the scheduler.
//!
//! Owns the scheduler, the next batch of changes and everybody who waits for an answer. Never blocks and
//! never awaits a send: it hands the writer one batch at a time, starts work only against what the
//! scheduler counted, and answers sessions on channels that have room by construction. Invariant: an
//! answer that confirms a change is sent after the change's commit.

mod ask;
mod bulk;
mod change;
mod commit;
mod dependencies;
mod edit;
mod end;
mod folded;
mod gather;
mod load;
mod observe;
mod queue;
mod restart;
mod schedule;
mod shortage;
mod submit;
mod unfold;
mod unique;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, watch};

use super::caps::Press;
use super::captured::Captured;
use super::clock::{self, Alarm};
use super::event::{Answer, Endings, Event, FoldedRange, JobChange, Taken};
use super::happening::Happening;
use super::launch::Launcher;
use super::readers::Readers;
use super::requests::{RequestId, Requests};
use super::session::Bounds;
use super::settings::Live;
use super::uniques::Uniques;
use super::waiters::Waiters;
use super::works::Works;
use super::writer::Writer;
use crate::job::{AttemptToken, Change, Drain, JobId, Outcome, QueueRecord, ScheduleId, State};
use crate::lanes::{Attempt, Cause, Ended, Lanes};
use crate::pool::Pool;

use crate::scheduler::{Action, Agenda, Input, Planned, Scheduler, Start};
use crate::store::{FoldedElements, StoreError, Work};

pub(super) use self::end::Phase;
pub(super) use self::restart::Succession;
pub(super) use self::unfold::UNFOLDED_AT_ONCE;

/// The most events taken in one turn: enough to share one commit, few enough to stay responsive.
const TURN: usize = 512;

/// What follows when a change is written down.
#[derive(Debug)]
enum Then {
    /// Jobs enter the scheduler and their submitter gets the ids.
    Submitted(Answer<Taken>, Box<(Taken, Endings)>),
    /// An attempt may be launched if it waited for its start record.
    Started,
    /// The scheduler asked for it and gets it back.
    Scheduled,
    /// A final job comes back to life.
    Revived(JobId, RequestId),
    /// A queue changes.
    Queue(Answer<()>),
    /// Nothing starts any more, or everything may again.
    Drain(Answer<()>),
    /// Jobs are forgotten.
    Removed(RequestId),
    /// Elements that ended as one are run again, forgotten or made jobs of their own.
    Folded(RequestId, Box<FoldedElements>),
    /// A schedule was made, changed or dropped by hand.
    Schedule(ScheduleId, schedule::Told),
    /// A moment of a schedule was decided on.
    Turned,
    /// Nobody waits: the daemon is ending.
    Nothing,
    /// Nobody waits: it is only to be seen whether there is room again.
    Probe,
}

/// The control loop's state; each field is touched by the loop alone.
pub(super) struct Control {
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) reports: mpsc::Receiver<Ended>,
    /// Cloned by tasks that the loop starts and that report back.
    pub(super) own: mpsc::Sender<Event>,
    pub(super) alarm: Alarm,
    pub(super) scheduler: Scheduler,
    pub(super) agenda: Agenda,
    pub(super) lanes: Lanes,
    pub(super) pool: Pool,
    pub(super) launcher: Launcher,
    pub(super) writer: Writer,
    pub(super) readers: Readers,
    pub(super) works: Works,
    pub(super) waiters: Waiters,
    pub(super) uniques: Uniques,
    pub(super) requests: Requests,
    pub(super) happenings: broadcast::Sender<Happening>,
    pub(super) bounds: watch::Sender<Bounds>,
    pub(super) folds: watch::Sender<Vec<FoldedRange>>,
    pub(super) queues: BTreeMap<String, QueueRecord>,
    pub(super) settings: Live,
    pub(super) next_id: JobId,
    pub(super) captured: Captured,
    /// To whoever watches what attempts print.
    pub(super) press: Press,
    /// What it takes to replace the program.
    pub(super) succession: Succession,
    pub(super) state: LoopState,
}

/// A start that is not with its lane yet.
#[derive(Debug)]
struct Starting {
    start: Start,
    /// Its start record is synced.
    written: bool,
    /// Made, but waiting for the start record.
    attempt: Option<Box<Attempt>>,
}

/// What the loop remembers from turn to turn, empty at first.
#[derive(Default)]
pub(super) struct LoopState {
    /// Changes of the next batch, and beside them what follows each.
    batch: Vec<Change>,
    then: Vec<Then>,
    gathering: gather::Gathering,
    /// What follows the changes of the batch that is on its way.
    flying: Vec<Then>,
    /// Actions of the scheduler that are not performed yet.
    actions: Vec<Action>,
    /// Starts that are not with their lane yet.
    starting: HashMap<JobId, Starting>,
    /// Final jobs that came back to life and must be read again, and those that are being read.
    revived: Vec<(JobId, RequestId)>,
    reviving: HashSet<JobId>,
    /// Queues as they will be when what is on its way to the disk is there.
    queues_coming: BTreeMap<String, QueueRecord>,
    /// Schedules as they will be when what is on its way to the disk is there.
    schedules_coming: BTreeMap<ScheduleId, Planned>,
    /// Changes of schedules that met another on its way to the disk, to be asked for again after it.
    schedules_asked: Vec<schedule::Asked>,
    /// Every job below this id has been submitted and is known, or has ended.
    entered_below: u64,
    loading: load::Loading,
    /// Requests about many jobs, of which some are done in each turn.
    bulk: VecDeque<bulk::Bulk>,
    /// Who waits until elements of long arrays are jobs of their own.
    namings: Vec<unfold::Naming>,
    /// Requests that met a change on its way to the disk, to be asked again after it.
    deferred: Vec<(RequestId, JobChange, JobId)>,
    /// The same for what is folded of arrays.
    folds_deferred: Vec<(RequestId, JobChange, JobId)>,
    /// Arrays whose folded elements are on their way back to life.
    folds_reviving: HashSet<JobId>,
    /// Attempts that were to be ended before their lane had them.
    abort_early: HashSet<AttemptToken>,
    /// Jobs that run at most once, of those that run.
    once: HashMap<JobId, bool>,
    /// Core permits lent out, as the scheduler knows it.
    lent: u32,
    pub(super) counters: observe::Counters,
    phase: Phase,
    /// The restart that is under way.
    restart: Option<restart::Restart>,
    /// Why the daemon is drained, while it is.
    drain: Option<Drain>,
    /// Why nothing can be written, while that is so.
    full: Option<StoreError>,
    /// How many changes of the batch were offered to the side journal, and how many ends stand in it.
    offered: usize,
    aside: usize,
    /// Start records are awaited until then, because the last life did not end in order.
    pub(super) careful_until: Option<Instant>,
}

impl LoopState {
    /// The state at the beginning, with what the scheduler wanted done when the unfinished jobs entered it.
    /// Start records are awaited for so long.
    pub(super) fn beginning_with(
        actions: Vec<Action>,
        drain: Option<Drain>,
        careful: Duration,
    ) -> Self {
        let phase = if drain.is_some() { Phase::Draining } else { Phase::Running };
        let careful_until = Some(Instant::now() + careful);
        Self { actions, phase, drain, careful_until, ..Self::default() }
    }
}

impl Control {
    /// Runs until the daemon is to end; `Err` when the store can't be counted on any more.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let result = self.turns().await;
        if result.is_err() {
            self.writer.abandon(std::mem::take(&mut self.state.batch));
        } else if self.state.batch.is_empty() {
            // What could not be written is left for the next start to find, which must then look for it.
            self.writer.close();
        }
        result
    }

    async fn turns(&mut self) -> Result<(), StoreError> {
        let mut events = Vec::with_capacity(TURN);
        let mut reports = Vec::with_capacity(TURN);
        self.state.entered_below = self.next_id.get();
        self.publish_folds();
        self.allow_starts();
        self.turn(Vec::new())?;
        while !self.is_over() {
            tokio::select! {
                // Bulk work goes on turn by turn, and what happens meanwhile is not kept waiting.
                () = std::future::ready(()), if self.has_bulk() => {}
                _ = self.events.recv_many(&mut events, TURN) => {}
                _ = self.reports.recv_many(&mut reports, TURN) => {}
                // A restart waits for commands that are just beginning.
                () = self.lanes.one_goes_on(), if self.state.restart.is_some() => {}
                rung = self.alarm.rings() => {
                    if let Err(error) = rung {
                        tracing::error!("the alarm of the control loop failed: {error}");
                    }
                    events.push(Event::Due);
                }
            }
            events.extend(reports.drain(..).map(Event::Ended));
            self.turn(std::mem::take(&mut events))?;
            if self.state.restart.is_some() {
                self.pass_on().await;
            }
        }
        Ok(())
    }

    /// One turn: everything that happened, what follows from it, one batch for the writer.
    fn turn(&mut self, events: Vec<Event>) -> Result<(), StoreError> {
        let begun = Instant::now();
        self.look_at_lent();
        self.state.counters.events += events.len() as u64;
        for event in events {
            self.on_event(event)?;
        }
        self.go_on_with_bulk();
        self.go_on_with_restart();
        self.take_turns();
        self.perform();
        self.load_wanted();
        self.read_revived();
        self.hand_in();
        let (boot, wall) = self.next_moment();
        if let Err(error) = self.alarm.set(boot, wall) {
            tracing::error!("the alarm of the control loop can't be set: {error}");
        }
        self.state.counters.turn(begun.elapsed());
        Ok(())
    }

    fn on_event(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Asked(ask) => self.on_ask(ask),
            Event::Ended(ended) => self.on_ended(ended),
            Event::Written(written) => self.on_written(written)?,
            Event::Noted { aside } => self.on_noted(aside),
            Event::Loaded { wanted, found } => self.on_loaded(&wanted, &found),
            Event::ReadAhead(found) => self.on_read_ahead(found),
            Event::Revived { wanted, found, edges } => self.on_revived(&wanted, &found, &edges),
            Event::Known { entries, endings } => self.enter(entries, &endings),
            Event::KnownEdit { edited, endings } => self.edited(edited, &endings),
            Event::Overflowed(token) => {
                self.lanes.end(token, Cause::OutputLimit);
            }
            Event::Checked(checked) => self.on_checked(checked),
            Event::SessionsLeft(listener) => self.on_sessions_left(listener),
            Event::Signal(signal) => self.on_signal(signal),
            Event::Due => {
                self.step(Input::Tick);
                self.check_deadline();
            }
            // Only wakes the loop: every turn looks at what is lent.
            Event::Lent => {}
            Event::RetryWrite => self.retry_write(),
        }
        Ok(())
    }

    /// Gives the scheduler an input; what it wants done is performed at the end of the turn.
    fn step(&mut self, input: Input) {
        self.scheduler.step(clock::now(), input, &mut self.state.actions);
    }

    fn on_ended(&mut self, ended: Ended) {
        if let Some(attempt) = self.lanes.forget(ended.token) {
            self.press.ends((ended.job, attempt, ended.token));
        }
        self.state.abort_early.remove(&ended.token);
        let once = self.state.once.remove(&ended.job).unwrap_or(false);
        self.state.counters.ended(&ended.outcome);
        let stops = matches!(self.state.phase, Phase::Stopping { .. });
        if ended.outcome == Outcome::Interrupted && !stops {
            return self.interrupted_by_restart(&ended, once);
        }
        if ended.outcome == Outcome::Interrupted {
            let hold = self.scheduler.job(ended.job).is_some_and(|live| live.hold_asked);
            let change = end::interrupted(&ended, once, hold, clock::now().wall);
            self.write(change, Then::Nothing);
            return;
        }
        self.step(Input::Ended {
            job: ended.job,
            token: ended.token,
            outcome: ended.outcome,
            usage: ended.usage,
            retryable: ended.retryable,
            retry_after: ended.retry_after,
        });
    }

    /// Performs what the scheduler wants done, until it wants nothing more.
    fn perform(&mut self) {
        while !self.state.actions.is_empty() {
            for action in std::mem::take(&mut self.state.actions) {
                match action {
                    Action::Start(start) => self.start(start),
                    Action::Write(change) => self.write(change, Then::Scheduled),
                    Action::Abort { token, .. } => {
                        if !self.lanes.end(token, Cause::Cancelled) {
                            self.state.abort_early.insert(token);
                        }
                    }
                    // Waiters and watchers are told from the committed change, which says more.
                    Action::Settled { .. } => {}
                    Action::Declined { job, why } => {
                        tracing::error!(%job, ?why, "the scheduler declined what nobody asked for");
                    }
                }
            }
        }
    }

    /// Hands the writer the next batch, unless more is to come soon. While it is known that there is no
    /// room for it, only what ended goes to the side journal.
    fn hand_in(&mut self) {
        if self.state.full.is_some() {
            return self.offer_ends();
        }
        let idle = !self.writer.is_busy() && !self.state.batch.is_empty();
        if idle && !self.gathers() {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if self.writer.is_busy() || self.state.batch.is_empty() {
            return;
        }
        match self.writer.hand_in(std::mem::take(&mut self.state.batch)) {
            Ok(()) => {
                self.state.flying = std::mem::take(&mut self.state.then);
                self.gathered();
                self.state.offered = 0;
            }
            Err(batch) => self.state.batch = batch,
        }
    }

    /// Writes the start down, ahead of everything that may follow of the job, and gets its work.
    fn start(&mut self, start: Start) {
        let change = Change::Started {
            job: start.job,
            attempt: start.attempt,
            token: start.token,
            lane: start.demand.lane(),
            class: start.demand.class,
            at: clock::now().wall,
        };
        self.write(change, Then::Started);
        let starting = Starting { start, written: false, attempt: None };
        self.state.starting.insert(start.job, starting);
        if let Some(work) = self.work_at_hand(start.job) {
            self.launch(&work);
        } else {
            self.state.loading.wanted.push(start.job);
        }
    }

    /// Where the attempt finds the units that it was given.
    fn unit_variables(&self, job: JobId) -> Vec<(String, String)> {
        let units = self.scheduler.units(job).into_iter();
        let settings = self.settings.settings();
        let variable = |name: &str| super::resources::variable(settings, name);
        units.map(|(name, units)| (variable(&name), units.join(","))).collect()
    }

    /// Launches the attempt, or has it wait for its start record.
    fn launch(&mut self, work: &Work) {
        let Some(starting) = self.state.starting.get(&work.id) else { return };
        let (start, written) = (starting.start, starting.written);
        let variables = self.unit_variables(work.id);
        let attempt = match self.launcher.attempt(&start, work, variables) {
            Ok(attempt) => attempt,
            Err(problem) => return self.fail_to_launch(work.id, problem),
        };
        let once = work.spec.at_most_once || self.settings.interrupts_after_crash();
        let careful = self.state.careful_until.is_some_and(|until| Instant::now() < until);
        self.state.once.insert(start.job, once);
        if (once || careful || start.alone) && !written {
            if let Some(starting) = self.state.starting.get_mut(&work.id) {
                starting.attempt = Some(Box::new(attempt));
            }
            self.hurry();
        } else {
            self.state.starting.remove(&work.id);
            self.run_attempt(attempt);
        }
    }

    /// The start record is synced: an attempt that waited for it goes to its lane.
    fn start_is_written(&mut self, job: JobId) {
        if let Some(starting) = self.state.starting.get_mut(&job) {
            starting.written = true;
            if let Some(attempt) = starting.attempt.take() {
                self.state.starting.remove(&job);
                self.run_attempt(*attempt);
            }
        }
    }

    /// Hands the attempt to its lane, and ends it at once if that was wanted before it began.
    fn run_attempt(&mut self, attempt: Attempt) {
        let token = attempt.run.token;
        self.state.counters.started += 1;
        self.lanes.start(attempt);
        self.press.begins();
        if self.state.abort_early.remove(&token) {
            self.lanes.end(token, Cause::Cancelled);
        } else if self.is_ending_now() || self.is_forcing() {
            self.lanes.end(token, Cause::Interrupted);
        }
    }

    /// The attempt counts as one that failed at once.
    fn fail_to_launch(&mut self, job: JobId, problem: String) {
        let Some(Starting { start, .. }) = self.state.starting.remove(&job) else { return };
        self.step(Input::Ended {
            job: start.job,
            token: start.token,
            outcome: Outcome::Failed(crate::job::Failure::Error(problem)),
            usage: crate::job::Usage::default(),
            retryable: true,
            retry_after: None,
        });
    }

    /// Tells watchers, if there are any.
    fn tell(&self, happening: impl FnOnce() -> Happening) {
        if self.happenings.receiver_count() > 0 {
            // The last watcher may have gone this moment.
            let _ = self.happenings.send(happening());
        }
    }

    /// Whether the job is one of the unfinished ones.
    fn is_live(&self, job: JobId) -> bool {
        self.scheduler.job(job).is_some()
    }

    /// Where an unfinished job stands.
    fn live_state(&self, job: JobId) -> Option<State> {
        self.scheduler.job(job).map(|live| live.state)
    }
}
