//! The one thread that waits for children.
//!
//! It sleeps in epoll on the pidfds of the living, a wake-up descriptor and a timer. A readable
//! pidfd means that its process ended; `wait4` on that very pid gives status and resource use. No
//! call ever takes the status of a process that isn't ours, except the sweep for orphans.
//!
//! # The sweep
//! A subreaper inherits the orphans of its jobs, and nobody else reaps them. The sweep peeks at any
//! exited child (`waitid` with WNOWAIT, which takes nothing) and decides by whose it is:
//! - known to the registry: ours, reaped as usual;
//! - in a spawner's birth slot: ours, about to be registered; left for the next look. The kernel fills
//!   the slot before the child runs and the spawner empties it after registering, so reading the
//!   slots first and the registry second cannot miss it;
//! - in the daemon's own process group: a helper that other code started, which waits for it itself;
//! - anything else is an orphan, whose status means nothing to anybody: reaped and discarded.
//!
//! # Invariant
//! A child is in the registry from before its pidfd can wake the reaper until it was reaped.

use std::collections::HashMap;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::process::Pid;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::child::Process;
use super::exit::{Exit, ResourceUse, Status, max_rss};
use super::procfs;
use super::vfork;

/// Orphans' zombies wait at most this long; they cost a table entry meanwhile, nothing else.
const SWEEP_PERIOD: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Children looked at in one sweep, so that a storm of orphans can't keep exits waiting.
const SWEEP_LIMIT: usize = 1024;

/// Exits taken from epoll at once.
const EVENT_BATCH: usize = 256;

const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// The registry of living children, and what wakes the thread that waits for them.
pub(super) struct Reaper {
    epoll: OwnedFd,
    wake: OwnedFd,
    timer: OwnedFd,
    timer_armed: AtomicBool,
    sweep_wanted: AtomicBool,
    adopt_orphans: bool,
    living: Mutex<HashMap<i32, Arc<Process>>>,
    births: Vec<AtomicI32>,
    /// Whether ends are left for the next image of this program to take.
    holds: Mutex<bool>,
    /// Spawner threads that may still register a child.
    registrars: AtomicUsize,
}

impl Reaper {
    /// A reaper for this many spawners, each of which joins before the thread starts.
    pub(super) fn new(spawners: usize, adopt_orphans: bool) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
        Ok(Self {
            epoll,
            wake,
            timer,
            timer_armed: AtomicBool::new(false),
            sweep_wanted: AtomicBool::new(false),
            adopt_orphans,
            living: Mutex::default(),
            births: (0..spawners).map(|_| AtomicI32::new(0)).collect(),
            holds: Mutex::new(false),
            registrars: AtomicUsize::new(0),
        })
    }

    /// The slot in which the kernel announces the children of this spawner.
    pub(super) fn birth(&self, spawner: usize) -> &AtomicI32 {
        &self.births[spawner]
    }

    /// Takes charge of a newborn. When it fails, the child stays the caller's to end and reap.
    pub(super) fn register(&self, process: &Arc<Process>) -> io::Result<()> {
        let pid = process.tree.leader();
        self.living().insert(pid, Arc::clone(process));
        let data = epoll::EventData::new_u64(u64::from(pid.cast_unsigned()));
        if let Err(error) =
            epoll::add(&self.epoll, process.tree.pidfd(), data, epoll::EventFlags::IN)
        {
            self.living().remove(&pid);
            return Err(error.into());
        }
        if self.adopt_orphans {
            self.arm_timer();
        }
        Ok(())
    }

    /// A spawner may register children from now on.
    pub(super) fn registrar_joined(&self) {
        self.registrars.fetch_add(1, Ordering::AcqRel);
    }

    /// A spawner has ended. After the last, and the last child's end, the reaper ends too.
    pub(super) fn registrar_left(&self) {
        self.registrars.fetch_sub(1, Ordering::AcqRel);
        self.wake_up();
    }

    /// Looks for orphans now instead of at the next period.
    pub(super) fn hurry(&self) {
        if self.adopt_orphans {
            self.sweep_wanted.store(true, Ordering::Release);
            self.wake_up();
        }
    }

    /// Reaps no child of ours any more: when this returns, no end is being taken, and those that were taken are told.
    pub(super) fn hold(&self) {
        *self.holds() = true;
    }

    /// Reaps again, also those that ended meanwhile.
    pub(super) fn release(&self) {
        *self.holds() = false;
        self.sweep_wanted.store(true, Ordering::Release);
        self.wake_up();
    }

    /// Whether orphans come to this process, and to this reaper.
    pub(super) fn adopts_orphans(&self) -> bool {
        self.adopt_orphans
    }

    /// Children of this process that were not started here: orphans, where it is a subreaper, and
    /// helpers of other code.
    pub(super) fn strangers(&self) -> Vec<i32> {
        let children = procfs::own_children();
        // Asked for after the listing: who was registered before it is still, or has been reaped.
        let births = self.births.iter().map(|birth| birth.load(Ordering::Acquire));
        let births: Vec<_> = births.collect();
        let living = self.living();
        let strange = |pid: &i32| !births.contains(pid) && !living.contains_key(pid);
        children.into_iter().filter(strange).collect()
    }

    /// The reaper thread, from start to end.
    pub(super) fn run(&self) {
        vfork::block_signals();
        let mut events = Vec::with_capacity(EVENT_BATCH);
        let mut held = Vec::new();
        while !self.finished() {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => unreachable!("waiting on our own epoll failed: {error}"),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    WAKE => drain(&self.wake),
                    TIMER => self.on_timer(&mut held),
                    pid => self.reap(pid as i32, &mut held),
                }
            }
            if self.sweep_wanted.swap(false, Ordering::AcqRel) {
                self.reap_held(&mut held);
                if self.adopt_orphans {
                    self.sweep(&mut held);
                }
            }
        }
    }

    fn finished(&self) -> bool {
        self.registrars.load(Ordering::Acquire) == 0 && self.living().is_empty()
    }

    /// Reaps one of ours whose end was announced. A tracer gets to see a process before its parent
    /// does; such a one is held and asked for again at the next tick.
    fn reap(&self, pid: i32, held: &mut Vec<i32>) {
        let holds = self.holds();
        if *holds {
            if let Some(process) = self.living().get(&pid) {
                let _ = epoll::delete(&self.epoll, process.tree.pidfd());
                held.push(pid);
            }
            return;
        }
        let Some(process) = self.living().remove(&pid) else { return };
        // Its pidfd stays open in the owners' hands and would go on being readable.
        let _ = epoll::delete(&self.epoll, process.tree.pidfd());
        match wait_for(pid) {
            Waited::Ended(raw, usage) => process.end(exit(&process, raw, &usage)),
            Waited::Gone => process.end(lost(&process)),
            Waited::NotYet => {
                self.living().insert(pid, process);
                held.push(pid);
                self.arm_timer();
            }
        }
    }

    fn reap_held(&self, held: &mut Vec<i32>) {
        for pid in mem::take(held) {
            self.reap(pid, held);
        }
    }

    fn on_timer(&self, held: &mut Vec<i32>) {
        drain(&self.timer);
        self.timer_armed.store(false, Ordering::SeqCst);
        self.reap_held(held);
        if self.adopt_orphans {
            let others = self.sweep(held);
            if others || !self.living().is_empty() {
                self.arm_timer();
            }
        }
    }

    /// Discards the orphans that have ended; true while there are any children at all.
    fn sweep(&self, held: &mut Vec<i32>) -> bool {
        for _ in 0..SWEEP_LIMIT {
            let pid = match peek() {
                Peeked::NoChildren => return false,
                Peeked::NoneEnded => return true,
                Peeked::Ended(pid) => pid,
            };
            if self.births.iter().any(|birth| birth.load(Ordering::Acquire) == pid) {
                return true;
            }
            if self.living().contains_key(&pid) {
                if *self.holds() {
                    return true;
                }
                self.reap(pid, held);
            } else if in_own_group(pid) {
                return true;
            } else {
                wait_for(pid);
            }
        }
        true
    }

    fn arm_timer(&self) {
        if self.timer_armed.swap(true, Ordering::SeqCst) {
            return;
        }
        let once =
            Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: SWEEP_PERIOD };
        if timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_err() {
            self.timer_armed.store(false, Ordering::SeqCst);
        }
    }

    fn wake_up(&self) {
        // Full means that a wake-up is on its way already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Held while an end is taken and told, none of which can panic halfway.
    fn holds(&self) -> MutexGuard<'_, bool> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock is held for single map operations only, none of which can panic halfway.
    fn living(&self) -> MutexGuard<'_, HashMap<i32, Arc<Process>>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drain(descriptor: &OwnedFd) {
    // Nothing to read means that it was drained before.
    let _ = rustix::io::read(descriptor, &mut [0_u8; 8]);
}

