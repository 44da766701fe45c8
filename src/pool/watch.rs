//! The watch: one thread that notices closures which do not what they were declared to do.
//!
//! A closure that holds permits but waits is made to lend them, so that another worker takes over; a closure that runs
//! without permits but burns (declared blocking, or back from its wait) is charged for them, free or not. Owns the
//! samples. Never looks at a closure that ends between two ticks, and sleeps while there is nothing to gain. Invariant:
//! a charge changes hands only by the duty word of the very closure that was sampled.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::priority;
use super::schedstat::{self, Probe, Sample, Verdict};
use super::shared::Shared;
use super::slot::{Duty, Mode};
use super::sync::lock;

/// The tick while closures queue behind permits and waits have just been found: what it costs (some 10 µs) is little
/// against the core that would stay idle.
const QUICK: Duration = Duration::from_micros(200);
/// The tick after a closure was seen asleep for the first time: a second look proves it.
const SUSPECT: Duration = Duration::from_micros(50);
/// How long a closure that does what it is charged for is left alone, in quick ticks.
const TRUST: Duration = Duration::from_micros(600);
/// The tick while closures queue behind permits and nothing is found.
const STEADY: Duration = Duration::from_millis(1);
/// So long after a find the tick stays quick.
const AFTER_FIND: Duration = Duration::from_millis(20);
/// The longest tick while something is lent or charged but nothing changes.
const SLOW: Duration = Duration::from_millis(20);
/// A window this old is closed and judged by its sums.
const WINDOW: Duration = Duration::from_millis(25);
/// Of so many burning threads the present core is looked up before another one is woken: each costs some microseconds.
const PLACES_SEEN: usize = 16;
/// So many slow ticks without anything to watch, and the watch sleeps until it is rung for.
const CALM_TICKS: u32 = 8;

/// How the pool calls its watch.
#[derive(Debug, Default)]
pub(super) struct WatchBell {
    asleep: AtomicBool,
    rung: Mutex<bool>,
    bell: Condvar,
    waits_noticed: AtomicU64,
    burns_noticed: AtomicU64,
}

impl WatchBell {
    /// There may be something to watch. One load while the watch is up.
    pub(super) fn ring(&self) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::SeqCst) {
            *lock(&self.rung) = true;
            self.bell.notify_one();
        }
    }

    pub(super) fn waits_noticed(&self) -> u64 {
        self.waits_noticed.load(Ordering::Relaxed)
    }

    pub(super) fn burns_noticed(&self) -> u64 {
        self.burns_noticed.load(Ordering::Relaxed)
    }

    /// Sleeps until the next ring.
    fn wait(&self) {
        let mut rung = lock(&self.rung);
        while !*rung {
            rung = self.bell.wait(rung).unwrap_or_else(PoisonError::into_inner);
        }
        *rung = false;
    }
}

/// Starts the watch of a pool, if the kernel keeps what it needs; it ends with the pool.
pub(super) fn start(shared: &Arc<Shared>) {
    if !shared.options.watch || !schedstat::is_kept() {
        return;
    }
    let weak = Arc::downgrade(shared);
    let name = format!("{}-watch", shared.options.name);
    // Without the thread the pool works, only without compensation, as on a kernel without statistics.
    let _ = thread::Builder::new().name(name).spawn(move || {
        // Its tick comes while every core burns.
        priority::ask_for_short_slices();
        priority::ask_for_exact_sleeps();
        Watch::default().live(&weak);
    });
}

#[derive(Default)]
struct Watch {
    subjects: Vec<Option<Subject>>,
}

struct Subject {
    probe: Probe,
    /// The closure under watch and the sample its window begins with.
    window: Option<(Duty, Sample)>,
    /// When its CPU time was last looked at, and what it was.
    looked: (Instant, Duration),
    /// Whether that look was one of trust.
    trusted: bool,
}

impl Subject {
    fn of(tid: i32) -> Option<Self> {
        let probe = Probe::open(tid)?;
        let looked = (Instant::now(), probe.cpu_time());
        Some(Self { probe, window: None, looked, trusted: false })
    }

    /// Whether the thread's CPU time shows the closure doing just what it is charged for since the last look: burning on
    /// permits, or waiting without. That costs a twentieth of a sample, and is all there is to know in most ticks.
    fn keeps_on(&mut self, duty: Duty) -> bool {
        let window = self.window.as_ref().filter(|(seen, _)| *seen == duty);
        if window.is_some() && self.trusted && self.looked.0.elapsed() < TRUST {
            return true;
        }
        let now = (Instant::now(), self.probe.cpu_time());
        let fresh = window.is_some_and(|(_, sample)| sample.age_at(now.0) <= WINDOW);
        let before = std::mem::replace(&mut self.looked, now);
        let wall = now.0.duration_since(before.0);
        let burned = now.1.saturating_sub(before.1);
        let as_charged = if duty.charge > 0 {
            burned >= wall.mul_f64(schedstat::MOST)
        } else {
            burned <= wall.mul_f64(1.0 - schedstat::MOST)
        };
        self.trusted = fresh && as_charged;
        self.trusted
    }
}

/// What one round over the workers saw.
#[derive(Default)]
struct Round {
    watched: usize,
    suspects: bool,
    changed: bool,
}

