//! What becomes of a schedule's moments, clock by clock, and a world of crashes around an agenda.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use crate::job::{
    Context, Deadline, JobId, Missed, Now, Overlap, Progress, ScheduleId, ScheduleRecord, Spec,
    WallTime,
};
use crate::scheduler::agenda::{Agenda, Decision, MOST_WAITING_RUNS, Planned, Run};

const ID: ScheduleId = ScheduleId(1);
/// Noon of a day without clock changes, in seconds.
const NOON: i64 = 1_893_499_200;

fn now(boot_s: u64, wall_s: i64) -> Now {
    Now { boot: Duration::from_secs(boot_s), wall: WallTime(wall_s * 1_000_000) }
}

fn job(number: u64) -> JobId {
    JobId::new(number).unwrap()
}

/// A schedule made at noon, 1000 seconds after the boot.
fn planned(every: &str) -> Planned {
    let record = ScheduleRecord {
        id: ID,
        owner: 1000,
        name: Arc::from("s"),
        every: every.parse().unwrap(),
        zone: "UTC".to_owned(),
        overlap: Overlap::default(),
        missed: Missed::default(),
        paused: false,
        reason: None,
        created_at: WallTime(NOON * 1_000_000),
        spec: Arc::new(Spec::default()),
        context: Arc::new(Context::default()),
        progress: Progress::default(),
    };
    let zone = Some(TimeZone::UTC);
    let mut planned =
        Planned { record, zone, unfinished: BTreeSet::new(), overdue: Duration::ZERO };
    planned.record.progress.next = planned.first_after(now(1000, NOON));
    planned
}

fn agenda(planned: Planned) -> Agenda {
    let mut agenda = Agenda::default();
    agenda.enter(planned);
    agenda.check_invariants().unwrap();
    agenda
}

/// The turn of the only schedule, if one has come.
fn turn(agenda: &mut Agenda, now: Now) -> Option<Decision> {
    let mut turns = agenda.take_due(now, 10);
    agenda.check_invariants().unwrap();
    assert!(turns.len() <= 1);
    turns.pop()
}

/// The turn is written down, its run as this job.
fn take(agenda: &mut Agenda, turn: &Decision, number: u64) {
    let job = turn.run.as_ref().map(|_| job(number));
    let last = job.or(turn.progress.last);
    agenda.taken(turn.schedule, Progress { last, ..turn.progress }, job);
    agenda.check_invariants().unwrap();
}

#[test]
fn a_run_comes_at_its_moment_and_not_before() {
    let mut agenda = agenda(planned("30 12 * * *"));
    assert_eq!(agenda.next(), (None, Some(WallTime((NOON + 1800) * 1_000_000))));
    assert!(turn(&mut agenda, now(2799, NOON + 1799)).is_none());
    let first = turn(&mut agenda, now(2800, NOON + 1800)).unwrap();
    assert_eq!(first.run, Some(Run { after: None, replaces: Vec::new() }));
    assert_eq!(first.slot, WallTime((NOON + 1800) * 1_000_000));
    assert!(turn(&mut agenda, now(9999, NOON + 9000)).is_none(), "one change at a time");
    take(&mut agenda, &first, 7);
    agenda.ended(job(7));
    let tomorrow = WallTime((NOON + 1800 + 86_400) * 1_000_000);
    assert_eq!(agenda.next(), (None, Some(tomorrow)));
    let told = agenda.get(ID).unwrap().record.progress;
    assert_eq!((told.turn, told.runs, told.last), (1, 1, Some(job(7))));
}

#[test]
fn a_clock_set_forward_past_runs_of_a_schedule_makes_them_missed() {
    for (missed, runs, counted) in [(Missed::RunOnce, true, 2), (Missed::Skip, false, 3)] {
        let mut planned = planned("0 * * * *");
        planned.record.missed = missed;
        let mut agenda = agenda(planned);
        let late = turn(&mut agenda, now(1001, NOON + 3 * 3600 + 1800)).unwrap();
        assert_eq!((late.run.is_some(), late.progress.missed), (runs, counted), "{missed:?}");
        assert_eq!(late.progress.next, Some(Deadline::at(WallTime((NOON + 4 * 3600) * 1_000_000))));
    }
}

