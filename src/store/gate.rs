//! What can be said against a change without looking at what is stored: the same for every store.

use crate::job::{
    ArrayPlace, Class, Deadline, Edited, Fold, Folded, JobId, NewJob, QueueRecord, Requirement,
    ScheduleId, State, Suspicion, TurnTaken,
};

use super::error::Refusal;

/// Checks jobs that come in one change, none of which may have an id below `next`, and what is folded
/// behind the last of them.
///
/// Returns the next id that no job ever had once these are taken.
pub(super) fn submitted(
    jobs: &[NewJob],
    fold: Option<Fold>,
    mut next: u64,
) -> Result<u64, Refusal> {
    let mut before: Option<ArrayPlace> = None;
    for job in jobs {
        let id = job.id;
        if let (Some(before), Some(place)) = (before, job.place)
            && before.array == place.array
            && before.index >= place.index
        {
            return forbid(format!("job {id}: the elements of an array stand in order"));
        }
        before = job.place;
        if id.get() < next {
            return forbid(format!("job {id} can't be new: ids up to {} were given", next - 1));
        }
        if job.state == State::Running || job.state.is_final() {
            return forbid(format!("a new job can't be {}", job.state));
        }
        timed(id, job.state, job.not_before)?;
        if job.submission > id || job.place.is_some_and(|place| place.array > id) {
            return forbid(format!("job {id} came before its own submission or array"));
        }
        if job.place.is_some_and(|place| i64::try_from(place.index).is_err()) {
            return forbid(format!("job {id}: its array index is beyond 2^63 - 1"));
        }
        if job.spec.cpus == 0 {
            return forbid(format!("job {id} takes no core permit"));
        }
        requires(id, job.state, &job.requirements)?;
        next = id.get() + 1;
    }
    let Some(fold) = fold else { return Ok(next) };
    let Some(last) = jobs.last() else { return forbid("a fold follows no job".to_owned()) };
    let place = folds(last)?;
    let index = fold.step.checked_mul(fold.count).and_then(|span| place.index.checked_add(span));
    let fits = index.is_some_and(|index| i64::try_from(index).is_ok())
        && next.checked_add(fold.count).is_some_and(|next| next <= JobId::MAX);
    if fold.count == 0 || fold.step == 0 || !fits {
        return forbid(format!("job {}: {fold:?} can't follow it", last.id));
    }
    Ok(next + fold.count)
}

/// The place of a job that others are folded behind: whatever waits for a time or for other jobs, or has a key
/// of its own, is written down by itself.
pub(super) fn folds(last: &NewJob) -> Result<ArrayPlace, Refusal> {
    let alone = matches!(last.state, State::Queued | State::Held)
        && last.not_before.is_none()
        && last.requirements.is_empty()
        && last.unique.is_none();
    match last.place.filter(|_| alone) {
        Some(place) => Ok(place),
        None => forbid(format!("nothing can be folded behind job {}", last.id)),
    }
}

/// Checks what a job requires.
fn requires(id: JobId, state: State, others: &[Requirement]) -> Result<(), Refusal> {
    if others.is_empty() {
        return Ok(());
    }
    if !matches!(state, State::Waiting | State::Held) {
        return forbid(format!("job {id} requires others and would not wait: it is {state}"));
    }
    if others.iter().any(|other| other.job == id) {
        return forbid(format!("job {id} requires itself"));
    }
    if !others.is_sorted_by(|one, next| one.job < next.job) {
        return forbid(format!("job {id} requires the same job twice, or out of order"));
    }
    Ok(())
}

/// Checks that something is to be unfolded.
pub(super) fn unfolded(array: JobId, count: u64) -> Result<(), Refusal> {
    if count == 0 { forbid(format!("array {array}: nothing is to be unfolded")) } else { Ok(()) }
}

/// The refusal of unfolding where nothing is folded.
pub(super) fn nothing_to_unfold(array: JobId) -> Refusal {
    Refusal::Invariant(format!("array {array} has nothing to unfold"))
}

/// Checks where elements go that are written down as one.
pub(super) fn fold_moved(array: JobId, from: State, to: State) -> Result<(), Refusal> {
    let rests = |state| matches!(state, State::Queued | State::Held | State::Cancelled);
    if !rests(from) || !rests(to) {
        return forbid(format!("array {array}: elements go from {from} to {to} one by one"));
    }
    way(array, from, to)
}

/// The refusal of a change to elements that are not written down as one any more, or not so.
pub(super) fn folded_otherwise(folded: Folded) -> Refusal {
    let Folded { array, first, .. } = folded;
    Refusal::Invariant(format!("array {array}: what is folded from {first} on has changed"))
}

