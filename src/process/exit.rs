//! How a child ended, and what it used.

use std::time::Duration;

/// The end of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// How it ended.
    pub status: Status,
    /// What it used, the descendants it waited for included.
    pub rusage: ResourceUse,
    /// From just before it was made until its end was noticed, time in suspend left out.
    pub wall: Duration,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Code(i32),
    /// It was ended by the signal of this number; true if a core was dumped.
    Signal(i32, bool),
    /// It ended, and other code of this process took its status by waiting for any child.
    Lost,
}

impl Status {
    /// Whether it exited with code 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// What a child used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResourceUse {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// The largest resident set of it or of any descendant it waited for, in bytes. Absent when the
    /// daemon's own is larger: a child starts with its maker's high-water mark, which hides its own.
    pub max_rss_bytes: Option<u64>,
}

/// The resident set is counted per CPU and summed lazily, so marks this close can't be told apart.
const RSS_SLACK_BYTES: u64 = 1 << 20;

impl Status {
    pub(super) fn decode(raw: i32) -> Self {
        if libc::WIFSIGNALED(raw) {
            Self::Signal(libc::WTERMSIG(raw), libc::WCOREDUMP(raw))
        } else {
            Self::Code(libc::WEXITSTATUS(raw))
        }
    }
}

impl ResourceUse {
    pub(super) fn decode(child: &libc::rusage, own_max_rss_bytes: u64) -> Self {
        let max_rss_bytes = max_rss(child);
        let visible = max_rss_bytes > own_max_rss_bytes.saturating_add(RSS_SLACK_BYTES);
        Self {
            user: duration(child.ru_utime),
            system: duration(child.ru_stime),
            max_rss_bytes: visible.then_some(max_rss_bytes),
        }
    }

    /// User and system time together.
    pub fn cpu(&self) -> Duration {
        self.user.saturating_add(self.system)
    }
}

/// The kernel counts it in KiB.
pub(super) fn max_rss(usage: &libc::rusage) -> u64 {
    u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024)
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u32::try_from(time.tv_usec).unwrap_or(0);
    Duration::new(seconds, micros.saturating_mul(1000))
}