fn exit(process: &Process, raw: i32, usage: &libc::rusage) -> Exit {
    let rusage = ResourceUse::decode(usage, own_max_rss());
    Exit { status: Status::decode(raw), rusage, wall: process.started.elapsed() }
}

fn lost(process: &Process) -> Exit {
    let rusage = ResourceUse::default();
    Exit { status: Status::Lost, rusage, wall: process.started.elapsed() }
}

fn own_max_rss() -> u64 {
    let mut usage = MaybeUninit::zeroed();
    // SAFETY: the kernel fills in a whole `rusage`; zeroes are one too, should it refuse.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    max_rss(&usage)
}

/// Asked of the kernel and not read from `/proc`, for which there may be no descriptor just now.
fn in_own_group(pid: i32) -> bool {
    let group = |pid| rustix::process::getpgid(pid).ok();
    Pid::from_raw(pid).is_some_and(|pid| group(Some(pid)) == group(None))
}

enum Waited {
    Ended(i32, libc::rusage),
    NotYet,
    Gone,
}

/// Reaps this child if it has ended; never blocks.
fn wait_for(pid: i32) -> Waited {
    let mut raw = 0;
    let mut usage = MaybeUninit::zeroed();
    // SAFETY: both out-pointers are valid for the call.
    let waited =
        unsafe { libc::wait4(pid, &raw mut raw, libc::WNOHANG | libc::__WALL, usage.as_mut_ptr()) };
    match waited {
        0 => Waited::NotYet,
        // SAFETY: the kernel filled it in; it was a valid `rusage` of zeroes before.
        found if found == pid => Waited::Ended(raw, unsafe { usage.assume_init() }),
        _ => Waited::Gone,
    }
}

enum Peeked {
    NoChildren,
    NoneEnded,
    Ended(i32),
}

/// Looks at some child that has ended, and takes nothing.
fn peek() -> Peeked {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: the out-pointer is valid; the kernel leaves it zeroed when no child has ended.
    let (result, pid) = unsafe {
        let result = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options);
        (result, info.assume_init().si_pid())
    };
    match (result, pid) {
        (0, 0) => Peeked::NoneEnded,
        (0, pid) => Peeked::Ended(pid),
        _ => Peeked::NoChildren,
    }
}
