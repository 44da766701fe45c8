//! The named points at which the daemon is killed: a closed list along persist, acknowledge, launch.

/// A point of the daemon's life. Reached means: what its name says has just happened, and nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// The life number is raised and synced; nothing of the last life was looked at.
    LifeBegun,
    /// Left-overs were ended; what was running is still to be judged.
    LeftoversEnded,
    /// What was running is about to be judged in a commit.
    Judging,
    /// It was judged; nobody has connected yet.
    Judged,
    /// A batch with a submission is about to be committed.
    Submitting,
    /// It is committed, and nobody was told.
    Submitted,
    /// A batch with a start record is about to be committed; its attempt may run already.
    Starting,
    /// The work of an attempt runs, and its start record is not committed.
    Spawned,
    /// A start record is committed; whether its attempt runs yet is open.
    Started,
    /// Work inside the daemon has begun.
    WorkBegun,
    /// Work inside the daemon is done, and nobody knows.
    WorkDone,
    /// A batch with an outcome is about to be committed.
    Ending,
    /// An outcome is committed, and nobody was told.
    Ended,
    /// A batch with a cancellation, a hold, a release, a removal or a queue setting is about to be committed.
    Changing,
    /// Such a change is committed, and nobody was told.
    Changed,
    /// The daemon was asked to end, and has not noted that it did so in order.
    Closing,
    /// It has noted it.
    Closed,
}

impl Point {
    pub(super) const ALL: [Self; 17] = [
        Self::Submitting,
        Self::Submitted,
        Self::Starting,
        Self::Spawned,
        Self::Started,
        Self::WorkBegun,
        Self::WorkDone,
        Self::Ending,
        Self::Ended,
        Self::Changing,
        Self::Changed,
        Self::LifeBegun,
        Self::LeftoversEnded,
        Self::Judging,
        Self::Judged,
        Self::Closing,
        Self::Closed,
    ];

    pub(super) fn name(self) -> String {
        format!("{self:?}")
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.name() == name)
    }

    /// Whether it lies before the daemon answers.
    pub(super) const fn is_at_start(self) -> bool {
        matches!(self, Self::LifeBegun | Self::LeftoversEnded | Self::Judging | Self::Judged)
    }

    /// Whether it lies in an orderly end.
    pub(super) const fn is_at_end(self) -> bool {
        matches!(self, Self::Closing | Self::Closed)
    }

    /// How often it may be passed before the kill, so that the first and later times are met alike.
    pub(super) const fn passes(self) -> u64 {
        match self {
            _ if self.is_at_start() || self.is_at_end() => 1,
            Self::Changing | Self::Changed => 3,
            Self::WorkBegun | Self::WorkDone | Self::Spawned => 4,
            _ => 6,
        }
    }
}
