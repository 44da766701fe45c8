//! Work that may have brought the daemon down.

use std::fmt;

use super::id::JobId;

/// How often the daemon died while an attempt of the job ran inside it, with no attempt since that ended otherwise.
///
/// Who runs in the daemon when it dies is suspected, bystanders among them, and runs alone from then on: a
/// bystander's next attempt ends, and nothing more is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// How often, in all.
    pub crashes: u32,
    /// How often of these nothing else ran inside the daemon.
    pub alone: u32,
}

impl Suspicion {
    /// After so many lost runs alone the job is not run again by itself: once may be chance, since whatever else
    /// kills the daemon hits a job that runs alone as well.
    pub const MOST_ALONE: u32 = 2;

    /// What is to be said of a job that ran inside the daemon when it died. One that was suspected ran alone.
    #[must_use]
    pub fn after_crash(before: Option<Self>) -> Self {
        before.map_or(Self { crashes: 1, alone: 0 }, |Self { crashes, alone }| Self {
            crashes: crashes.saturating_add(1),
            alone: alone.saturating_add(1),
        })
    }

    /// Whether the job is not to be run again unless a user says so.
    pub const fn condemns(self) -> bool {
        self.alone >= Self::MOST_ALONE
    }

    /// Why the job was condemned, and what to do about it.
    pub fn verdict(self, job: JobId) -> String {
        format!("{self}; `{} retry {job}` runs it again", crate::NAME)
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { crashes, alone } = self;
        let times = if *crashes == 1 { "once".to_owned() } else { format!("{crashes} times") };
        write!(f, "the daemon died {times} while it ran")?;
        if *alone > 0 {
            write!(f, ", {alone} of them alone")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_crash_suspects_and_two_runs_alone_condemn() {
        let first = Suspicion::after_crash(None);
        assert_eq!((first.condemns(), first.alone), (false, 0));
        assert_eq!(first.to_string(), "the daemon died once while it ran");
        let second = Suspicion::after_crash(Some(first));
        assert!(!second.condemns());
        let third = Suspicion::after_crash(Some(second));
        assert!(third.condemns());
        let verdict = third.verdict(JobId::FIRST);
        assert!(
            verdict.starts_with("the daemon died 3 times while it ran, 2 of them alone"),
            "{verdict}"
        );
        assert!(verdict.ends_with("`twolane retry 1` runs it again"), "{verdict}");
    }
}