#[test]
fn a_run_that_is_a_little_late_is_not_missed() {
    let mut planned = planned("0 * * * *");
    planned.record.missed = Missed::Skip;
    let mut agenda = agenda(planned);
    let late = turn(&mut agenda, now(4630, NOON + 3630)).unwrap();
    assert_eq!((late.run.is_some(), late.progress.missed), (true, 0));
}

#[test]
fn a_clock_set_back_brings_no_run_of_a_schedule_twice() {
    let mut agenda = agenda(planned("0 * * * *"));
    let first = turn(&mut agenda, now(4600, NOON + 3600)).unwrap();
    take(&mut agenda, &first, 1);
    agenda.ended(job(1));
    // An hour back: the same moment comes again on the wall, and nothing of it.
    assert!(turn(&mut agenda, now(4700, NOON + 100)).is_none());
    assert!(turn(&mut agenda, now(8200, NOON + 3600)).is_none());
    let second = turn(&mut agenda, now(11_800, NOON + 7200)).unwrap();
    assert_eq!(second.slot, WallTime((NOON + 7200) * 1_000_000));
}

#[test]
fn a_span_follows_the_boot_clock_whatever_the_wall_clock_does() {
    let mut agenda = agenda(planned("10m"));
    assert!(turn(&mut agenda, now(1599, NOON + 99_999)).is_none());
    let first = turn(&mut agenda, now(1601, NOON - 99_999)).unwrap();
    assert!(first.run.is_some());
    take(&mut agenda, &first, 1);
    // It keeps its pace however late the loop was.
    assert_eq!(agenda.next(), (Some(Duration::from_secs(2200)), None));
}

#[test]
fn a_machine_that_slept_through_runs_of_a_schedule_makes_up_for_them_once() {
    let mut agenda = agenda(planned("10m"));
    let late = turn(&mut agenda, now(1000 + 3 * 600 + 200, NOON + 2000)).unwrap();
    assert_eq!((late.run.is_some(), late.progress.missed), (true, 2));
    assert_eq!(late.progress.next.unwrap().boot, Duration::from_secs(1000 + 4 * 600));
}

#[test]
fn after_a_reboot_a_span_is_told_from_the_wall_clock() {
    let mut planned = planned("10m");
    planned.record.missed = Missed::Skip;
    let due = planned.record.progress.next.unwrap();
    // Another boot, 25 minutes later: two moments were missed, the third is in five minutes.
    let up = now(10, NOON + 25 * 60);
    planned.overdue = up.wall.since(due.wall);
    planned.record.progress.next = Some(due.rebased(up));
    let mut agenda = agenda(planned);
    let late = turn(&mut agenda, up).unwrap();
    assert_eq!((late.run, late.progress.missed), (None, 2));
    assert_eq!(late.progress.next.unwrap().boot, Duration::from_secs(10 + 300));
}

#[test]
fn years_of_missed_runs_are_decided_on_in_no_time() {
    let mut agenda = agenda(planned("* * * * *"));
    let later = now(1001, NOON + 10 * 365 * 86_400);
    let late = turn(&mut agenda, later).unwrap();
    assert!(late.run.is_some() && late.progress.missed == 1_000);
    assert!(late.progress.next.unwrap().wall > later.wall);
}

#[test]
fn a_run_that_meets_an_earlier_one_is_left_out_waits_or_replaces_it() {
    let run = |after, replaces: &[u64]| {
        Some(Run { after: Some(job(after)), replaces: replaces.iter().copied().map(job).collect() })
    };
    for (overlap, second, skipped) in [
        (Overlap::Skip, None, 1),
        (Overlap::Queue, run(1, &[]), 0),
        (Overlap::Replace, run(1, &[1]), 0),
    ] {
        let mut planned = planned("0 * * * *");
        planned.record.overlap = overlap;
        let mut agenda = agenda(planned);
        let first = turn(&mut agenda, now(4600, NOON + 3600)).unwrap();
        take(&mut agenda, &first, 1);
        let next = turn(&mut agenda, now(8200, NOON + 7200)).unwrap();
        assert_eq!((&next.run, next.progress.skipped), (&second, skipped), "{overlap:?}");
    }
}

