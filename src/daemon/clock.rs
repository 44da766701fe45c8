//! The clocks: the only place that reads them for scheduling.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::job::{Now, WallTime};

/// Reads both clocks.
pub(super) fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let wall = clock_gettime(ClockId::Realtime);
    Now {
        boot: Duration::new(boot.tv_sec.unsigned_abs(), boot.tv_nsec.unsigned_abs() as u32),
        wall: WallTime(wall.tv_sec * 1_000_000 + wall.tv_nsec / 1_000),
    }
}

/// An alarm on the boot clock, which counts suspend and never steps.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set: Option<Duration>,
}

impl Alarm {
    /// Makes an alarm that is not set.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        #[expect(
            deprecated,
            reason = "an owned descriptor can't be closed or swapped behind its back"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self { timer, set: None })
    }

    /// Sets the alarm to a moment of the boot clock, or takes it back.
    pub(super) fn set(&mut self, at: Option<Duration>) -> io::Result<()> {
        if self.set == at {
            return Ok(());
        }
        // A time of zero would disarm the timer; one nanosecond after boot is as much in the past.
        let at_least = |at: Duration| at.max(Duration::from_nanos(1));
        let value = at.map_or(Duration::ZERO, at_least);
        let value = Timespec {
            tv_sec: i64::try_from(value.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(value.subsec_nanos()),
        };
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: once, it_value: value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)?;
        self.set = at;
        Ok(())
    }

    /// Waits until the alarm goes off. Can be dropped and called again.
    pub(super) async fn rings(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut count = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut count)?));
            if let Ok(read) = read {
                read?;
                self.set = None;
                return Ok(());
            }
        }
    }
}

/// What this process itself has used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnUsage {
    /// Processor time of all its threads.
    pub(super) cpu: Duration,
    /// Memory in RAM, in bytes; 0 where the system does not tell.
    pub(super) rss_bytes: u64,
}

/// Reads what this process has used.
pub(super) fn own_usage() -> OwnUsage {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = Duration::new(cpu.tv_sec.unsigned_abs(), cpu.tv_nsec.unsigned_abs() as u32);
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    let page = rustix::param::page_size() as u64;
    OwnUsage { cpu, rss_bytes: pages.unwrap_or(0) * page }
}
