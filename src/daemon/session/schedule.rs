//! Calls about schedules.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::clock;
use super::super::event::{Ask, ScheduleChange, ScheduleName};
use super::Session;
use super::call::Manner;
use super::connection::Gone;
use super::submit::context;
use crate::job::{Every, JobId, Progress, ScheduleId, ScheduleRecord, State, check_schedule_name};
use crate::protocol::{
    AddSchedule, Empty, Error, JobSpec, Request, SHOWN_MOMENTS, Schedule, ScheduleReply, Schedules,
    SchedulesReply, schedule_to_wire,
};
use crate::scheduler::Planned;
use crate::store::Filter;

/// The zone of a schedule that names none.
const UTC: &str = "UTC";

impl Session {
    pub(super) async fn schedules(&mut self, request: Request, manner: Manner) -> Result<(), Gone> {
        match request {
            Request::AddSchedule(add) => {
                let result = self.add_schedule(add).await;
                self.finish(result.map(|schedule| ScheduleReply { schedule }), manner).await
            }
            Request::Schedules(asked) => {
                let result = self.all_schedules(asked).await;
                self.finish(result.map(|schedules| SchedulesReply { schedules }), manner).await
            }
            Request::ShowSchedule(show) => {
                let result = self.show_schedule(show.schedule).await;
                self.finish(result.map(|schedule| ScheduleReply { schedule }), manner).await
            }
            Request::PauseSchedule(pause) => {
                let change = ScheduleChange::Pause(pause.reason);
                self.change_schedule(pause.schedule, change, manner).await
            }
            Request::ResumeSchedule(resume) => {
                self.change_schedule(resume.schedule, ScheduleChange::Resume, manner).await
            }
            Request::RemoveSchedule(remove) => {
                self.change_schedule(remove.schedule, ScheduleChange::Remove, manner).await
            }
            _ => Ok(()),
        }
    }

    async fn add_schedule(&self, add: AddSchedule) -> Result<Schedule, Error> {
        let bounds = self.hub.bounds.borrow().clone();
        let shared = Arc::new(context(add.context.unwrap_or_default(), &bounds)?);
        only_a_job(&add.job)?;
        let every: Every = read("every", &add.every)?;
        let zone = add.zone.unwrap_or_else(|| UTC.to_owned());
        let known = TimeZone::get(&zone).map_err(|error| {
            let message = format!(
                "{error}: write a name such as Europe/Berlin or UTC, whose time zone data is installed"
            );
            Error::InvalidValue { field: "zone".to_owned(), message }
        })?;
        let overlap = read("overlap", add.overlap.as_deref().unwrap_or("skip"))?;
        let missed = read("missed", add.missed.as_deref().unwrap_or("run-once"))?;
        let draft = self.draft(0, *add.job, false, &shared, &bounds)?;
        let name = draft.spec.name.clone().unwrap_or_default();
        if !name.is_empty() {
            check_schedule_name(&name).map_err(|error| Error::InvalidValue {
                field: "name".to_owned(),
                message: error.to_string(),
            })?;
        }
        let record = ScheduleRecord {
            id: ScheduleId(0),
            owner: self.uid,
            name: name.into(),
            every,
            zone,
            overlap,
            missed,
            paused: false,
            reason: None,
            created_at: clock::now().wall,
            spec: draft.spec,
            context: draft.context,
            progress: Progress::default(),
        };
        let (unfinished, overdue) = (BTreeSet::new(), Duration::ZERO);
        let mut planned = Planned { record, zone: Some(known), unfinished, overdue };
        if add.dry_run {
            let now = clock::now();
            planned.record.progress.next = planned.first_after(now);
            let next = planned.upcoming(now, SHOWN_MOMENTS);
            return Ok(schedule_to_wire(&planned.record, &next, Vec::new()));
        }
        self.hub.request(|answer| Ask::AddSchedule(Box::new(planned), answer)).await
    }

    async fn all_schedules(&self, asked: Schedules) -> Result<Vec<Schedule>, Error> {
        if asked.all_users {
            self.admins_only("seeing the schedules of other users")?;
        }
        let owner = (!asked.all_users).then_some(self.uid);
        let mut schedules = self.hub.ask(|answer| Ask::Schedules(owner, answer)).await?;
        self.tell_latest(&mut schedules).await?;
        Ok(schedules)
    }

    async fn show_schedule(&self, text: String) -> Result<Schedule, Error> {
        let name = self.name_of(text);
        let schedule = self.hub.request(|answer| Ask::ShowSchedule(name, answer)).await?;
        let mut one = [schedule];
        self.tell_latest(&mut one).await?;
        let [schedule] = one;
        Ok(schedule)
    }

    /// Fills in where the jobs of the latest runs stand.
    async fn tell_latest(&self, schedules: &mut [Schedule]) -> Result<(), Error> {
        let ids: Vec<(JobId, JobId)> =
            schedules.iter().filter_map(|schedule| schedule.last_job).map(|id| (id, id)).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let filter = Filter { ids, ..Filter::default() };
        let found = self.hub.readers.query(move |reader| reader.select(&filter)).await?;
        let states: HashMap<JobId, State> = found.iter().map(|job| (job.id, job.state)).collect();
        for schedule in schedules {
            schedule.last_state = schedule.last_job.and_then(|id| states.get(&id).copied());
        }
        Ok(())
    }

    async fn change_schedule(
        &mut self,
        text: String,
        change: ScheduleChange,
        manner: Manner,
    ) -> Result<(), Gone> {
        let name = self.name_of(text);
        let ask = |answer| Ask::ChangeSchedule(name, change, answer);
        let result = self.hub.request(ask).await;
        self.finish(result.map(|()| Empty {}), manner).await
    }

    fn name_of(&self, text: String) -> ScheduleName {
        ScheduleName { text, uid: self.uid, admin: self.is_admin() }
    }
}

/// What says when a job starts, or of which there is one, is the schedule's to say.
fn only_a_job(job: &JobSpec) -> Result<(), Error> {
    let instead = [
        ("at", job.at.is_some(), "the schedule says when its runs start"),
        ("in", job.delay.is_some(), "the schedule says when its runs start"),
        ("after", !job.after.is_empty(), "every run would require the same jobs"),
        ("unique", job.unique.is_some(), "overlap says what becomes of a run that meets another"),
        ("on_conflict", job.on_conflict.is_some(), "it says nothing without unique"),
        ("hold", job.hold, "pause the schedule instead"),
    ];
    match instead.into_iter().find(|(_, given, _)| *given) {
        None => Ok(()),
        Some((field, _, why)) => {
            let message = format!("{field} does not go with a schedule: {why}");
            Err(Error::InvalidJob { index: 0, field: field.to_owned(), message })
        }
    }
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|error: T::Err| Error::InvalidValue {
        field: field.to_owned(),
        message: error.to_string(),
    })
}
