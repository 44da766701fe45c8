//! Schedules: making and changing them, and turning their moments into jobs.

use std::sync::Arc;

use super::super::clock;
use super::super::event::{Answer, Endings, ScheduleChange, ScheduleName};
use super::super::refuse;
use super::{Control, Then};
use crate::job::{
    Change, Condition, JobId, NewJob, Now, Requirement, ScheduleId, ScheduleRecord, ScheduleRun,
    State, TurnTaken,
};
use crate::protocol::{Error, MAX_SCHEDULES, SHOWN_MOMENTS, Schedule, schedule_to_wire};
use crate::scheduler::{Decision, Planned};
use crate::store::{Refusal, Work};

/// The most moments decided on in one turn of the loop, each of which asks a calendar: a few milliseconds.
const TURNS_AT_ONCE: usize = 256;

/// Why a run was cancelled, as its job shows it.
const REPLACED: &str = "replaced by the next run of its schedule";

/// A change of a schedule that a session asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: ScheduleName,
    pub(super) change: ScheduleChange,
    pub(super) answer: Answer<()>,
}

/// Whom to tell that a schedule was made or changed.
#[derive(Debug)]
pub(super) enum Told {
    Made(Answer<Schedule>),
    Changed(Answer<()>),
    Removed(Answer<()>),
}

impl Told {
    fn refuse(self, error: Error) {
        // Here and below: the session may have gone.
        match self {
            Self::Made(answer) => drop(answer.send(Err(error))),
            Self::Changed(answer) | Self::Removed(answer) => drop(answer.send(Err(error))),
        }
    }
}

impl Control {
    /// Makes a schedule.
    pub(super) fn on_add_schedule(&mut self, mut planned: Planned, answer: Answer<Schedule>) {
        let id = self.agenda.next_number();
        if planned.record.name.is_empty() {
            planned.record.name = self.free_name(planned.record.owner, id);
        }
        planned.record.id = id;
        planned.record.progress.next = planned.first_after(clock::now());
        if let Some(error) = self.refuses_schedule(&planned.record) {
            let _ = answer.send(Err(error));
            return;
        }
        self.agenda.give_number();
        self.write_schedule(planned, Told::Made(answer));
    }

    fn refuses_schedule(&self, record: &ScheduleRecord) -> Option<Error> {
        let coming = &self.state.schedules_coming;
        let invalid =
            |field: &str, message: String| Error::InvalidValue { field: field.to_owned(), message };
        if let Some(refusal) = self.refuses_jobs() {
            return Some(refusal);
        }
        if self.agenda.len() + coming.len() >= MAX_SCHEDULES {
            let message = format!(
                "there are {MAX_SCHEDULES} schedules, the most that are kept: remove some first"
            );
            return Some(Error::LimitReached { limit: "schedules".to_owned(), message });
        }
        if self.has_name(record.owner, &record.name) {
            let message = format!(
                "you have a schedule {name} already: give another --name, or `{program} schedule remove {name}` first",
                name = record.name,
                program = crate::NAME
            );
            return Some(invalid("name", message));
        }
        if record.progress.next.is_none() {
            let message =
                format!("{:?} never comes: look at its day and month", record.every.text());
            return Some(invalid("every", message));
        }
        None
    }

    fn has_name(&self, owner: u32, name: &str) -> bool {
        let mut coming = self.state.schedules_coming.values().map(|planned| &planned.record);
        self.agenda.named(owner, name).is_some()
            || coming.any(|record| record.owner == owner && *record.name == *name)
    }

    /// A name for a schedule that was given none.
    fn free_name(&self, owner: u32, id: ScheduleId) -> Arc<str> {
        let mut name = format!("every-{id}");
        while self.has_name(owner, &name) {
            name.push('+');
        }
        name.into()
    }

    fn write_schedule(&mut self, planned: Planned, told: Told) {
        let id = planned.record.id;
        self.agenda.set_writing(id);
        let record = Box::new(planned.record.clone());
        self.state.schedules_coming.insert(id, planned);
        self.write(Change::ScheduleSet(record), Then::Schedule(id, told));
    }

