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

/// Which clock a deadline follows while the machine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Follows {
    /// The boot clock: so much time is to pass, whatever becomes of the wall clock.
    #[default]
    Boot,
    /// The wall clock: it is to show this moment, however often it is set.
    Wall,
}

/// A moment in the future that survives clock steps and reboots.
///
/// One that follows the boot clock counts by it under the boot it was made in. Under another boot
/// its wall time counts, clamped so that never more than the original delay is left. One that
/// follows the wall clock has its wall time alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// When, by the boot clock of the boot that made it; nothing if it follows the wall clock.
    pub boot: Duration,
    /// When, by the wall clock.
    pub wall: WallTime,
    /// How far ahead it lay when it was made; nothing if it follows the wall clock.
    pub delay: Duration,
    /// Which clock it follows.
    #[serde(default)]
    pub follows: Follows,
}

impl Deadline {
    /// The moment that lies `delay` after `now`.
    pub fn after(now: Now, delay: Duration) -> Self {
        Self {
            boot: now.boot.saturating_add(delay),
            wall: now.wall.plus(delay),
            delay,
            follows: Follows::Boot,
        }
    }

    /// The moment at which the wall clock shows `wall`.
    pub const fn at(wall: WallTime) -> Self {
        Self { boot: Duration::ZERO, wall, delay: Duration::ZERO, follows: Follows::Wall }
    }

    /// The same moment told in the boot that `now` was read in, which is not the one that made it.
    #[must_use]
    pub fn rebased(self, now: Now) -> Self {
        match self.follows {
            Follows::Wall => self,
            Follows::Boot => {
                let left = self.wall.since(now.wall).min(self.delay);
                Self { delay: self.delay, ..Self::after(now, left) }
            }
        }
    }

    /// Whether the moment has come.
    pub fn is_due(&self, now: Now) -> bool {
        match self.follows {
            Follows::Boot => now.boot >= self.boot,
            Follows::Wall => now.wall >= self.wall,
        }
    }

    /// How long it is until the moment comes, if no clock is set meanwhile.
    pub fn left(&self, now: Now) -> Duration {
        match self.follows {
            Follows::Boot => self.boot.saturating_sub(now.boot),
            Follows::Wall => self.wall.since(now.wall),
        }
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
    fn a_moment_of_the_wall_clock_follows_its_steps_and_no_boot() {
        let deadline = Deadline::at(WallTime(1_010_000_000));
        assert_eq!(deadline.left(now(100, 1_000)), Duration::from_secs(10));
        assert!(deadline.is_due(now(100, 1_010)), "a step forward past it");
        assert!(!deadline.is_due(now(9_999, 900)), "a step back, however long ago it was made");
        assert_eq!(deadline.rebased(now(1, 0)), deadline);
    }

    #[test]
    fn after_a_reboot_the_wall_counts_but_never_more_than_the_delay() {
        let deadline = Deadline::after(now(100, 1_000), Duration::from_secs(10));
        assert_eq!(deadline.rebased(now(1, 1_004)).boot, Duration::from_secs(7));
        assert!(deadline.rebased(now(1, 2_000)).is_due(now(1, 2_000)));
        assert_eq!(deadline.rebased(now(1, 0)).boot, Duration::from_secs(11));
    }
}