#[test]
fn runs_that_wait_for_each_other_do_not_pile_up_for_ever() {
    let mut planned = planned("1s");
    planned.record.overlap = Overlap::Queue;
    let mut agenda = agenda(planned);
    for step in 1..=MOST_WAITING_RUNS as u64 + 5 {
        let next = turn(&mut agenda, now(1000 + step, NOON + step as i64)).unwrap();
        take(&mut agenda, &next, step);
    }
    let told = agenda.get(ID).unwrap();
    assert_eq!((told.unfinished.len(), told.record.progress.skipped), (MOST_WAITING_RUNS, 5));
}

#[test]
fn a_refused_turn_is_decided_on_again_a_little_later() {
    let mut agenda = agenda(planned("30 12 * * *"));
    let at = now(2800, NOON + 1800);
    turn(&mut agenda, at).unwrap();
    agenda.refused(at, ID);
    agenda.check_invariants().unwrap();
    assert!(turn(&mut agenda, at).is_none());
    let again = turn(&mut agenda, now(2805, NOON + 1805)).unwrap();
    assert_eq!(again.progress.turn, 1);
}

#[test]
fn a_paused_schedule_and_one_without_a_zone_do_nothing() {
    let mut paused = planned("1s");
    paused.record.paused = true;
    paused.record.progress.next = paused.first_after(now(1000, NOON));
    let nowhere = Planned { zone: None, ..planned("0 * * * *") };
    for planned in [paused, nowhere] {
        let mut agenda = agenda(planned);
        assert_eq!(agenda.next(), (None, None));
        assert!(turn(&mut agenda, now(9_999_999, NOON + 9_999_999)).is_none());
        assert!(agenda.get(ID).unwrap().upcoming(now(0, NOON), 5).is_empty());
    }
}

/// What can happen to an agenda and to the disk under it.
#[derive(Clone, Debug)]
enum Event {
    /// So many seconds pass.
    Pass(u32),
    /// The wall clock is set.
    Set(i32),
    /// What is under way is synced, and told or not yet.
    Sync,
    Tell,
    /// The store refuses what is under way.
    Refuse,
    /// The oldest run ends.
    End,
    /// The daemon is killed, perhaps with the machine, and starts again.
    Crash {
        reboot: bool,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..5000u32).prop_map(Event::Pass),
        1 => (-90_000..90_000i32).prop_map(Event::Set),
        5 => Just(Event::Sync),
        5 => Just(Event::Tell),
        1 => Just(Event::Refuse),
        3 => Just(Event::End),
        1 => any::<bool>().prop_map(|reboot| Event::Crash { reboot }),
    ]
}

/// The disk and the clocks, and books of what was run.
struct World {
    now: Now,
    agenda: Agenda,
    /// What a crash leaves.
    disk: ScheduleRecord,
    made_in: u32,
    boot: u32,
    unfinished: BTreeSet<JobId>,
    flying: Option<(Decision, Option<JobId>)>,
    synced: Option<(Decision, Option<JobId>)>,
    next_id: u64,
    /// Which moments had a run, by the calendar.
    slots: BTreeMap<WallTime, u32>,
    /// The highest the wall clock ever was.
    highest: WallTime,
}

