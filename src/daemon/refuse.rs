//! Refusals that several rooms of the daemon give in the same words.

use crate::handlers::nearest;
use crate::job::JobId;
use crate::protocol::{ElementRange, Error, IdRange};

/// There is no such queue.
pub(super) fn unknown_queue<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    let hint = nearest(name, known.clone())
        .map_or_else(String::new, |nearest| format!(" (did you mean {nearest:?}?)"));
    let known: Vec<&str> = known.collect();
    let message = format!(
        "unknown queue {name:?}{hint}: use one of {known}, or make it with `{program} queue set {name}`",
        known = known.join(", "),
        program = crate::NAME,
    );
    Error::UnknownQueue { queue: name.to_owned(), message }
}

/// There is no such job, or it is none of the caller's business.
pub(super) fn no_such_job(id: JobId) -> Error {
    let message = format!("there is no job {id} of yours: see `{} list --all`", crate::NAME);
    Error::NoSuchJob { id, message }
}

/// No array of the caller's has such elements.
pub(super) fn no_such_element(range: &ElementRange) -> Error {
    let ElementRange { array, first, last } = range;
    let named = if first == last { format!("{first}") } else { format!("{first}-{last}") };
    let message = format!(
        "there is no element {array}_{named} of yours: `{} list {array}` tells which there are",
        crate::NAME
    );
    Error::NoSuchJob { id: *array, message }
}

/// There is no such schedule, or it is none of the caller's business.
pub(super) fn no_such_schedule(name: &str, known: &[&str]) -> Error {
    let hint = nearest(name, known.iter().copied())
        .map_or_else(String::new, |nearest| format!(" (did you mean {nearest:?}?)"));
    let message = format!(
        "there is no schedule {name:?} of yours{hint}: see `{} schedule list`",
        crate::NAME
    );
    Error::NoSuchSchedule { schedule: name.to_owned(), message }
}

/// The caller may not do this.
pub(super) fn not_permitted(what: &str) -> Error {
    let message = format!(
        "{what} is for root and the daemon's own user; ask them, or use your own daemon with --user"
    );
    Error::NotPermitted { message }
}

/// The daemon's program is being replaced; for a wait, these jobs are still to be waited for.
pub(super) fn restarting(jobs: Option<Vec<IdRange>>) -> Error {
    let message = "the daemon is being restarted: call again on a new connection".to_owned();
    Error::Restarting { jobs, message }
}

/// The daemon is ending and has stopped answering.
pub(super) fn stopping() -> Error {
    Error::Stopping { message: "the daemon is ending: try again when it is back".to_owned() }
}
