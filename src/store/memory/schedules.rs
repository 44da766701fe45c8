//! Schedules in memory.

use std::time::Duration;

use super::Content;
use super::kept::{Boot, Kept};
use crate::job::{Follows, Progress, ScheduleRecord, TurnTaken};
use crate::store::{Refusal, StoredSchedule, gate};

impl Content {
    pub(super) fn schedule_set(
        &mut self,
        record: &ScheduleRecord,
        boot: &Boot,
    ) -> Result<(), Refusal> {
        let twin = |(other, _): &(ScheduleRecord, String)| {
            other.id != record.id && other.owner == record.owner && other.name == record.name
        };
        if self.schedules.values().any(twin) {
            let name = &record.name;
            return Err(Refusal::Invariant(format!("there is a schedule {name} already")));
        }
        let mut kept = record.clone();
        if let Some((known, _)) = self.schedules.get(&record.id) {
            // By hand the pause is changed and what follows from it; the rest is as it was.
            kept = known.clone();
            (kept.paused, kept.reason) = (record.paused, record.reason.clone());
            kept.progress = Progress { next: record.progress.next, ..kept.progress };
        }
        self.next_schedule = self.next_schedule.max(record.id.0 + 1);
        self.schedules.insert(record.id, (kept, boot.id.clone()));
        Ok(())
    }

    pub(super) fn schedule_turned(&mut self, turn: &TurnTaken, boot: &Boot) -> Result<(), Refusal> {
        gate::turned(turn)?;
        let known = self.schedules.get(&turn.schedule);
        let had = known.map(|(record, _)| record.progress.turn);
        let paused = known.is_some_and(|(record, _)| record.paused);
        // The job is looked at first, as every store does.
        let before = self.next_job;
        self.submitted(turn.job.as_slice(), None, boot)?;
        let refusal = match had {
            None => Refusal::NoSuchSchedule(turn.schedule),
            Some(had) if had + 1 != turn.progress.turn => {
                gate::turn_taken(turn.schedule, had, turn.progress.turn)
            }
            Some(had) if paused && turn.progress.next.is_some() => {
                Refusal::Invariant(format!("a paused schedule of {had} turns would go on"))
            }
            Some(_) => {
                if let Some((record, made_in)) = self.schedules.get_mut(&turn.schedule) {
                    record.progress = turn.progress;
                    made_in.clone_from(&boot.id);
                }
                return Ok(());
            }
        };
        self.next_job = before;
        if let Some(job) = &turn.job {
            self.jobs.remove(&job.id);
        }
        Err(refusal)
    }

    pub(super) fn told(
        &self,
        record: &ScheduleRecord,
        made_in: &str,
        boot: &Boot,
    ) -> StoredSchedule {
        let mut record = record.clone();
        let next = record.progress.next;
        let other = next.filter(|next| next.follows == Follows::Boot && made_in != boot.id);
        let overdue = other.map_or(Duration::ZERO, |next| boot.opened.wall.since(next.wall));
        record.progress.next = other.map(|next| next.rebased(boot.opened)).or(next);
        let run = |kept: &&Kept| {
            let run = kept.job.run.as_ref();
            !kept.job.state.is_final() && run.is_some_and(|run| run.schedule == record.id)
        };
        let unfinished = self.jobs.values().filter(run).map(|kept| kept.job.id).collect();
        StoredSchedule { record, overdue, unfinished }
    }
}
