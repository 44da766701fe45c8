//! Moving jobs between the places they can be in, and opening and closing lines.
//!
//! Every job comes in through [`Scheduler::enter`], waits for the disk through
//! [`Scheduler::write_move`] and is gone after [`Scheduler::forget`]; counts and lines follow here
//! and nowhere else.

use std::sync::Arc;

use super::lines::{LineNo, Shape};
use super::on_edit::Editing;
use super::table::{Place, Record, Slot};
use super::{Action, Decline, Demand, SEATS, Scheduler, Writing, seat};
use crate::job::{ArrayPlace, Change, Class, JobId, Limits, Now, Spec, State};

impl Scheduler {
    /// Puts a job that waits where its state belongs.
    pub(super) fn enter(&mut self, slot: Slot) {
        match self.jobs.get(slot).state {
            State::Queued => self.line_up(slot),
            State::Scheduled => {
                self.timers.arm(slot);
                self.place(slot, Place::Timed);
            }
            State::Waiting => {
                self.place(slot, Place::Waiting);
                self.dependencies.enter(slot);
            }
            _ => self.place(slot, Place::Held),
        }
    }

    fn line_up(&mut self, slot: Slot) {
        self.timers.forget(slot);
        self.place(slot, Place::Ready);
        let shape = self.shape(slot);
        let number = self.line_of(shape).unwrap_or_else(|| self.add_line(shape));
        let line = &mut self.lines.get_mut(number).line;
        let head = line.head();
        line.insert(&self.jobs, slot);
        if line.head() != head {
            self.rehead(number);
            self.refresh(shape.queue);
        }
    }

    pub(super) fn line_of(&self, shape: Shape) -> Option<LineNo> {
        self.lines.find(shape, self.limits.latest_line(shape.limits))
    }

    fn add_line(&mut self, shape: Shape) -> LineNo {
        self.queues.get_mut(shape.queue).group(shape.class, shape.permits).lines += 1;
        let number = self.lines.add(shape);
        self.limits.note_line(shape.limits, number);
        number
    }

    pub(super) fn shape(&self, slot: Slot) -> Shape {
        let Record { queue, asks, limits, .. } = *self.jobs.get(slot);
        let (class, permits) = (asks.class(), asks.permits());
        Shape { queue, class, permits, limits }
    }

    /// Takes a job out of its line or off its timer, so that it can't start.
    pub(super) fn leave(&mut self, slot: Slot) {
        match self.jobs.get(slot).place {
            Place::Ready => {
                let shape = self.shape(slot);
                let Some(number) = self.line_of(shape) else {
                    return debug_assert!(false, "a ready job stands in its line");
                };
                let found = self.lines.get_mut(number).line.remove(&self.jobs, slot);
                debug_assert!(found, "a ready job stands in its line");
                self.rehead(number);
                self.refresh(shape.queue);
            }
            Place::Timed => self.timers.disarm(slot),
            Place::Waiting => self.dependencies.leave(slot),
            Place::Poised => self.step_back(slot),
            Place::Held | Place::Running | Place::Writing => {}
        }
    }

    /// Notes where a job is; the counts follow.
    pub(super) fn place(&mut self, slot: Slot, place: Place) {
        let record = self.jobs.get_mut(slot);
        let counts = &mut self.queues.get_mut(record.queue).counts;
        *counts.of(record.place) -= 1;
        *counts.of(place) += 1;
        if std::mem::replace(&mut record.place, place) == Place::Ready {
            self.folds.left_line(slot);
        }
    }

    /// Takes a waiting job out of every line and asks for its move to be written down.
    pub(super) fn write_move(
        &mut self,
        now: Now,
        slot: Slot,
        to: State,
        reason: Option<String>,
        actions: &mut Vec<Action>,
    ) {
        let Record { id, state, .. } = *self.jobs.get(slot);
        if !state.may_become(to) {
            return decline(id, Decline::State(state), actions);
        }
        self.leave(slot);
        self.place(slot, Place::Writing);
        self.writing.insert(slot, Writing::Moved(to));
        let keeps = matches!(to, State::Scheduled | State::Held | State::Waiting);
        let not_before = if keeps { self.timers.moment(slot) } else { None };
        let at = now.wall;
        actions.push(Action::Write(Change::Moved {
            job: id,
            from: state,
            to,
            not_before,
            reason,
            at,
        }));
    }

    /// What was asked for is on the disk: the job stands in its new state.
    pub(super) fn settle(&mut self, slot: Slot, to: State, actions: &mut Vec<Action>) {
        self.writing.remove(&slot);
        let record = self.jobs.get_mut(slot);
        let job = record.id;
        let ran = record.state == State::Running;
        let Ok(state) = record.state.become_(to) else {
            debug_assert!(false, "{job} was to go from {} to {to}", record.state);
            return;
        };
        record.state = state;
        if ran {
            self.ended_alone(slot);
        }
        if state != State::Held {
            self.reasons.remove(&slot);
        }
        if matches!(state, State::Queued | State::Scheduled) {
            self.dependencies.remove(slot);
        }
        if state.is_final() {
            self.forget(slot);
        } else {
            self.enter(slot);
        }
        actions.push(Action::Settled { job, state });
    }