    /// Pauses, resumes or drops a schedule, once no other change of it is under way.
    pub(super) fn on_change_schedule(&mut self, asked: Asked) {
        let id = match self.find_schedule(&asked.name) {
            Ok(id) => id,
            Err(error) => return drop(asked.answer.send(Err(error))),
        };
        if self.agenda.is_writing(id) {
            self.state.schedules_asked.push(asked);
            return;
        }
        let Some(mut planned) = self.agenda.get(id).cloned() else { return };
        let Asked { change, answer, .. } = asked;
        match change {
            ScheduleChange::Remove => {
                self.agenda.set_writing(id);
                let told = Told::Removed(answer);
                self.write(Change::ScheduleRemoved { schedule: id }, Then::Schedule(id, told));
                return;
            }
            ScheduleChange::Pause(reason) => {
                (planned.record.paused, planned.record.reason) = (true, reason);
                planned.record.progress.next = None;
            }
            // One that is not paused keeps the moment that it has.
            ScheduleChange::Resume if !planned.record.paused => return drop(answer.send(Ok(()))),
            ScheduleChange::Resume => {
                (planned.record.paused, planned.record.reason) = (false, None);
                planned.record.progress.next = planned.first_after(clock::now());
            }
        }
        self.write_schedule(planned, Told::Changed(answer));
    }

    /// Asks again for what met a change on its way to the disk.
    pub(super) fn ask_schedules_again(&mut self) {
        for asked in std::mem::take(&mut self.state.schedules_asked) {
            self.on_change_schedule(asked);
        }
    }

    /// Gives up on what met a change that can't be written for now.
    pub(super) fn fail_schedules(&mut self, error: &Error) {
        for asked in std::mem::take(&mut self.state.schedules_asked) {
            let _ = asked.answer.send(Err(error.clone()));
        }
    }

    /// What a session asked for is written down, or was refused by the store.
    pub(super) fn schedule_changed(
        &mut self,
        id: ScheduleId,
        told: Told,
        answer: Result<(), Refusal>,
    ) {
        if let Err(refusal) = answer {
            let error = Error::Internal { message: refusal.to_string() };
            return self.schedule_refused(id, told, error);
        }
        if let Some(mut planned) = self.state.schedules_coming.remove(&id) {
            // Runs may have ended meanwhile.
            planned.unfinished =
                self.agenda.get(id).map(|old| old.unfinished.clone()).unwrap_or_default();
            planned.overdue = std::time::Duration::ZERO;
            self.agenda.enter(planned);
        }
        match told {
            Told::Made(answer) => {
                if let Some(planned) = self.agenda.get(id) {
                    let _ = answer.send(Ok(shown(planned, clock::now(), SHOWN_MOMENTS)));
                }
            }
            Told::Changed(answer) => drop(answer.send(Ok(()))),
            Told::Removed(answer) => {
                self.agenda.forget(id);
                let _ = answer.send(Ok(()));
            }
        }
    }

    /// What a session asked for is not written.
    pub(super) fn schedule_refused(&mut self, id: ScheduleId, told: Told, error: Error) {
        self.state.schedules_coming.remove(&id);
        self.agenda.refused(clock::now(), id);
        told.refuse(error);
    }

    /// Decides on the moments that have come, and has their runs written down.
    pub(super) fn take_turns(&mut self) {
        if self.agenda.is_empty() || !self.takes_turns() {
            return;
        }
        let now = clock::now();
        for turn in self.agenda.take_due(now, TURNS_AT_ONCE) {
            if self.next_id.get() >= JobId::MAX {
                tracing::error!("there are no job ids left for schedule {}", turn.schedule);
                self.agenda.refused(now, turn.schedule);
                continue;
            }
            self.write_turn(turn, now);
        }
    }

    fn write_turn(&mut self, turn: Decision, now: Now) {
        let Decision { schedule, slot, mut progress, run } = turn;
        let Some(record) = self.agenda.get(schedule).map(|planned| &planned.record) else { return };
        let job = run.as_ref().map(|run| new_run(record, self.next_id, slot, run.after, now));
        if let Some(job) = &job {
            progress.last = Some(job.id);
            self.next_id = job.id.after(1);
        }
        let taken = TurnTaken { schedule, job, progress };
        self.write(Change::ScheduleTurned(Box::new(taken)), Then::Turned);
        let replaced = run.map(|run| run.replaces).unwrap_or_default();
        if !replaced.is_empty() {
            // In the same batch; nobody waits for the answer.
            let (answer, _) = tokio::sync::oneshot::channel();
            let request = self.requests.open(replaced.len(), answer);
            let cancel = super::JobChange::Cancel(Some(REPLACED.to_owned()));
            for job in replaced {
                self.change_one(request, &cancel, job);
            }
        }
    }

