//! Random turns of schedules.

use std::sync::Arc;

use super::{Pair, context, spec};
use crate::job::{
    Change, Missed, NewJob, Overlap, Progress, ScheduleId, ScheduleRecord, ScheduleRun, State,
    TurnTaken,
};
use crate::store::conformance::{at, id};

impl Pair {
    /// Two of the three schedules have one name, and two have one owner.
    pub(super) fn plan(&mut self, which: u8, what: u8, stale: bool) -> Change {
        let schedule = ScheduleId(u64::from(which) + 1);
        let name: Arc<str> = Arc::from(["a", "b", "a"][usize::from(which)]);
        let known = self.model.schedules().unwrap();
        let known = known.iter().find(|stored| stored.record.id == schedule);
        let progress = known.map(|stored| stored.record.progress).unwrap_or_default();
        let next = self.due(State::Scheduled);
        match what {
            0..3 => {
                let paused = what == 0;
                Change::ScheduleSet(Box::new(ScheduleRecord {
                    id: schedule,
                    owner: u32::from(which) % 2,
                    name,
                    every: "15m".parse().unwrap(),
                    zone: "UTC".to_owned(),
                    overlap: Overlap::ALL[usize::from(which)],
                    missed: Missed::ALL[usize::from(which) % 2],
                    paused,
                    reason: paused.then(|| "why".to_owned()),
                    created_at: at(self.seconds),
                    spec: spec(what),
                    context: context(which),
                    progress: Progress { next: next.filter(|_| !paused), ..progress },
                }))
            }
            3 => Change::ScheduleRemoved { schedule },
            _ => {
                let job = (what > 5).then(|| self.run_of(schedule, name));
                let run = u64::from(job.is_some());
                let last = job.as_ref().map(|job| job.id).or(progress.last);
                let turn = progress.turn + u64::from(!stale);
                let (runs, skipped) = (progress.runs + run, progress.skipped + 1 - run);
                let progress = Progress { turn, next, last, runs, skipped, missed: 7 };
                Change::ScheduleTurned(Box::new(TurnTaken { schedule, job, progress }))
            }
        }
    }

    fn run_of(&mut self, schedule: ScheduleId, name: Arc<str>) -> NewJob {
        let number = id(self.next);
        self.next += 1;
        NewJob {
            id: number,
            owner: 0,
            submission: number,
            place: None,
            submitted_at: at(self.seconds),
            state: State::Queued,
            not_before: None,
            requirements: Arc::default(),
            unique: None,
            run: Some(Box::new(ScheduleRun { schedule, name, slot: at(self.seconds) })),
            spec: spec(1),
            context: context(1),
        }
    }
}
