//! What the kernel knows about a thread: CPU time, time in the run queue, how often it got a core, whether it sleeps.
//!
//! Owns the parsing and the verdict. Never guesses: without the kernel's scheduler statistics there is no sample.

#![allow(unsafe_code)] // The clock of another thread has no safe wrapper.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// At least this share of a window must be waiting for the verdict "waiting"; the same for burning.
pub(super) const MOST: f64 = 0.75;
/// Windows in which the thread got a core in between are judged by their sums, which the kernel brings up to date at
/// its ticks (up to 10 ms) only: shorter ones say nothing.
const SUM_WINDOW: Duration = Duration::from_millis(20);
/// Room for a thread's `stat`: some fifty numbers, of which the first forty count here.
const STAT_LINE: usize = 1024;
/// Places of fields in `stat`.
const STATE_FIELD: usize = 3;
const PROCESSOR_FIELD: usize = 39;

/// A thread's figures at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    at: Instant,
    cpu_ns: u64,
    queue_ns: u64,
    slices: u64,
    /// Whether the thread slept.
    pub(super) asleep: bool,
    /// The core it runs on or ran on last.
    pub(super) core: usize,
}

/// What a thread did between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It waited for something other than a core, for so long.
    Waiting(Duration),
    /// It burned a core or waited for one.
    Burning,
    /// Neither is proved.
    Unclear,
}

/// The open statistics file of one thread.
#[derive(Debug)]
pub(super) struct Probe {
    /// The thread.
    pub(super) tid: i32,
    schedstat: File,
    stat: File,
}

impl Probe {
    /// Opens a thread's statistics; `None` if the kernel keeps none.
    pub(super) fn open(tid: i32) -> Option<Self> {
        let folder = format!("/proc/self/task/{tid}");
        let schedstat = File::open(format!("{folder}/schedstat")).ok()?;
        let stat = File::open(format!("{folder}/stat")).ok()?;
        let probe = Self { tid, schedstat, stat };
        // Without scheduler statistics the file is there and holds zeros; this thread has run, so it can't be zero.
        let sample = probe.sample()?;
        (sample.slices > 0).then_some(probe)
    }

    /// The CPU time of the thread, exact to the moment; zero for a thread that is gone.
    pub(super) fn cpu_time(&self) -> Duration {
        // The kernel's number for the scheduler's clock of one thread: see `pthread_getcpuclockid(3)`.
        const THREAD_CLOCK: i32 = 0b110;
        let clock = (!self.tid << 3) | THREAD_CLOCK;
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the timespec outlives the call; a number of no thread is refused.
        let code = unsafe { libc::clock_gettime(clock, &raw mut time) };
        if code == 0 {
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        } else {
            Duration::ZERO
        }
    }

    /// Reads the figures; some ten microseconds, most of them the kernel's.
    pub(super) fn sample(&self) -> Option<Sample> {
        let at = Instant::now();
        let mut buffer = [0; 96];
        let length = self.schedstat.read_at(&mut buffer, 0).ok()?;
        let (cpu_ns, queue_ns, slices) = parse_schedstat(&buffer[..length])?;
        let mut buffer = [0; STAT_LINE];
        let length = self.stat.read_at(&mut buffer, 0).ok()?;
        let (asleep, core) = parse_stat(&buffer[..length])?;
        Some(Sample { at, cpu_ns, queue_ns, slices, asleep, core })
    }
}

/// Whether this kernel keeps the statistics the watch needs.
pub(super) fn is_kept() -> bool {
    fs::read("/proc/thread-self/schedstat")
        .is_ok_and(|text| parse_schedstat(&text).is_some_and(|s| s.2 > 0))
}

fn parse_schedstat(text: &[u8]) -> Option<(u64, u64, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace().map(str::parse::<u64>);
    let mut next = || words.next()?.ok();
    Some((next()?, next()?, next()?))
}

/// Whether the thread sleeps, and its core. The fields are those of `proc_pid_stat(5)`, counted from behind the last
/// bracket, because the name in brackets may hold anything.
fn parse_stat(text: &[u8]) -> Option<(bool, usize)> {
    let bracket = text.iter().rposition(|&b| b == b')')?;
    let mut fields = text[bracket + 1..].split(|&b| b == b' ').filter(|f| !f.is_empty());
    let state = fields.next()?;
    let core = fields.nth(PROCESSOR_FIELD - STATE_FIELD - 1)?;
    let core = std::str::from_utf8(core).ok()?.trim_end().parse().ok()?;
    Some((state == b"S" || state == b"D", core))
}

