//! What happens to the scheduler: every event it can react to.

use std::time::Duration;

use super::entry::{Entry, LaneSizes, Resource, Revision};
use super::folds::FoldedEntry;
use crate::job::{
    AttemptToken, Awaited, Change, Edited, JobId, KeyRule, Outcome, QueueRecord, State, Usage,
};

/// What happens to the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Jobs were committed and may be scheduled.
    Submitted(Vec<Entry>),
    /// Elements of an array were committed as one: they become jobs as their turn comes near.
    Folded(Box<FoldedEntry>),
    /// Somebody names elements of a folded array, up to this id: they are to become jobs now.
    Unfold {
        /// The array.
        array: JobId,
        /// The last element that is named.
        through: JobId,
    },
    /// A user wants all elements of an array that are not jobs of their own yet queued, held or cancelled.
    MoveFolded {
        /// The array.
        array: JobId,
        /// Where they are to go.
        to: State,
        /// Why.
        reason: Option<String>,
    },
    /// A lane reports how an attempt ended. Ignored as stale unless the token is the current one.
    Ended {
        /// Which job.
        job: JobId,
        /// The attempt's token.
        token: AttemptToken,
        /// How it ended.
        outcome: Outcome,
        /// What it used.
        usage: Usage,
        /// The least pause before a retry that the other side asked for.
        retry_after: Option<Duration>,
        /// Whether another attempt may end better; without it no retry follows, whatever the policy says.
        retryable: bool,
    },
    /// A user wants the job to end.
    Cancel {
        /// Which job.
        job: JobId,
        /// Why.
        reason: Option<String>,
    },
    /// A user wants the job to stay where it is; a running one is held after this attempt's end only
    /// if it is to be retried. Noted at once for a running job, and written so that it outlives the daemon.
    Hold {
        /// Which job.
        job: JobId,
        /// Why.
        reason: Option<String>,
    },
    /// A user lets a held job go on. For a running job it takes a noted hold back.
    Release {
        /// Which job.
        job: JobId,
    },
    /// A user changes the job. It can't start until that is written down, and one that runs takes only
    /// what counts after its attempt.
    Edit {
        /// Which job.
        job: JobId,
        /// What it is to be.
        revision: Box<Revision>,
    },
    /// An edit that was asked for is synced.
    Edited {
        /// What was written down.
        edited: Box<Edited>,
        /// What the job requires from now on, with how it ended where it has; only if that was changed.
        requires: Vec<Awaited>,
    },
    /// A change that an [`Action::Write`](super::Action::Write) asked for is synced.
    Committed(Change),
    /// A change that an [`Action::Write`](super::Action::Write) asked for was refused; the job stays where it was.
    Refused(Change),
    /// A queue was committed with these settings.
    QueueSet(QueueRecord),
    /// A queue's own settings are gone.
    QueueRemoved(String),
    /// The sizes changed.
    Lanes(LaneSizes),
    /// The named resources changed; those left out have nothing any more.
    Resources(Vec<Resource>),
    /// What the settings say of keys changed; keys without a rule have what their jobs say.
    Keys(Vec<KeyRule>),
    /// Nothing is known of the starts before: for every rate they count as spread evenly over the last
    /// period, so that a restart neither freezes nor floods a queue or key.
    StartsForgotten,
    /// So many core permits are lent out by running jobs that are blocked, and may be used by others.
    Lent(u32),
    /// Whether anything new may start: false while draining or while the store can't write.
    Starts(bool),
    /// How many jobs of all classes together may run at once; `None` for no limit.
    MaxRunning(Option<u32>),
    /// Time has passed.
    Tick,
}
