//! Choosing what starts next, until nothing more fits.

use super::contest::Contest;
use super::queues::ShapedLine;
use super::table::{Key, Place, Slot};
use super::views::demand;
use super::{Action, CLASSES, CancelWish, Running, SEATS, Scheduler, Start, seat};
use crate::job::State;

/// A job that may start now.
#[derive(Clone, Copy, Debug)]
struct Pick {
    key: Key,
    slot: Slot,
    queue: u32,
    class: usize,
    permits: u32,
    /// Whether something whose turn it is waits for more room meanwhile.
    overtakes: bool,
}

impl Scheduler {
    /// Starts whatever may start. Costs a little for each start and next to nothing without one.
    pub(super) fn dispatch(&mut self, actions: &mut Vec<Action>) {
        while self.starts && !self.is_full() {
            let Some(pick) = self.pick() else { return };
            self.start(pick, actions);
        }
    }

    /// Whether as many jobs run as may run at all.
    pub(super) fn is_full(&self) -> bool {
        self.options.max_running.is_some_and(|max| self.running.len() as u64 >= u64::from(max))
    }

    fn pick(&self) -> Option<Pick> {
        let classes = (0..SEATS).map(|step| (self.turn + step) % SEATS);
        let pick = classes.into_iter().find_map(|class| self.pick_in(class))?;
        Some(self.better_in_queue(pick))
    }

    /// What may start in one class: the top if it fits, else one that may overtake it.
    fn pick_in(&self, class: usize) -> Option<Pick> {
        let free = self.rooms[class].free();
        if free == 0 {
            return None;
        }
        let top = self.top(class)?;
        if top.permits <= free {
            return Some(top);
        }
        if self.contests[class].overtaken >= self.options.backfill {
            return None;
        }
        let queue = self.contests[class].top(free)?;
        let pick =
            self.best_open(queue, |line| seat(line.class) == class && line.permits <= free)?;
        Some(Pick { overtakes: true, ..pick })
    }

    /// The best job of the queue whose turn it is in this class.
    fn top(&self, class: usize) -> Option<Pick> {
        let queue = self.contests[class].top(u32::MAX)?;
        self.best_open(queue, |line| seat(line.class) == class)
    }

    /// The job whose turn it is in this class, whether it fits or not.
    pub(super) fn top_slot(&self, class: usize) -> Option<Slot> {
        self.top(class).map(|top| top.slot)
    }

    /// The best head of the queue's open lines that `fits` lets pass.
    fn best_open(&self, queue: u32, fits: impl Fn(&ShapedLine) -> bool) -> Option<Pick> {
        let lines = self.queues.get(queue).lines.iter();
        let fitting = lines.filter(|line| line.open.is_some() && fits(line));
        let picks = fitting.filter_map(|line| {
            let slot = line.line.head()?;
            let class = seat(line.class);
            let key = self.jobs.key(slot);
            Some(Pick { key, slot, queue, class, permits: line.permits, overtakes: false })
        });
        picks.min_by_key(|pick| pick.key)
    }

    /// Under a limit of its own, a queue's best job that fits goes first whatever its class: else the
    /// last place would go to the class that happened to be asked first.
    fn better_in_queue(&self, pick: Pick) -> Pick {
        if self.queues.get(pick.queue).max.is_none() {
            return pick;
        }
        let fits = |line: &ShapedLine| {
            let class = seat(line.class);
            class != pick.class
                && line.permits <= self.rooms[class].free()
                && self.contests[class].overtaken < self.options.backfill
        };
        match self.best_open(pick.queue, fits) {
            Some(better) if better.key < pick.key => {
                let top = self.top(better.class);
                Pick { overtakes: top.is_some_and(|top| top.slot != better.slot), ..better }
            }
            _ => pick,
        }
    }

    fn start(&mut self, pick: Pick, actions: &mut Vec<Action>) {
        let Pick { slot, class, permits, .. } = pick;
        self.charge(pick);
        self.rooms[class].take(permits);
        self.turn = (class + 1) % SEATS;
        self.counter += 1;
        let counter = self.counter;
        self.running.insert(slot, Running { counter, cancel: CancelWish::None, hold: None });
        let record = self.jobs.get_mut(slot);
        debug_assert!(record.state.may_become(State::Running), "{} is {}", record.id, record.state);
        record.state = State::Running;
        record.attempts = record.attempts.saturating_add(1);
        let (job, attempt) = (record.id, record.attempts);
        let demand = demand(CLASSES[class], permits);
        actions.push(Action::Start(Start { job, attempt, token: self.token(counter), demand }));
    }

    /// Takes the job out of its line and lets its queue and its class pay for the start.
    fn charge(&mut self, pick: Pick) {
        let Pick { slot, queue: number, class, permits, overtakes, .. } = pick;
        let best = self.best_line(number);
        let contest = &mut self.contests[class];
        let queue = self.queues.get_mut(number);
        if overtakes {
            contest.overtaken = contest.overtaken.saturating_add(1);
        } else {
            contest.overtaken = 0;
            contest.level = contest.level.max(queue.pass[class]);
        }
        queue.pass[class] += Contest::price(permits, queue.weight);
        let own = queue.line_of(CLASSES[class], permits);
        if queue.max.is_none() || own == best {
            queue.overtaken = 0;
        } else {
            queue.overtaken = queue.overtaken.saturating_add(1);
        }
        if let Some(own) = own {
            queue.lines[own].line.remove(&self.jobs, slot);
        }
        self.place(slot, Place::Running);
        self.refresh(number);
    }
}
