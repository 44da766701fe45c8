//! The changes that random steps ask for.

use std::sync::Arc;

use super::{NAMES, Pair, QUEUES};
use crate::job::{
    ArrayPlace, Backoff, Came, Change, Condition, Context, Edited, Fold, Folded, JobId, Missed,
    NewJob, Overlap, Progress, Requirement, RetryPolicy, ScheduleId, ScheduleRecord, ScheduleRun,
    Spec, State, Turn, TurnTaken,
};
use crate::store::Filter;
use crate::store::conformance::{at, id};

impl Pair {
    pub(super) fn folded(&mut self, which: u8, what: u8, to: State, stale: bool) -> Change {
        let folds = self.model.reader().unwrap().folds(&Filter::default()).unwrap();
        let picked = folds.get(usize::from(which) % folds.len().max(1));
        let none = Folded { array: id(1), first: id(2), count: 1 };
        let (mut folded, from) =
            picked.map_or((none, State::Queued), |found| (found.folded(), found.first.state));
        folded.count += u64::from(stale);
        match what {
            0 => Change::EndedUnfolded { folded, count: u64::from(which % 4) },
            1 => Change::FoldRemoved { folded },
            _ => {
                let to = if what < 4 { State::Cancelled } else { to };
                let reason = (self.seconds % 2 == 0).then(|| "why".to_owned());
                Change::FoldMoved { folded, from, to, reason, at: at(self.seconds) }
            }
        }
    }

    pub(super) fn edit(&mut self, job: u8, to: State, look: u8) -> Change {
        let job = self.pick(job);
        let found = self.model.reader().unwrap().job(job).unwrap().map(|(job, _)| job);
        let (from, edits) = found.map_or((State::Queued, 0), |job| (job.state, job.edits));
        let to = if from == State::Running && look.is_multiple_of(2) { from } else { to };
        let requirements = look.is_multiple_of(3).then(|| requirements(job, to, look));
        let came =
            if look.is_multiple_of(5) { Came::At(at(7)) } else { Came::With(self.pick(look)) };
        let turn = Turn { came, beside: job, offset: i64::from(look) };
        Change::Edited(Box::new(Edited {
            job,
            // Now and then it is too late.
            edits: edits + u32::from(look.is_multiple_of(13)),
            from,
            to,
            not_before: self.due(to),
            requirements,
            turn: look.is_multiple_of(4).then_some(turn),
            spec: spec(look),
            context: context(look % 4),
            at: at(self.seconds),
        }))
    }

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

    pub(super) fn run_of(&mut self, schedule: ScheduleId, name: Arc<str>) -> NewJob {
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

    pub(super) fn submit(&mut self, jobs: &[(u8, u8)], skip: u8, array: bool, fold: u8) -> Change {
        let first = id(self.next + u64::from(skip));
        let mut shared = (0, spec(0));
        let mut made = Vec::new();
        for (place, (look, start)) in jobs.iter().enumerate() {
            if shared.0 != look % 8 {
                shared = (look % 8, spec(*look));
            }
            let number = first.after(place as u64);
            let state =
                [State::Queued, State::Held, State::Scheduled, State::Waiting, State::Running]
                    [usize::from(start % 21 / 5)];
            let requirements = requirements(number, state, *look);
            made.push(NewJob {
                id: number,
                requirements,
                unique: (look % 11 == 0).then(|| Arc::from(format!("k{}", start % 4))),
                owner: u32::from(look % 2),
                submission: first,
                // Now and then an index comes twice or too late, which the store must see.
                place: array.then(|| ArrayPlace {
                    array: first,
                    index: place as u64 * 7 + u64::from(start % 9),
                }),
                submitted_at: at(self.seconds),
                state,
                not_before: self.due(state),
                run: None,
                spec: Arc::clone(&shared.1),
                context: context(start / 100),
            });
        }
        let fold = (array && fold.is_multiple_of(2))
            .then(|| Fold { count: u64::from(fold % 5), step: u64::from(fold % 3) });
        // A refused submission leaves a gap, as it does in the daemon.
        self.next = first.get() + jobs.len() as u64 + fold.map_or(0, |fold| fold.count);
        Change::Submitted { jobs: made, fold }
    }
}

/// Now and then a job requires one that is not there, which the store must see.
pub(super) fn requirements(job: JobId, state: State, look: u8) -> Arc<[Requirement]> {
    let waits = matches!(state, State::Waiting | State::Held) && !look.is_multiple_of(3);
    let others = [1, 3, u64::from(look) % 9 + 4].map(id);
    let earlier = others.into_iter().filter(|other| waits && (*other < job || look % 16 == 1));
    earlier.map(|job| Requirement { job, on: Condition::ALL[usize::from(look) % 3] }).collect()
}

pub(super) fn spec(look: u8) -> Arc<Spec> {
    let look = usize::from(look);
    let backoff = if look.is_multiple_of(2) {
        Backoff::default()
    } else {
        Backoff::Fixed(std::time::Duration::MAX / u32::MAX)
    };
    Arc::new(Spec {
        kind: ["command", "http"][look % 2].to_owned(),
        queue: QUEUES[look % 3].to_owned(),
        name: NAMES[look % 4].map(str::to_owned),
        priority: look as i32 - 4,
        retry: RetryPolicy {
            retries: look as u32,
            backoff,
            retry_on: ["1", "2-3,signal"][look % 2].parse().unwrap(),
        },
        ..Spec::default()
    })
}

pub(super) fn context(look: u8) -> Arc<Context> {
    Arc::new(Context { umask: Some(u32::from(look)), ..Context::default() })
}
