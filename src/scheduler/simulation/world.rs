//! The world around a scheduler: what is on the disk, what runs, what the settings are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::dice::Dice;
use super::disk::{Pending, Stored};
use super::lanes::Attempt;
use super::oracle::Name;
use super::turns::Stands;
use crate::job::{
    AttemptToken, Change, Deadline, JobId, KeyRule, Now, Outcome, QueueRecord, State, StoreId,
    WallTime,
};
use crate::scheduler::{
    Action, Aging, Decline, Entry, FoldedEntry, Input, LaneSizes, Options, Resource, Scheduler,
};

/// One world. The scheduler sees it only through inputs and changes it only through actions.
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) now: Now,
    pub(super) scheduler: Scheduler,
    life: u64,
    /// What survives a crash.
    pub(super) disk: BTreeMap<JobId, Stored>,
    /// Arrays that are written down as one, as far as they are.
    pub(super) folds: Vec<FoldedEntry>,
    pub(super) queues: BTreeMap<String, QueueRecord>,
    pub(super) next_id: u64,
    /// Written but not synced, in order.
    pub(super) pending: VecDeque<Pending>,
    /// Synced but not yet told to the scheduler, in order.
    pub(super) answers: VecDeque<Input>,
    pub(super) disk_is_full: bool,
    pub(super) refuses: bool,
    /// Jobs whose last change was refused.
    pub(super) put_off: BTreeSet<JobId>,
    /// Jobs whose time has come at least once.
    pub(super) had_time: BTreeSet<JobId>,
    pub(super) attempts: BTreeMap<u64, Attempt>,
    pub(super) tokens: BTreeSet<(u64, u64)>,
    pub(super) lanes: LaneSizes,
    pub(super) lent: u32,
    pub(super) starts: bool,
    pub(super) max_running: Option<u32>,
    pub(super) resources: Vec<Resource>,
    /// When jobs of a queue started, since its rate was set.
    pub(super) started: BTreeMap<String, Vec<Duration>>,
    /// What the settings say of keys, and when jobs with a key started since its rate was set.
    pub(super) keys: Vec<KeyRule>,
    pub(super) key_starts: BTreeMap<Name, Vec<Duration>>,
    /// What the newest job under each limit said.
    pub(super) limits: BTreeMap<Name, (JobId, u32)>,
    /// Jobs as they were before edits that the scheduler has not been told of yet.
    pub(super) unanswered: BTreeMap<JobId, Entry>,
    pub(super) stands: Stands,
    /// The suspect that has the inside of the daemon to itself.
    pub(super) ran_alone: Option<JobId>,
    /// The suspect that had its place before the present step.
    pub(super) had_place: Option<JobId>,
    /// How many runs alone in a row each job lost.
    pub(super) lost_alone: BTreeMap<JobId, u32>,
    history: Vec<String>,
}

pub(super) fn options() -> Options {
    let aging = Aging::every(Duration::from_secs(5)).unwrap();
    Options { max_running: None, aging, backfill: 4 }
}

/// Further than all steps of the wall clock together.
const FAR: Duration = Duration::from_secs(1_000_000);

const STORE: StoreId = StoreId::new(1);

impl World {
    pub(super) fn new(dice: Dice) -> Self {
        let lanes = LaneSizes { cpu: 4, io: 3, blocking: 1 };
        Self {
            dice,
            now: Now { boot: Duration::from_secs(1000), wall: WallTime(1_700_000_000_000_000) },
            scheduler: Scheduler::new(options(), lanes, STORE, 1),
            life: 1,
            disk: BTreeMap::new(),
            folds: Vec::new(),
            queues: BTreeMap::new(),
            next_id: 1,
            pending: VecDeque::new(),
            answers: VecDeque::new(),
            disk_is_full: false,
            refuses: true,
            put_off: BTreeSet::new(),
            had_time: BTreeSet::new(),
            attempts: BTreeMap::new(),
            tokens: BTreeSet::new(),
            lanes,
            lent: 0,
            starts: true,
            max_running: None,
            resources: Vec::new(),
            started: BTreeMap::new(),
            keys: Vec::new(),
            key_starts: BTreeMap::new(),
            limits: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            stands: Stands::default(),
            ran_alone: None,
            had_place: None,
            lost_alone: BTreeMap::new(),
            history: Vec::new(),
        }
    }