impl World {
    fn new(planned: Planned) -> Self {
        Self {
            now: now(1000, NOON),
            disk: planned.record.clone(),
            agenda: agenda(planned),
            made_in: 0,
            boot: 0,
            unfinished: BTreeSet::new(),
            flying: None,
            synced: None,
            next_id: 1,
            slots: BTreeMap::new(),
            highest: WallTime(NOON * 1_000_000),
        }
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Pass(seconds) => {
                let span = Duration::from_secs(seconds.into());
                self.now.boot += span;
                self.now.wall = self.now.wall.plus(span);
            }
            Event::Set(seconds) => {
                self.now.wall = WallTime(self.now.wall.0 + i64::from(seconds) * 1_000_000);
            }
            Event::Sync => self.sync(),
            Event::Tell => {
                if let Some((turn, job)) = self.synced.take() {
                    self.agenda.taken(turn.schedule, turn.progress, job);
                }
            }
            Event::Refuse => {
                if self.flying.take().is_some() {
                    self.agenda.refused(self.now, ID);
                }
            }
            Event::End => {
                let known = &self.agenda.get(ID).unwrap().unfinished;
                if let Some(job) = known.first().copied() {
                    self.unfinished.remove(&job);
                    self.agenda.ended(job);
                }
            }
            Event::Crash { reboot } => self.crash(reboot),
        }
        self.highest = self.highest.max(self.now.wall);
        self.decide();
        self.agenda.check_invariants().unwrap();
    }

    fn decide(&mut self) {
        for mut turn in self.agenda.take_due(self.now, 10) {
            assert!(self.flying.is_none() && self.synced.is_none(), "two changes under way");
            assert!(turn.slot <= self.now.wall, "a run before its moment");
            let job = turn.run.as_ref().map(|run| {
                assert!(run.after.is_none_or(|job| self.unfinished.contains(&job)));
                self.next_id += 1;
                job(self.next_id)
            });
            turn.progress.last = job.or(turn.progress.last);
            self.flying = Some((turn, job));
        }
    }

    fn sync(&mut self) {
        let Some((turn, job)) = self.flying.take() else { return };
        let had = self.disk.progress;
        assert_eq!(turn.progress.turn, had.turn + 1, "a moment is decided on twice");
        let decided = |progress: &Progress| progress.runs + progress.skipped + progress.missed;
        assert!(decided(&turn.progress) > decided(&had), "a moment is lost");
        assert_eq!(turn.progress.runs - had.runs, u64::from(job.is_some()));
        if job.is_some() && self.disk.every.span().is_none() {
            let times = self.slots.entry(turn.slot).or_default();
            *times += 1;
            assert_eq!(*times, 1, "the moment {:?} is run twice", turn.slot);
        }
        self.disk.progress = turn.progress;
        self.made_in = self.boot;
        self.unfinished.extend(job);
        self.synced = Some((turn, job));
    }

    fn crash(&mut self, reboot: bool) {
        (self.flying, self.synced) = (None, None);
        if reboot {
            self.boot += 1;
            self.now.boot = Duration::from_secs(5);
        }
        let mut record = self.disk.clone();
        let mut overdue = Duration::ZERO;
        if self.made_in != self.boot
            && let Some(next) = record.progress.next
        {
            let boots = record.every.span().is_some();
            overdue = if boots { self.now.wall.since(next.wall) } else { Duration::ZERO };
            record.progress.next = Some(next.rebased(self.now));
        }
        let unfinished = self.unfinished.clone();
        self.agenda = agenda(Planned { record, zone: Some(TimeZone::UTC), unfinished, overdue });
    }

    /// Once everything is synced, whatever has come is decided on and the next moment lies ahead.
    fn calm_down(&mut self) {
        for _ in 0..4 {
            self.happens(&Event::Sync);
            self.happens(&Event::Tell);
            self.happens(&Event::Pass(10));
        }
        self.happens(&Event::Sync);
        self.happens(&Event::Tell);
        let next = self.agenda.get(ID).unwrap().record.progress.next.unwrap();
        assert!(!next.is_due(self.now), "a moment that has come is not decided on");
        assert!(next.wall <= self.highest.plus(Duration::from_secs(2 * 86_400)), "too far ahead");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_crashes_no_moment_is_run_twice_or_lost(
        events in proptest::collection::vec(event(), 1..120),
        every in proptest::sample::select(vec!["*/10 * * * *", "0 3 * * *", "17m", "1h"]),
        overlap in proptest::sample::select(Overlap::ALL.to_vec()),
        missed in proptest::sample::select(Missed::ALL.to_vec()),
    ) {
        let mut planned = planned(every);
        (planned.record.overlap, planned.record.missed) = (overlap, missed);
        let mut world = World::new(planned);
        for event in &events {
            world.happens(event);
        }
        world.calm_down();
    }
}
