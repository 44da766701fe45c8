//! Schedules, and moments of the wall clock.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Home, NEWEST, all_pending, at, go, id, job, new_job, now, reading, refuse, submit, take,
};
use crate::job::{
    Change, Context, Deadline, Missed, NewJob, Overlap, Progress, ScheduleId, ScheduleRecord,
    ScheduleRun, Spec, State, TurnTaken,
};
use crate::store::{Filter, Refusal};

fn schedule(number: u64, name: &str) -> ScheduleRecord {
    ScheduleRecord {
        id: ScheduleId(number),
        owner: 1000,
        name: Arc::from(name),
        every: "0 3 * * 1-5".parse().unwrap(),
        zone: "Europe/Berlin".to_owned(),
        overlap: Overlap::Queue,
        missed: Missed::Skip,
        paused: false,
        reason: None,
        created_at: at(7),
        spec: Arc::new(Spec { kind: "command".to_owned(), priority: 3, ..Spec::default() }),
        context: Arc::new(Context { cwd: "/srv".into(), ..Context::default() }),
        progress: Progress { next: Some(Deadline::at(at(100))), ..Progress::default() },
    }
}

fn set(record: &ScheduleRecord) -> Change {
    Change::ScheduleSet(Box::new(record.clone()))
}

fn turn(number: u64, turn: u64, job: Option<u64>) -> Change {
    let slot = at(100);
    let run = |number_of_job: u64| NewJob {
        run: Some(Box::new(ScheduleRun {
            schedule: ScheduleId(number),
            name: Arc::from("nightly"),
            slot,
        })),
        ..new_job(number_of_job)
    };
    let progress = Progress {
        turn,
        next: Some(Deadline::after(now(100, 100), Duration::from_secs(60))),
        last: job.map(id),
        runs: u64::from(job.is_some()),
        skipped: u64::from(job.is_none()),
        missed: 2,
    };
    let schedule = ScheduleId(number);
    Change::ScheduleTurned(Box::new(TurnTaken { schedule, job: job.map(run), progress }))
}

pub(super) fn a_turn_of_a_schedule_is_taken_once(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(100, 100), "first");
    take(&mut *store, &[set(&schedule(1, "nightly")), turn(1, 1, Some(1))]);
    let again = refuse(&mut *store, turn(1, 1, Some(2)));
    assert!(matches!(&again, Refusal::Invariant(text) if text.contains("schedule 1")), "{again}");
    assert_eq!(refuse(&mut *store, turn(9, 1, Some(2))), Refusal::NoSuchSchedule(ScheduleId(9)));
    assert_eq!(all_pending(&mut *store).len(), 1, "a refused turn leaves no job");
    take(&mut *store, &[turn(1, 2, Some(2))]);
    let told = &store.schedules().unwrap()[0];
    assert_eq!((told.record.progress.turn, told.record.progress.last), (2, Some(id(2))));
    assert_eq!(told.unfinished, [id(1), id(2)].into());
    let run = job(&mut *store.reader().unwrap(), 2).run.unwrap();
    assert_eq!((run.schedule, &*run.name, run.slot), (ScheduleId(1), "nightly", at(100)));
    // The latest run that is told must be the job that comes with it.
    let Change::ScheduleTurned(mut wrong) = turn(1, 3, Some(3)) else { unreachable!() };
    wrong.progress.last = Some(id(1));
    assert!(matches!(refuse(&mut *store, Change::ScheduleTurned(wrong)), Refusal::Invariant(_)));
}

pub(super) fn schedules_read_back(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(100, 100), "first");
    assert_eq!(recovery.next_schedule, ScheduleId(1));
    let (nightly, other) = (schedule(1, "nightly"), schedule(2, "other"));
    let strangers = ScheduleRecord { owner: 7, ..schedule(3, "nightly") };
    take(&mut *store, &[set(&nightly), set(&other), set(&strangers)]);
    assert!(matches!(refuse(&mut *store, set(&schedule(4, "other"))), Refusal::Invariant(_)));
    take(&mut *store, &[turn(1, 1, Some(1)), turn(2, 1, None)]);
    let mut held = ScheduleRecord { paused: true, reason: Some("why".to_owned()), ..other.clone() };
    held.progress.next = None;
    take(&mut *store, &[set(&held), Change::ScheduleRemoved { schedule: ScheduleId(3) }]);
    drop(store);
    let (mut store, recovery) = home.open(now(130, 130), "first");
    assert_eq!(recovery.next_schedule, ScheduleId(4), "numbers are not given twice");
    let told = store.schedules().unwrap();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].record.spec, nightly.spec);
    assert_eq!((told[0].record.every.text(), told[0].overdue), ("0 3 * * 1-5", Duration::ZERO));
    assert_eq!((told[0].record.overlap, told[0].record.missed), (Overlap::Queue, Missed::Skip));
    let paused = &told[1].record;
    assert_eq!((paused.paused, paused.reason.as_deref()), (true, Some("why")));
    assert_eq!((paused.progress.turn, paused.progress.skipped), (1, 1), "a pause undoes no turn");
    let gone = Change::ScheduleRemoved { schedule: ScheduleId(1) };
    take(&mut *store, &[gone.clone(), go(1, State::Queued, State::Cancelled)]);
    assert_eq!(refuse(&mut *store, gone), Refusal::NoSuchSchedule(ScheduleId(1)));
    let mut reader = store.reader().unwrap();
    let by_name = Filter { schedules: vec!["nightly".to_owned()], ..Filter::default() };
    assert_eq!(reading::ids(&mut *reader, &by_name), [1], "its runs outlive it");
    assert_eq!(reader.page(&by_name, NEWEST).unwrap().len(), 1);
    take(&mut *store, &[Change::Removed { jobs: vec![id(1)] }]);
    assert_eq!(reading::ids(&mut *reader, &by_name), [0; 0]);
}

pub(super) fn moments_of_the_wall_clock_know_no_boot(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(100, 0), "first");
    let wall = Deadline::at(at(60));
    let scheduled = NewJob { state: State::Scheduled, not_before: Some(wall), ..new_job(1) };
    let held = NewJob { state: State::Held, not_before: Some(wall), ..new_job(2) };
    take(&mut *store, &[submit(&[scheduled, held]), set(&schedule(1, "nightly"))]);
    take(&mut *store, &[set(&schedule(2, "span")), turn(2, 1, None)]);
    drop(store);
    let (mut store, _) = home.open(now(5, 170), "second");
    let found: Vec<_> = all_pending(&mut *store).iter().map(|job| job.not_before).collect();
    assert_eq!(found, [Some(wall), Some(wall)]);
    let told = store.schedules().unwrap();
    let next = |number: usize| told[number].record.progress.next;
    assert_eq!((next(0), told[0].overdue), (Some(Deadline::at(at(100))), Duration::ZERO));
    // It was due ten seconds before the reboot was over.
    let rebased = Deadline::after(now(100, 100), Duration::from_secs(60)).rebased(now(5, 170));
    assert_eq!((next(1), told[1].overdue), (Some(rebased), Duration::from_secs(10)));
}