    /// Something happens.
    pub(super) fn turn(&mut self) {
        match self.dice.roll(100) {
            0..20 => self.submit(),
            20..45 => self.end_some_attempt(),
            45..62 => self.sync_some(),
            62..76 => self.answer_some(),
            76..86 => self.ask_something(),
            86..92 => self.let_time_pass(),
            92..98 => self.change_a_setting(),
            98 => self.toggle_full_disk(),
            _ => self.maybe_crash(),
        }
        // Who runs alone may be guilty.
        if self.ran_alone.is_some() && self.dice.chance(4) {
            self.crash();
        }
        self.check_books();
    }

    /// Gives the scheduler one input and does what it says.
    pub(super) fn input(&mut self, input: Input) {
        let mut actions = Vec::new();
        self.note_limits(&input);
        self.note_stands(&input);
        self.note_alone(&input);
        self.had_place = self.scheduler.poised();
        if matches!(input, Input::Refused(_)) {
            self.history.push(format!("{input:?}"));
        }
        let of_array = matches!(input, Input::MoveFolded { .. });
        self.scheduler.step(self.now, input, &mut actions);
        if let Err(violation) = self.scheduler.check_invariants() {
            panic!("{violation}");
        }
        for action in actions {
            self.history.push(format!("{action:?}"));
            // What is declined of an array says nothing of the job that has its id.
            if !of_array || !matches!(action, Action::Declined { .. }) {
                self.perform(action);
            }
        }
        self.forget_limits();
        self.forget_stands();
    }

    pub(super) fn note(&mut self, event: &str) {
        self.history.push(event.to_owned());
    }

