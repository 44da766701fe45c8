//! Gives memory back to the system that a burst of work took and left behind.
//!
//! Ten thousand jobs in one call are many small pieces, and the allocator keeps what they lay in for the
//! next burst. Once the burst is over, nobody else can use that.

use std::time::Duration;

use super::clock::own_usage;
use crate::process;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// So much more than after the last time is worth the walk through all of it.
const WORTH: u64 = 32 << 20;
/// While more than this comes or goes between two looks, the burst is not over.
const CALM: u64 = 2 << 20;

/// What was seen so far, in bytes in RAM.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The least since memory was last given back.
    least: u64,
    /// At the last look.
    last: u64,
}

impl Seen {
    /// Whether a burst has come and gone.
    fn is_over(&mut self, now: u64) -> bool {
        let over = now >= self.least + WORTH && now.abs_diff(self.last) <= CALM;
        self.least = self.least.min(now);
        self.last = now;
        over
    }

    /// Memory was given back; so much is left.
    const fn given_back(&mut self, left: u64) {
        (self.least, self.last) = (left, left);
    }
}

/// Looks after it for as long as it is polled.
pub(super) async fn run() {
    let now = own_usage().rss_bytes;
    let mut seen = Seen { least: now, last: now };
    loop {
        tokio::time::sleep(EVERY).await;
        if seen.is_over(own_usage().rss_bytes) {
            // A panic there would be the allocator's.
            let _ = tokio::task::spawn_blocking(process::give_memory_back).await;
            seen.given_back(own_usage().rss_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_is_given_back_once_after_a_burst() {
        let mut seen = Seen { least: 20 * MIB, last: 20 * MIB };
        assert!(!seen.is_over(30 * MIB), "too little");
        assert!(!seen.is_over(120 * MIB) && !seen.is_over(200 * MIB), "it goes on");
        assert!(seen.is_over(201 * MIB));
        seen.given_back(90 * MIB);
        assert!(!seen.is_over(90 * MIB) && !seen.is_over(90 * MIB));
        assert!(!seen.is_over(30 * MIB) && !seen.is_over(61 * MIB) && !seen.is_over(70 * MIB));
        assert!(seen.is_over(70 * MIB), "more than the least by far");
    }
}