    /// Takes over what a job asks for; it stands in no line.
    pub(super) fn revise(&mut self, slot: Slot, spec: &Spec, editing: &Editing) {
        let Record { id, owner, queue: old_queue, limits: old_limits, .. } = *self.jobs.get(slot);
        let queue = self.queues.number(&Arc::from(spec.queue.as_str()));
        let wanted = spec.limits.as_deref();
        let inside = editing.demand.inside;
        let limits = self.come_under((id, owner), editing.place, wanted, inside);
        self.revise_later(slot, spec);
        let record = self.jobs.get_mut(slot);
        let (class, permits) = asked(editing.demand);
        record.asks = record.asks.with(class, permits);
        (record.queue, record.limits) = (queue, limits);
        let place = record.place;
        *self.queues.get_mut(old_queue).counts.of(place) -= 1;
        *self.queues.get_mut(queue).counts.of(place) += 1;
        self.limits.give_back(old_limits);
        self.queues.tidy(old_queue);
    }

    /// The number of the set of limits for one more job; those that are larger by it are offered.
    pub(super) fn come_under(
        &mut self,
        (job, owner): (JobId, u32),
        place: Option<ArrayPlace>,
        limits: Option<&Limits>,
        inside: bool,
    ) -> u32 {
        let (set, grown) = self.limits.take((job, owner), place, limits, inside);
        for index in 0..self.limits.of(set).len() {
            // A key that is new here may be shut by starts that nobody saw.
            self.look_at_key(self.limits.of(set)[index].0);
        }
        for limit in grown {
            self.offer(limit);
        }
        set
    }

    /// Takes over what counts after the present attempt.
    pub(super) fn revise_later(&mut self, slot: Slot, spec: &Spec) {
        let policy = self.policies.take(&spec.retry);
        let record = self.jobs.get_mut(slot);
        record.priority = spec.priority;
        let old = std::mem::replace(&mut record.policy, policy);
        self.policies.give_back(old);
    }

    fn forget(&mut self, slot: Slot) {
        self.timers.forget(slot);
        self.dependencies.remove(slot);
        self.reasons.remove(&slot);
        self.alone.suspect(slot, None);
        if let Some(record) = self.jobs.remove(slot) {
            self.policies.give_back(record.policy);
            self.limits.give_back(record.limits);
            *self.queues.get_mut(record.queue).counts.of(record.place) -= 1;
            self.queues.tidy(record.queue);
        }
    }

    /// Opens and closes the queue's groups as its gates and its best job demand, and drops empty ones.
    pub(super) fn refresh(&mut self, number: u32) {
        self.stirred = true;
        let only = self.only_group(number);
        let queue = self.queues.get_mut(number);
        let shut = queue.is_shut();
        let active: [bool; SEATS] = std::array::from_fn(|class| {
            queue.groups.iter().any(|group| group.open.is_some() && seat(group.class) == class)
        });
        for (index, group) in queue.groups.iter_mut().enumerate() {
            let class = seat(group.class);
            let wanted = !shut
                && !group.heads.is_empty()
                && group.permits <= self.rooms[class].size
                && only.is_none_or(|only| only == index);
            if wanted && !active[class] {
                queue.pass[class] = queue.pass[class].max(self.contests[class].level);
            }
            let open = wanted.then_some(queue.pass[class]);
            if group.open != open {
                if let Some(pass) = group.open {
                    self.contests[class].leave(group.permits, pass, number);
                }
                if let Some(pass) = open {
                    self.contests[class].enter(group.permits, pass, number);
                }
                group.open = open;
            }
        }
        queue.groups.retain(|group| group.lines > 0);
    }

    /// The one group that may still start something, once the queue's best job was overtaken too
    /// often.
    pub(super) fn only_group(&self, number: u32) -> Option<usize> {
        let queue = self.queues.get(number);
        let strict = queue.max.is_some() && queue.overtaken >= self.options.backfill;
        if strict { self.best_group(number) } else { None }
    }

    /// The group whose head is the best of the queue's ready jobs that can ever fit and that no limit
    /// is known to keep waiting.
    pub(super) fn best_group(&self, number: u32) -> Option<usize> {
        let groups = self.queues.get(number).groups.iter().enumerate();
        let fitting =
            groups.filter(|(_, group)| group.permits <= self.rooms[seat(group.class)].size);
        let keyed = fitting.filter_map(|(index, group)| Some((group.heads.first()?, index)));
        keyed.min().map(|(_, index)| index)
    }
}

/// The class that a job runs as, and how much it takes of its room.
pub(super) fn asked(demand: Demand) -> (Class, u32) {
    let class = if demand.class == Class::Auto { Class::Cpu } else { demand.class };
    (class, if class == Class::Cpu { demand.permits.max(1) } else { 1 })
}

pub(super) fn decline(job: JobId, why: Decline, actions: &mut Vec<Action>) {
    actions.push(Action::Declined { job, why });
}
