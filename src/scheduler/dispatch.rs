//! Choosing what starts next, until nothing more fits.

use super::contest::Contest;
use super::limits::Units;
use super::lines::LineNo;
use super::parking::Budget;
use super::table::{Key, Place, Record, Slot};
use super::{Action, CLASSES, CancelWish, Running, SEATS, Scheduler, Start, seat};
use crate::job::{Now, State};

/// A job that may start now.
#[derive(Clone, Copy, Debug)]
struct Pick {
    key: Key,
    slot: Slot,
    line: LineNo,
    queue: u32,
    class: usize,
    permits: u32,
    /// Whether something whose turn it is waits for more room meanwhile.
    overtakes: bool,
}

/// The most permits that a job may ask for, by class.
type Most = [u32; SEATS];

const fn only(class: usize, permits: u32) -> Most {
    let mut most = [0; SEATS];
    most[class] = permits;
    most
}

impl Scheduler {
    /// Starts whatever may start. Costs a little for each start and next to nothing without one.
    pub(super) fn dispatch(&mut self, now: Now, actions: &mut Vec<Action>) {
        let stirred = std::mem::take(&mut self.stirred);
        if !stirred && self.offers.is_empty() && self.unfinished.is_none() {
            return;
        }
        let mut budget = Budget::of_a_step();
        self.launch_poised(actions);
        loop {
            self.wake(&mut budget);
            if !self.starts || self.is_full() {
                break;
            }
            if let Some(pick) = self.pick(&mut budget) {
                self.start(pick, actions);
                budget.pay_start();
            } else if self.offers.is_empty() || budget.is_spent() {
                break;
            }
        }
        self.unfinished = budget.is_spent().then_some(now);
    }

    /// Whether as many jobs run as may run at all.
    pub(super) fn is_full(&self) -> bool {
        self.options.max_running.is_some_and(|max| self.taken() as u64 >= u64::from(max))
    }

    /// How many run or have their place.
    pub(super) fn taken(&self) -> usize {
        self.running.len() + usize::from(self.alone.poised().is_some())
    }

    fn pick(&mut self, budget: &mut Budget) -> Option<Pick> {
        let turn = self.turn;
        let classes = (0..SEATS).map(|step| (turn + step) % SEATS);
        let pick = classes.into_iter().find_map(|class| self.pick_in(class, budget))?;
        Some(self.better_in_queue(pick, budget))
    }

    /// What may start in one class: the top if it fits, else one that may overtake it.
    fn pick_in(&mut self, class: usize, budget: &mut Budget) -> Option<Pick> {
        let free = self.rooms[class].free();
        if free == 0 {
            return None;
        }
        let top = self.top(class, u32::MAX, budget)?;
        if top.permits <= free {
            return Some(top);
        }
        if self.contests[class].overtaken >= self.options.backfill {
            return None;
        }
        let pick = self.top(class, free, budget)?;
        Some(Pick { overtakes: true, ..pick })
    }

    /// The best job of the queue whose turn it is in this class, among those of so many permits.
    fn top(&mut self, class: usize, most: u32, budget: &mut Budget) -> Option<Pick> {
        while !budget.is_spent() {
            let queue = self.contests[class].top(most)?;
            if let Some(pick) = self.best_open(queue, only(class, most), budget) {
                return Some(pick);
            }
        }
        None
    }

    /// The job whose turn it is in this class, whether it fits or not.
    pub(super) fn top_slot(&self, class: usize) -> Option<Slot> {
        let queue = self.contests[class].top(u32::MAX)?;
        self.best_standing(queue, only(class, u32::MAX)).map(|pick| pick.slot)
    }

    /// The best job of the queue that no limit keeps waiting; lines that one does are parked.
    fn best_open(&mut self, queue: u32, most: Most, budget: &mut Budget) -> Option<Pick> {
        loop {
            let pick = self.best_standing(queue, most)?;
            let Some(limit) = self.blocker(pick.line) else { return Some(pick) };
            if !budget.take() {
                return None;
            }
            self.park(pick.line, limit);
        }
    }