    pub(super) fn history(self) -> Vec<String> {
        self.history
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start(start) => self.start(start),
            Action::Write(change) => {
                let twice = self.pending.iter().any(|pending| pending.is(&change));
                // A repeated cancellation is written once more, for its answer.
                let again = matches!(
                    change,
                    Change::CancelAsked { .. } | Change::HoldAsked { .. } | Change::Edited(_)
                );
                assert!(again || !twice, "{change:?} is asked for twice");
                self.check_requirements(&change);
                if let Change::Edited(edited) = &change {
                    self.check_move(edited);
                }
                self.check_time(&change);
                self.pending.push_back(Pending::Change(change));
            }
            Action::Abort { job, token } => self.abort(job, token),
            Action::Settled { job, state } => {
                assert_eq!(
                    self.disk[&job].state, state,
                    "{job} settled elsewhere than on the disk"
                );
                assert_eq!(state.is_final(), self.scheduler.job(job).is_none(), "{job} {state}");
            }
            Action::Declined { job, why } => {
                let known = self.scheduler.job(job);
                assert_eq!(known.is_none(), why == Decline::Unknown, "{job} {why:?}");
            }
        }
    }

    fn let_time_pass(&mut self) {
        let span = Duration::from_millis(self.dice.roll(3000));
        self.now.boot += span;
        self.now.wall = self.now.wall.plus(span);
        if self.dice.chance(10) {
            let step = self.dice.roll(2_000_000_000) as i64 - 1_000_000_000;
            self.now.wall = WallTime(self.now.wall.0 + step);
        }
        let due = |deadline: Deadline| deadline.is_due(self.now);
        let by_wall = self.scheduler.next_wall().map(Deadline::at);
        if self.scheduler.next_deadline().is_some_and(due) || by_wall.is_some_and(due) {
            self.input(Input::Tick);
        }
    }

    fn toggle_full_disk(&mut self) {
        self.disk_is_full = !self.disk_is_full;
        self.set_starts(!self.disk_is_full);
    }

    pub(super) fn set_starts(&mut self, starts: bool) {
        self.starts = starts;
        self.input(Input::Starts(starts));
    }

    fn maybe_crash(&mut self) {
        if self.dice.chance(50) {
            self.crash();
        }
    }

    /// The daemon dies at any point between sync and answer, and another finds what is on the disk.
    fn crash(&mut self) {
        let synced = self.dice.roll(self.pending.len() as u64 + 1) as usize;
        for _ in 0..if self.disk_is_full { 0 } else { synced } {
            self.sync_one();
        }
        self.pending.clear();
        self.answers.clear();
        self.attempts.clear();
        self.put_off.clear();
        self.life += 1;
        self.limits.clear();
        self.unanswered.clear();
        self.ran_alone = None;
        self.stands = Stands::default();
        self.started.clear();
        self.key_starts.clear();
        self.lent = 0;
        (self.disk_is_full, self.starts) = (false, true);
        self.history.push("crash".to_owned());
        self.scheduler = Scheduler::new(options(), self.lanes, STORE, self.life);
        self.input(Input::MaxRunning(self.max_running));
        self.input(Input::Resources(self.resources.clone()));
        self.input(Input::Keys(self.keys.clone()));
        for queue in self.queues.values().cloned().collect::<Vec<_>>() {
            self.input(Input::QueueSet(queue));
        }
        let rerun = self.dice.chance(70);
        let crashed = self.dice.chance(80);
        let lost = self.lost_inside();
        for stored in self.disk.values_mut().filter(|stored| stored.state == State::Running) {
            stored.recover(rerun, crashed);
        }
        if rerun && crashed {
            self.check_condemned(&lost);
        }
        let unfinished = self.disk.values().filter(|stored| !stored.state.is_final());
        let entries = unfinished.map(|stored| self.entry(stored.job.id)).collect();
        self.input(Input::Submitted(entries));
        for folded in self.folds.clone() {
            self.input(Input::Folded(Box::new(folded)));
        }
    }

    pub(super) fn token(&self, counter: u64) -> AttemptToken {
        AttemptToken { store: STORE, life: self.life, counter }
    }

    /// Faults end, gates open, nothing new comes: now everything must end, and soon. The bound: each
    /// round ends one attempt, and each job has at most three more of them, each of which needs its
    /// disk answers and a tick.
    pub(super) fn calm_down(&mut self) {
        self.refuses = false;
        self.disk_is_full = false;
        self.set_starts(true);
        self.max_running = None;
        self.input(Input::MaxRunning(None));
        for name in self.queues.keys().cloned().collect::<Vec<_>>() {
            self.set_queue(QueueRecord::named(&name));
        }
        self.set_keys(Vec::new());
        self.set_resources(3, 5);
        self.set_lanes(LaneSizes { cpu: 8, io: 2, blocking: 1 });
        self.sync_and_answer_all();
        let jobs = self.disk.values().filter(|stored| !stored.state.is_final()).count();
        let folded = self.folds.iter().map(|folded| folded.fold.count as usize).sum::<usize>();
        let jobs = jobs + folded;
        for _ in 0..=(jobs * 4 + 10) {
            self.calm_round();
            if self.scheduler.is_empty() {
                break;
            }
        }
        for stored in self.disk.values() {
            let id = stored.job.id;
            let told = self.scheduler.explain(self.now, id);
            assert!(stored.state.is_final(), "{stored:?} never ended: {told:?}");
        }
        assert_eq!(self.scheduler.len(), 0, "nothing is left over");
        assert!(self.folds.is_empty(), "no element is left behind: {:?}", self.folds);
        assert!(self.scheduler.classes().iter().all(|class| class.used == 0), "permits are lost");
    }

    fn calm_round(&mut self) {
        let mut named = Vec::new();
        for folded in self.folds.iter().filter(|folded| folded.first.state == State::Held) {
            named.push((folded.first.place.expect("an element").array, folded.first.id.after(2)));
        }
        for (array, through) in named {
            self.input(Input::Unfold { array, through });
        }
        for (&id, stored) in &self.disk.clone() {
            if stored.state == State::Held && self.scheduler.job(id).is_some_and(|job| !job.writing)
            {
                self.input(Input::Release { job: id });
            }
        }
        self.now.boot += Duration::from_secs(10);
        self.now.wall = self.now.wall.plus(FAR);
        self.input(Input::Tick);
        self.sync_and_answer_all();
        if let Some((&counter, attempt)) = self.attempts.first_key_value() {
            let outcome = if attempt.doomed { Outcome::Cancelled } else { Outcome::Succeeded };
            self.end(counter, outcome);
        }
        self.sync_and_answer_all();
        self.check_books();
    }

    fn sync_and_answer_all(&mut self) {
        while !(self.pending.is_empty() && self.answers.is_empty()) {
            while !self.pending.is_empty() {
                self.sync_one();
            }
            while let Some(answer) = self.answers.pop_front() {
                self.input(answer);
            }
        }
    }

    pub(super) fn deadline(&mut self, most_secs: u64) -> Deadline {
        let delay = Duration::from_millis(self.dice.roll(most_secs * 1000));
        if self.dice.chance(30) {
            return Deadline::at(self.now.wall.plus(delay));
        }
        Deadline::after(self.now, delay)
    }
}
