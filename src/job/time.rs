//! Time values. Nothing here reads a clock: whoever does hands a [`Now`] in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on the wall clock: microseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallTime(pub i64);

impl WallTime {
    /// This moment and `span` later; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this moment lies; zero if it lies before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Both clocks, read at the same moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since the machine booted, suspend included; it never steps.
    pub boot: Duration,
    /// The wall clock, which may step either way.
    pub wall: WallTime,
}

/// A moment in the future that survives clock steps and reboots.
///
/// Under the boot it was made in, the boot time counts. Under another boot the wall time counts,
/// clamped so that never more than the original delay is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// When, by the boot clock of the boot that made it.
    pub boot: Duration,
    /// When, by the wall clock.
    pub wall: WallTime,
    /// How far ahead it lay when it was made.
    pub delay: Duration,
}

impl Deadline {
    /// The moment that lies `delay` after `now`.
    pub fn after(now: Now, delay: Duration) -> Self {
        Self { boot: now.boot.saturating_add(delay), wall: now.wall.plus(delay), delay }
    }

    /// The same moment told in the boot that `now` was read in, which is not the one that made it.
    #[must_use]
    pub fn rebased(self, now: Now) -> Self {
        let left = self.wall.since(now.wall).min(self.delay);
        Self { boot: now.boot.saturating_add(left), wall: now.wall.plus(left), delay: self.delay }
    }

    /// Whether the moment has come.
    pub fn is_due(&self, now: Now) -> bool {
        now.boot >= self.boot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn now(boot_s: u64, wall_s: i64) -> Now {
        Now { boot: Duration::from_secs(boot_s), wall: WallTime(wall_s * 1_000_000) }
    }

    #[test]
    fn a_wall_clock_step_does_not_move_a_deadline() {
        let deadline = Deadline::after(now(100, 1_000), Duration::from_secs(10));
        assert!(!deadline.is_due(now(105, 9_999)));
        assert!(deadline.is_due(now(110, 0)));
    }

    #[test]
    fn after_a_reboot_the_wall_counts_but_never_more_than_the_delay() {
        let deadline = Deadline::after(now(100, 1_000), Duration::from_secs(10));
        assert_eq!(deadline.rebased(now(1, 1_004)).boot, Duration::from_secs(7));
        assert!(deadline.rebased(now(1, 2_000)).is_due(now(1, 2_000)));
        assert_eq!(deadline.rebased(now(1, 0)).boot, Duration::from_secs(11));
    }
}