    /// The best head of the queue's open groups of so many permits.
    fn best_standing(&self, queue: u32, most: Most) -> Option<Pick> {
        let groups = self.queues.get(queue).groups.iter();
        let fitting =
            groups.filter(|group| group.open.is_some() && group.permits <= most[seat(group.class)]);
        let (&(key, line), class, permits) = fitting
            .filter_map(|group| Some((group.heads.first()?, seat(group.class), group.permits)))
            .min_by_key(|(head, ..)| *head)?;
        let slot = self.lines.head(line)?;
        Some(Pick { key, slot, line, queue, class, permits, overtakes: false })
    }

    /// Under a limit of its own, a queue's best job that fits goes first whatever its class: else the
    /// last place would go to the class that happened to be asked first.
    fn better_in_queue(&mut self, pick: Pick, budget: &mut Budget) -> Pick {
        if self.queues.get(pick.queue).max.is_none() {
            return pick;
        }
        let most = std::array::from_fn(|class| {
            let may = class != pick.class && self.contests[class].overtaken < self.options.backfill;
            if may { self.rooms[class].free() } else { 0 }
        });
        match self.best_open(pick.queue, most, budget) {
            Some(better) if better.key < pick.key => {
                let top = self.top(better.class, u32::MAX, budget);
                Pick { overtakes: top.is_some_and(|top| top.slot != better.slot), ..better }
            }
            _ => pick,
        }
    }

    fn start(&mut self, pick: Pick, actions: &mut Vec<Action>) {
        let Pick { slot, class, permits, .. } = pick;
        let suspected = self.is_suspect(slot);
        let units = self.charge(pick, if suspected { Place::Poised } else { Place::Running });
        self.rooms[class].take(permits);
        self.turn = (class + 1) % SEATS;
        if suspected {
            self.poise(slot, units);
            self.launch_poised(actions);
        } else {
            self.launch(slot, units, actions);
        }
    }

    /// Starts a job that has its place.
    pub(super) fn launch(&mut self, slot: Slot, units: Units, actions: &mut Vec<Action>) {
        self.count_start(slot);
        let token = self.next_token();
        self.running.insert(slot, Running { token, cancel: CancelWish::None, hold: None, units });
        let record = self.jobs.get_mut(slot);
        debug_assert!(record.state.may_become(State::Running), "{} is {}", record.id, record.state);
        record.state = State::Running;
        record.attempts = record.attempts.saturating_add(1);
        let (job, attempt) = (record.id, record.attempts);
        let (demand, alone) = (self.demand(slot), self.is_suspect(slot));
        actions.push(Action::Start(Start { job, attempt, token, demand, alone }));
    }

    /// Takes the job out of its line and lets its queue, its class and its limits pay for the start.
    fn charge(&mut self, pick: Pick, place: Place) -> Units {
        let Pick { slot, line, queue: number, class, permits, overtakes, .. } = pick;
        let limited = self.queues.get(number).max.is_some();
        let best = if limited { self.best_group(number) } else { None };
        let contest = &mut self.contests[class];
        let queue = self.queues.get_mut(number);
        if overtakes {
            contest.overtaken = contest.overtaken.saturating_add(1);
        } else {
            contest.overtaken = 0;
            contest.level = contest.level.max(queue.pass[class]);
        }
        queue.pass[class] += Contest::price(permits, queue.weight);
        if !limited || queue.group_of(CLASSES[class], permits) == best {
            queue.overtaken = 0;
        } else {
            queue.overtaken = queue.overtaken.saturating_add(1);
        }
        let shape = self.lines.get(line).shape;
        let units = self.limits.start(shape.limits);
        self.stop_waiting(line);
        self.note_overtaken(shape.limits);
        self.lines.get_mut(line).line.remove(&self.jobs, slot);
        self.pass_on(shape.limits, shape.group());
        self.rehead(line);
        self.place(slot, place);
        self.refresh(number);
        units
    }

    /// A start counts for the rates of its queue and its keys.
    fn count_start(&mut self, slot: Slot) {
        let Record { queue, limits, .. } = *self.jobs.get(slot);
        self.note_start(limits);
        if let Some(pace) = &mut self.queues.get_mut(queue).pace {
            pace.note(self.clock.boot);
            self.look_at_pace(queue);
            self.refresh(queue);
        }
    }
}