/// Checks the class that an attempt runs as.
pub(super) fn started(job: JobId, class: Class) -> Result<(), Refusal> {
    if class == Class::Auto {
        return forbid(format!("job {job}: an attempt runs as io, cpu or blocking, never as auto"));
    }
    Ok(())
}

/// Checks what is said of a job that ran while the daemon died.
pub(super) fn suspected(job: JobId, suspicion: Suspicion) -> Result<(), Refusal> {
    let Suspicion { crashes, alone } = suspicion;
    if crashes == 0 || alone > crashes {
        return forbid(format!("job {job}: {alone} of {crashes} crashes can't be"));
    }
    Ok(())
}

/// Checks where a job goes when its attempt has ended.
pub(super) fn ended(job: JobId, next: State, due: Option<Deadline>) -> Result<(), Refusal> {
    way(job, State::Running, next)?;
    timed(job, next, due)
}

/// Checks where a job goes that is not running.
pub(super) fn moved(
    job: JobId,
    from: State,
    to: State,
    due: Option<Deadline>,
) -> Result<(), Refusal> {
    if from == State::Running {
        return forbid(format!("job {job}: a running job moves only when its attempt ends"));
    }
    if to == State::Running {
        return forbid(format!("job {job}: a job runs only by starting an attempt"));
    }
    way(job, from, to)?;
    timed(job, to, due)
}

/// Checks where an edit leaves a job, and what it asks for.
pub(super) fn edited(edited: &Edited) -> Result<(), Refusal> {
    let &Edited { job, from, to, not_before, .. } = edited;
    if !from.may_be_edited_into(to) {
        return forbid(format!("job {job}: no edit makes a {from} job {to}"));
    }
    if edited.spec.cpus == 0 {
        return forbid(format!("job {job} takes no core permit"));
    }
    if from == State::Running && (edited.requirements.is_some() || edited.turn.is_some()) {
        return forbid(format!("job {job} runs: it is too late for what it waits for"));
    }
    if let Some(others) = &edited.requirements {
        requires(job, to, others)?;
    }
    timed(job, to, not_before)
}

/// Checks the settings of a queue.
pub(super) fn queue_set(queue: &QueueRecord) -> Result<(), Refusal> {
    if queue.weight == 0 {
        return forbid(format!("queue {:?}: a weight is 1 or more", queue.name));
    }
    Ok(())
}

/// Checks that a turn of a schedule holds together.
pub(super) fn turned(turn: &TurnTaken) -> Result<(), Refusal> {
    let id = turn.schedule;
    if let Some(job) = &turn.job {
        if job.run.as_ref().is_none_or(|run| run.schedule != id) {
            return forbid(format!("job {} is no run of schedule {id}", job.id));
        }
        if turn.progress.last != Some(job.id) {
            return forbid(format!(
                "the latest run of schedule {id} would not be its job {}",
                job.id
            ));
        }
    }
    Ok(())
}

/// The refusal of a turn that does not follow the one that was.
pub(super) fn turn_taken(id: ScheduleId, had: u64, turn: u64) -> Refusal {
    Refusal::Invariant(format!("schedule {id} had {had} turns: number {turn} is not the next"))
}

/// The refusal of a removal that names a job which is not final.
pub(super) fn unfinished(job: JobId, state: State) -> Refusal {
    Refusal::Invariant(format!("job {job} is {state}: only finished jobs can be removed"))
}

/// The refusal of a start whose number does not follow the attempts that were.
pub(super) fn out_of_turn(job: JobId, attempt: u32, had: u32) -> Refusal {
    Refusal::Invariant(format!("job {job} had {had} attempts: number {attempt} is not the next"))
}

fn way(job: JobId, from: State, to: State) -> Result<(), Refusal> {
    from.become_(to).map(drop).or_else(|error| forbid(format!("job {job}: {error}")))
}

fn timed(job: JobId, state: State, due: Option<Deadline>) -> Result<(), Refusal> {
    let may = matches!(state, State::Scheduled | State::Held | State::Waiting);
    match (state == State::Scheduled, due.is_some()) {
        (true, false) => forbid(format!("job {job} would be scheduled for no time at all")),
        (false, true) if !may => {
            forbid(format!("job {job} is {state}: only jobs that wait have a time"))
        }
        _ => Ok(()),
    }
}

fn forbid<T>(what: String) -> Result<T, Refusal> {
    Err(Refusal::Invariant(what))
}
