//! What others may see: jobs, queues, capacity. Nothing here changes anything.

use std::sync::Arc;

use super::gate::Holder;
use super::limit_names::LimitName;
use super::limits::Limit;
use super::queues::Queue;
use super::table::{Place, Slot};
use super::{CLASSES, CancelWish, Demand, Scheduler, seat};
use crate::job::{AttemptToken, Class, JobId, QueueRecord, State};

/// An unfinished job as the scheduler knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its id.
    pub id: JobId,
    /// Where it stands; while [`Live::writing`], where it stood before the change.
    pub state: State,
    /// A change of it is under way to the disk.
    pub writing: bool,
    /// The user that submitted it.
    pub owner: u32,
    /// Its queue.
    pub queue: Arc<str>,
    /// Higher goes first.
    pub priority: i32,
    /// What it takes while it runs.
    pub demand: Demand,
    /// How many attempts it has had, the running one included.
    pub attempts: u32,
    /// Its running attempt.
    pub token: Option<AttemptToken>,
    /// A user wants its running attempt to end.
    pub cancel_asked: bool,
    /// A user wants it held instead of run again.
    pub hold_asked: bool,
}

/// A queue: its settings and how many of its unfinished jobs are where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// Its settings.
    pub settings: QueueRecord,
    /// Whether it was given settings; otherwise it is there because of its jobs.
    pub set: bool,
    /// Ready, for their turn.
    pub queued: u32,
    /// On a timer.
    pub scheduled: u32,
    /// Held by hand.
    pub held: u32,
    /// Waiting for other jobs.
    pub waiting: u32,
    /// Under way.
    pub running: u32,
    /// A change of them is being written.
    pub writing: u32,
}

/// How much of a class's room is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassView {
    /// Which class.
    pub class: Class,
    /// Core permits for `cpu`, jobs for the others.
    pub size: u32,
    /// Core permits lent by jobs that are blocked.
    pub lent: u32,
    /// How much is taken; more than there is after a shrink, until the surplus finishes.
    pub used: u32,
}

/// A named resource and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceView {
    /// Its name.
    pub name: Arc<str>,
    /// How much there is.
    pub capacity: u64,
    /// How much is taken; more than there is after a shrink.
    pub used: u64,
    /// The names of its units, if it has any.
    pub units: Vec<Arc<str>>,
    /// Who holds the most of it.
    pub holders: Vec<Holder>,
}

impl Scheduler {
    /// The named resources, by name.
    pub fn resources(&self) -> Vec<ResourceView> {
        let view = |(number, limit): (_, &Limit)| match &limit.name {
            LimitName::Resource(name) => Some(ResourceView {
                name: Arc::clone(name),
                capacity: limit.max,
                used: limit.used,
                units: limit.units.clone(),
                holders: self.holders_of(number),
            }),
            _ => None,
        };
        let mut views: Vec<_> = self.limits.iter().filter_map(view).collect();
        views.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        views
    }

    /// The units of named resources that a running job holds, by resource.
    pub fn units(&self, job: JobId) -> Vec<(Arc<str>, Vec<Arc<str>>)> {
        let running = self.jobs.find(job).and_then(|slot| self.running.get(&slot));
        let named = |(number, units): &(_, Vec<Arc<str>>)| match &self.limits.get(*number)?.name {
            LimitName::Resource(name) => Some((Arc::clone(name), units.clone())),
            _ => None,
        };
        running.into_iter().flat_map(|running| &running.units).filter_map(named).collect()
    }

    /// The unfinished job with this id.
    pub fn job(&self, id: JobId) -> Option<Live> {
        self.jobs.find(id).map(|slot| self.live(slot))
    }