impl Sample {
    /// How much later than another sample this one was taken.
    pub(super) fn age(&self, before: &Self) -> Duration {
        before.age_at(self.at)
    }

    /// How long ago it was taken at this moment.
    pub(super) fn age_at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }

    /// What happened between an earlier sample and this one.
    pub(super) fn since(&self, before: &Self) -> Verdict {
        let wall = self.at.saturating_duration_since(before.at);
        if self.slices == before.slices && self.asleep && before.asleep {
            // Asleep at both ends and never on a core between: it slept all along. No clock can say it better.
            return Verdict::Waiting(wall);
        }
        if wall < SUM_WINDOW {
            return Verdict::Unclear;
        }
        let cpu = Duration::from_nanos(self.cpu_ns.saturating_sub(before.cpu_ns));
        let queue = Duration::from_nanos(self.queue_ns.saturating_sub(before.queue_ns));
        let waited = wall.saturating_sub(cpu + queue);
        let part = |d: Duration| d.as_secs_f64() / wall.as_secs_f64();
        if self.asleep && part(waited) >= MOST {
            Verdict::Waiting(waited)
        } else if part(cpu + queue) >= MOST || !self.asleep && self.slices == before.slices {
            Verdict::Burning
        } else {
            Verdict::Unclear
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, millis: (u64, u64, u64), slices: u64, asleep: bool) -> Sample {
        Sample {
            at: at + Duration::from_millis(millis.0),
            cpu_ns: millis.1 * 1_000_000,
            queue_ns: millis.2 * 1_000_000,
            slices,
            asleep,
            core: 0,
        }
    }

    #[test]
    fn a_thread_that_slept_all_along_waits() {
        let now = Instant::now();
        let (a, b) = (sample(now, (0, 5, 5), 7, true), sample(now, (1, 5, 5), 7, true));
        assert_eq!(b.since(&a), Verdict::Waiting(Duration::from_millis(1)));
    }

    #[test]
    fn a_starved_burner_is_not_a_waiter() {
        let now = Instant::now();
        // Queued at both ends, no core between: the sums have not moved, but it is not asleep.
        let (a, b) = (sample(now, (0, 5, 5), 7, false), sample(now, (100, 5, 5), 7, false));
        assert_eq!(b.since(&a), Verdict::Burning);
        // A tenth of a core, and the run queue for the rest.
        let (a, b) = (sample(now, (0, 0, 0), 7, true), sample(now, (100, 10, 89), 30, true));
        assert_eq!(b.since(&a), Verdict::Burning);
    }

    #[test]
    fn many_short_waits_are_judged_by_their_sum() {
        let now = Instant::now();
        let (a, b) = (sample(now, (0, 0, 0), 7, true), sample(now, (100, 5, 5), 90, true));
        assert_eq!(b.since(&a), Verdict::Waiting(Duration::from_millis(90)));
        let (a, b) = (sample(now, (0, 0, 0), 7, true), sample(now, (5, 0, 0), 9, true));
        assert_eq!(b.since(&a), Verdict::Unclear);
    }

    #[test]
    fn state_and_core_are_found_behind_any_name() {
        let numbers: String =
            (4..=52).fold(String::new(), |line, field| line + &format!(" {field}"));
        let line = |front: &str| format!("12 ({front}{numbers}\n");
        assert_eq!(parse_stat(line("a) S b) R").as_bytes()), Some((false, 39)));
        assert_eq!(parse_stat(line("pool-0) D").as_bytes()), Some((true, 39)));
        assert_eq!(parse_stat(b"12 (pool"), None);
        assert_eq!(parse_stat(b"12 (pool-0) S 1 2"), None);
    }

    #[test]
    fn the_clock_of_a_thread_is_its_cpu_time() {
        let Some(probe) = Probe::open(super::super::priority::thread_id()) else { return };
        let before = probe.cpu_time();
        assert!(before > Duration::ZERO);
        while probe.cpu_time() == before {}
        let gone = Probe { tid: i32::MAX >> 4, ..probe };
        assert_eq!(gone.cpu_time(), Duration::ZERO);
    }

    #[test]
    fn this_kernel_is_read_or_says_that_it_keeps_nothing() {
        let tid = super::super::priority::thread_id();
        assert_eq!(Probe::open(tid).is_some(), is_kept());
    }
}