impl Watch {
    fn live(mut self, pool: &Weak<Shared>) {
        let mut pause = QUICK;
        let mut calm = 0;
        let mut found = Instant::now();
        while let Some(shared) = pool.upgrade() {
            if shared.closing.is_closed() {
                return;
            }
            let round = self.round(&shared);
            let wanted = shared.book.balance().free <= 0 && shared.has_work();
            if round.changed {
                found = Instant::now();
            }
            pause = if wanted && round.suspects {
                SUSPECT
            } else if wanted && found.elapsed() < AFTER_FIND {
                QUICK
            } else if wanted || round.changed {
                STEADY
            } else {
                (pause * 2).min(SLOW)
            };
            calm = if wanted || round.watched > 0 { 0 } else { calm + 1 };
            if calm < CALM_TICKS {
                drop(shared);
                thread::sleep(pause);
            } else if fall_asleep(&shared) {
                // The bell belongs to the pool: a pool that goes rings it first.
                shared.watch.wait();
                calm = 0;
                pause = QUICK;
            }
        }
    }

    /// Looks once at every worker that is up.
    fn round(&mut self, shared: &Arc<Shared>) -> Round {
        let mut round = Round::default();
        let mut up = Vec::new();
        shared.awake.any(|index| {
            up.push(index);
            false
        });
        for index in up {
            self.look(shared, index, &mut round);
        }
        round
    }

    fn look(&mut self, shared: &Arc<Shared>, index: usize, round: &mut Round) {
        let slot = shared.slot(index);
        let duty = slot.duty();
        if !matches!(duty.mode, Mode::Cpu | Mode::Blocking) {
            return;
        }
        round.watched += 1;
        let Some(subject) = self.subject(index, slot.tid.load(Ordering::SeqCst)) else { return };
        if subject.keeps_on(duty) {
            return;
        }
        let Some(now) = subject.probe.sample() else { return };
        slot.place.seen_on(now.core);
        let Some((seen, before)) = subject.window.filter(|(seen, _)| *seen == duty) else {
            round.suspects |= duty.charge > 0 && now.asleep;
            subject.window = Some((duty, now));
            return;
        };
        let verdict = now.since(&before);
        if verdict != Verdict::Unclear || now.age(&before) > WINDOW {
            subject.window = Some((duty, now));
        }
        if matches!(verdict, Verdict::Waiting(_)) && seen.charge > 0 {
            self.see_places(shared);
        }
        round.changed |= act(shared, index, seen, verdict);
    }

    /// A thread is about to be woken beside those that burn: the kernel may have moved them since they began.
    fn see_places(&mut self, shared: &Arc<Shared>) {
        if !shared.places_threads {
            return;
        }
        let mut seen = 0;
        shared.awake.any(|index| {
            let slot = shared.slot(index);
            if slot.duty().charge > 0 {
                let subject = self.subject(index, slot.tid.load(Ordering::SeqCst));
                if let Some(sample) = subject.and_then(|s| s.probe.sample()) {
                    slot.place.seen_on(sample.core);
                }
                seen += 1;
            }
            seen == PLACES_SEEN
        });
    }

    /// The open files of a worker's thread; opened anew when the slot has another thread.
    fn subject(&mut self, index: usize, tid: i32) -> Option<&mut Subject> {
        if self.subjects.len() <= index {
            self.subjects.resize_with(index + 1, || None);
        }
        let place = &mut self.subjects[index];
        if place.as_ref().is_none_or(|s| s.probe.tid != tid) {
            *place = Subject::of(tid);
        }
        place.as_mut()
    }
}

/// Announces sleep and looks once more, so that a ring between is not lost.
fn fall_asleep(shared: &Arc<Shared>) -> bool {
    shared.watch.asleep.store(true, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    let needed = shared.closing.is_closed() || shared.book.balance().free <= 0 && shared.has_work();
    // If the flag is down already somebody has rung, and the wait returns at once.
    !needed || !shared.watch.asleep.swap(false, Ordering::SeqCst)
}

/// Makes the ledger follow what a closure really does; true if a charge changed hands.
fn act(shared: &Arc<Shared>, index: usize, seen: Duty, verdict: Verdict) -> bool {
    let slot = shared.slot(index);
    match verdict {
        Verdict::Waiting(time) if seen.mode == Mode::Cpu => {
            slot.counters.found_blocked_ns.add(time.as_nanos() as u64);
            seen.charge > 0 && lend(shared, index, seen)
        }
        Verdict::Waiting(_) if seen.charge > 0 => lend(shared, index, seen),
        Verdict::Burning if seen.charge == 0 => charge(shared, index, seen),
        _ => false,
    }
}

fn lend(shared: &Arc<Shared>, index: usize, seen: Duty) -> bool {
    let useful = shared.book.balance().waiters > 0 || shared.has_work();
    let cpu = seen.mode == Mode::Cpu;
    if !useful || !shared.slot(index).recharge(seen, 0, cpu) {
        return false;
    }
    if cpu {
        shared.lent.add(seen.charge);
        shared.watch.waits_noticed.fetch_add(1, Ordering::Relaxed);
    }
    shared.give_and_notify(seen.charge);
    true
}

fn charge(shared: &Arc<Shared>, index: usize, seen: Duty) -> bool {
    let slot = shared.slot(index);
    // What the closure was given at first; one for a closure that was given none.
    let permits = slot.given.load(Ordering::Relaxed).max(1);
    shared.book.charge(permits);
    if !slot.recharge(seen, permits, false) {
        shared.give_and_notify(permits);
        return false;
    }
    if seen.lent {
        shared.lent.sub(permits);
    } else {
        shared.watch.burns_noticed.fetch_add(1, Ordering::Relaxed);
    }
    true
}