    /// A moment is decided on for good: its run goes to the scheduler.
    pub(super) fn turned(&mut self, turn: TurnTaken, answer: Result<(), Refusal>) {
        let TurnTaken { schedule, job, progress } = turn;
        if let Err(refusal) = answer {
            tracing::error!("a run of schedule {schedule} was refused: {refusal}");
            self.agenda.refused(clock::now(), schedule);
            return;
        }
        self.agenda.taken(schedule, progress, job.as_ref().map(|job| job.id));
        let Some(job) = job else { return };
        let entry = self.entry(&job);
        self.state.entered_below = job.id.get() + 1;
        let (spec, context) = (job.spec, job.context);
        self.works.keep([Work { id: job.id, place: None, edits: 0, spec, context }]);
        self.enter(vec![entry], &Endings::new());
    }

    /// The schedules of a user, or of all users, each with its next moment.
    pub(super) fn schedules_reply(&self, owner: Option<u32>) -> Vec<Schedule> {
        let now = clock::now();
        let wanted = |planned: &&Planned| owner.is_none_or(|owner| planned.record.owner == owner);
        self.agenda.iter().filter(wanted).map(|planned| shown(planned, now, 1)).collect()
    }

    /// One schedule with its next moments.
    pub(super) fn schedule_reply(&self, name: &ScheduleName) -> Result<Schedule, Error> {
        let id = self.find_schedule(name)?;
        let found = self.agenda.get(id).ok_or_else(|| self.no_such_schedule(name))?;
        Ok(shown(found, clock::now(), SHOWN_MOMENTS))
    }

    fn no_such_schedule(&self, name: &ScheduleName) -> Error {
        let own = self.agenda.iter().filter(|planned| planned.record.owner == name.uid);
        let known: Vec<&str> = own.map(|planned| &*planned.record.name).collect();
        refuse::no_such_schedule(&name.text, &known)
    }

    /// The schedule that a client names: one of its own, or for an admin the only one of that name.
    fn find_schedule(&self, name: &ScheduleName) -> Result<ScheduleId, Error> {
        if let Some(id) = self.agenda.named(name.uid, &name.text) {
            return Ok(id);
        }
        let may_see = |planned: &&Planned| name.admin || planned.record.owner == name.uid;
        let number = name.text.parse().map(ScheduleId).ok();
        if let Some(found) = number.and_then(|id| self.agenda.get(id)).filter(may_see) {
            return Ok(found.record.id);
        }
        let all = self.agenda.iter().filter(may_see);
        let found: Vec<ScheduleId> = all
            .filter(|planned| *planned.record.name == *name.text)
            .map(|planned| planned.record.id)
            .collect();
        match found.as_slice() {
            [] => Err(self.no_such_schedule(name)),
            [id] => Ok(*id),
            several => {
                let numbers: Vec<String> = several.iter().map(ToString::to_string).collect();
                let message = format!(
                    "several users have a schedule {}: name it by its number, one of {}",
                    name.text,
                    numbers.join(", ")
                );
                Err(Error::InvalidValue { field: "schedule".to_owned(), message })
            }
        }
    }
}

/// The job of a run.
fn new_run(
    record: &ScheduleRecord,
    id: JobId,
    slot: crate::job::WallTime,
    after: Option<JobId>,
    now: Now,
) -> NewJob {
    let requirement = |job| Requirement { job, on: Condition::Any };
    NewJob {
        id,
        owner: record.owner,
        submission: id,
        place: None,
        submitted_at: now.wall,
        state: if after.is_some() { State::Waiting } else { State::Queued },
        not_before: None,
        requirements: after.into_iter().map(requirement).collect(),
        unique: None,
        run: Some(Box::new(ScheduleRun {
            schedule: record.id,
            name: Arc::clone(&record.name),
            slot,
        })),
        spec: Arc::clone(&record.spec),
        context: Arc::clone(&record.context),
    }
}

/// The schedule as clients see it.
fn shown(planned: &Planned, now: Now, moments: usize) -> Schedule {
    let next = planned.upcoming(now, moments);
    let record = &planned.record;
    let problem = if planned.zone.is_none() {
        Some(format!(
            "this system does not know the time zone {} any more: install its time zone data and start the daemon again",
            record.zone
        ))
    } else if next.is_empty() && !record.paused {
        Some("no moment of it comes any more".to_owned())
    } else {
        None
    };
    let unfinished = planned.unfinished.iter().copied().collect();
    Schedule { problem, ..schedule_to_wire(record, &next, unfinished) }
}
