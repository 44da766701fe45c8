//! The vocabulary: what a job is, which states it passes through, how an attempt ends.
//!
//! Owns plain data and pure functions that every other room shares. Never touches a clock, a file,
//! a socket, a thread or the store. Invariant: [`State::may_become`] is the only transition table.

mod as_text;
mod class;
mod duration;
mod edit;
mod every;
mod id;
mod limits;
mod nearest;
mod outcome;
mod rate;
mod record;
mod requirement;
mod retry;
mod retry_on;
mod schedule;
mod size;
mod spec;
mod state;
mod suspicion;
mod time;

pub use class::{Class, Lane, UnknownName};
pub use duration::{DurationError, format_duration, parse_duration};
pub use edit::{Came, Edited, Move, Turn};
pub use every::{Every, EveryError};
pub use id::{AttemptToken, IdError, JobId, StoreId};
pub use limits::{KeyLimit, KeyRule, Limits, LimitsError};
pub use nearest::nearest;
pub use outcome::{Failure, Outcome, exit_code};
pub use rate::{Rate, RateError};
pub use record::{AttemptRecord, Change, Drain, Fold, Folded, Job, NewJob, QueueRecord, Usage};
pub use requirement::{Awaited, Condition, Ending, Requirement};
pub use retry::{Backoff, BackoffError, RetryPolicy, jitter_seed};
pub use retry_on::{RetryOn, RetryOnError};
pub use schedule::{
    Missed, Overlap, Progress, ScheduleId, ScheduleRecord, ScheduleRun, TurnTaken,
    check_schedule_name,
};
pub use size::{SizeError, format_size, parse_size};
pub use spec::{ArrayPlace, Context, Params, Spec, SpecError};
pub use state::{State, Transition};
pub use suspicion::Suspicion;
pub use time::{Deadline, Follows, Now, WallTime};
