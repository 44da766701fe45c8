//! The clocks: the only place that reads them for scheduling.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
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

/// A moment as the number that the next program of this process understands too: nanoseconds of the clock that neither
/// steps nor counts suspend.
pub(super) fn nanoseconds_of(moment: Instant) -> u64 {
    let (now, number) = monotonic();
    let past = |span: Duration| number.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(0));
    match moment.checked_duration_since(now) {
        Some(ahead) => number.saturating_add(u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX)),
        None => past(now.saturating_duration_since(moment)),
    }
}

/// The moment with this number.
pub(super) fn moment_of(nanoseconds: u64) -> Instant {
    let (now, number) = monotonic();
    let moment = match nanoseconds.checked_sub(number) {
        Some(ahead) => now.checked_add(Duration::from_nanos(ahead)),
        None => now.checked_sub(Duration::from_nanos(number - nanoseconds)),
    };
    moment.unwrap_or(now)
}

fn monotonic() -> (Instant, u64) {
    let (now, time) = (Instant::now(), clock_gettime(ClockId::Monotonic));
    (now, time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// An alarm on both clocks: the boot clock, which counts suspend and never steps, and the wall clock,
/// whose steps ring it.
#[derive(Debug)]
pub(super) struct Alarm {
    boot: Timer<Duration>,
    wall: Timer<WallTime>,
}

impl Alarm {
    /// Makes an alarm that is not set.
    pub(super) fn new() -> io::Result<Self> {
        let boot = Timer::new(TimerfdClockId::Boottime, TimerfdTimerFlags::ABSTIME)?;
        let steps = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        Ok(Self { boot, wall: Timer::new(TimerfdClockId::Realtime, steps)? })
    }

    /// Sets the alarm to a moment of each clock, or takes it back.
    pub(super) fn set(&mut self, boot: Option<Duration>, wall: Option<WallTime>) -> io::Result<()> {
        self.boot.set(boot, |at| Timespec {
            tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(at.subsec_nanos()),
        })?;
        self.wall.set(wall, |at| Timespec {
            tv_sec: at.0.div_euclid(1_000_000),
            tv_nsec: at.0.rem_euclid(1_000_000) * 1_000,
        })
    }

    /// Waits until either moment has come, or the wall clock was set while its moment is waited for. Can be
    /// dropped and called again.
    pub(super) async fn rings(&mut self) -> io::Result<()> {
        tokio::select! {
            rung = self.boot.rings() => rung,
            rung = self.wall.rings() => rung,
        }
    }
}

/// A timer of the kernel's on one clock.
#[derive(Debug)]
struct Timer<T> {
    descriptor: AsyncFd<OwnedFd>,
    flags: TimerfdTimerFlags,
    set: Option<T>,
}

impl<T: Copy + PartialEq> Timer<T> {
    fn new(clock: TimerfdClockId, flags: TimerfdTimerFlags) -> io::Result<Self> {
        let timer = timerfd_create(clock, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "an owned descriptor can't be closed or swapped behind its back"
        )]
        let descriptor = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self { descriptor, flags, set: None })
    }

    fn set(&mut self, at: Option<T>, spec: impl FnOnce(T) -> Timespec) -> io::Result<()> {
        if self.set == at {
            return Ok(());
        }
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A time of zero would disarm the timer; one nanosecond later is as much in the past.
        let first = Timespec { tv_sec: 0, tv_nsec: 1 };
        let value = at.map_or(never, |at| match spec(at) {
            value if (value.tv_sec, value.tv_nsec) < (0, 1) => first,
            value => value,
        });
        let spec = Itimerspec { it_interval: never, it_value: value };
        match timerfd_settime(self.descriptor.get_ref(), self.flags, &spec) {
            // The clock was set since nobody looked. The timer stands at the new moment all the same, and rings
            // at once if that has passed by the new time.
            Ok(_) | Err(Errno::CANCELED) => {}
            Err(error) => return Err(error.into()),
        }
        self.set = at;
        Ok(())
    }

    async fn rings(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.descriptor.readable().await?;
            let mut count = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut count)?));
            match read {
                // Nothing to read yet.
                Err(_) => continue,
                // The clock was set: whoever waits looks at it again, and sets the alarm anew.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::CANCELED.raw_os_error()) => {}
                Ok(read) => drop(read?),
            }
            self.set = None;
            return Ok(());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_alarm_rings_at_a_moment_of_either_clock() {
        let mut alarm = Alarm::new().unwrap();
        let soon = Duration::from_millis(20);
        alarm.set(Some(now().boot + soon), None).unwrap();
        alarm.rings().await.unwrap();
        let wall = now().wall.plus(soon);
        alarm.set(None, Some(wall)).unwrap();
        alarm.rings().await.unwrap();
        assert!(now().wall >= wall);
        // What has passed already rings at once, and so does it again.
        for _ in 0..2 {
            alarm.set(Some(Duration::ZERO), Some(WallTime(-5))).unwrap();
            alarm.rings().await.unwrap();
        }
    }
}