    fn live(&self, slot: Slot) -> Live {
        let record = self.jobs.get(slot);
        let running = self.running.get(&slot);
        Live {
            id: record.id,
            state: record.state,
            writing: record.place == Place::Writing,
            owner: record.owner,
            queue: Arc::clone(&self.queues.get(record.queue).name),
            priority: record.priority,
            demand: self.demand(slot),
            attempts: record.attempts,
            token: running.map(|running| running.token),
            cancel_asked: running.is_some_and(|running| running.cancel != CancelWish::None),
            hold_asked: running.is_some_and(|running| running.hold.is_some()),
        }
    }

    /// What a job takes while it runs, as lanes understand it: only `cpu` holds core permits.
    pub(super) fn demand(&self, slot: Slot) -> Demand {
        let record = self.jobs.get(slot);
        let permits = if record.class() == Class::Cpu { record.permits() } else { 0 };
        Demand { class: record.class(), permits, inside: self.limits.is_inside(record.limits) }
    }

    /// How many jobs are not finished, those included that are written down as one.
    pub fn len(&self) -> usize {
        self.jobs.len() + self.folds.len()
    }

    /// Whether every job is finished.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many attempts are under way.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// The attempts that are under way, in no particular order.
    pub fn attempts(&self) -> impl Iterator<Item = (JobId, AttemptToken)> {
        let ids = self.running.iter();
        ids.map(|(&slot, running)| (self.jobs.get(slot).id, running.token))
    }

    /// Whether anything new may start.
    pub fn starts(&self) -> bool {
        self.starts
    }

    /// The most jobs of all classes together that may run at once.
    pub fn max_running(&self) -> Option<u32> {
        self.options.max_running
    }

    /// The queue with this name, if it has settings or unfinished jobs.
    pub fn queue(&self, name: &str) -> Option<QueueView> {
        self.queues.find(name).map(|number| self.queue_view(self.queues.get(number)))
    }

    /// Every queue that has settings or unfinished jobs, by name.
    pub fn queues(&self) -> Vec<QueueView> {
        let mut views: Vec<_> =
            self.queues.iter().map(|(_, queue)| self.queue_view(queue)).collect();
        views.sort_unstable_by(|a, b| a.settings.name.cmp(&b.settings.name));
        views
    }

    fn queue_view(&self, queue: &Queue) -> QueueView {
        let counts = queue.counts;
        let folded_held = self.folded_held(&queue.name);
        QueueView {
            settings: QueueRecord {
                name: queue.name.to_string(),
                max: queue.max,
                weight: queue.weight,
                rate: queue.pace.as_ref().map(super::pace::Pace::rate),
                paused: queue.paused,
                reason: queue.reason.clone(),
            },
            set: queue.set,
            queued: counts.ready + counts.poised + counts.folded - folded_held,
            scheduled: counts.timed,
            held: counts.held + folded_held,
            waiting: counts.waiting,
            running: counts.running,
            writing: counts.writing,
        }
    }

    /// The unfinished jobs of a queue, in no particular order. Looks at every unfinished job of the
    /// daemon: for requests about a whole queue, not for the loop.
    pub fn jobs_in(&self, queue: &str) -> impl Iterator<Item = JobId> {
        let number = self.queues.find(queue);
        let jobs = self.jobs.iter();
        jobs.filter_map(move |(_, record)| (Some(record.queue) == number).then_some(record.id))
    }

    /// The jobs in line that ask for the same as this one in the same queue, the next to start first.
    pub fn alike(&self, job: JobId) -> impl Iterator<Item = JobId> {
        let line = self.jobs.find(job).and_then(|slot| self.line_of(self.shape(slot)));
        let slots = line.into_iter().flat_map(|line| self.lines.get(line).line.iter());
        slots.map(|slot| self.jobs.get(slot).id)
    }

    /// How much of each class's room is taken.
    pub fn classes(&self) -> [ClassView; 3] {
        CLASSES.map(|class| {
            let room = self.rooms[seat(class)];
            ClassView { class, size: room.size, lent: room.lent, used: room.used }
        })
    }
}
