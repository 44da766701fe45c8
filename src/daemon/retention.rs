//! Forgetting: finished jobs that have been kept long enough, and the output of removed ones.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::captured::Captured;
use super::event::{Ask, Event};
use super::readers::{ReadError, Readers};
use super::session::Bounds;
use super::{caps, clock};
use crate::job::{JobId, State, WallTime};
use crate::store::{Filter, FoldedElements, Page, Reader, StoreError};

/// How long finished jobs are kept; 0 stands for no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keep {
    /// At most so many days.
    pub(super) days: u32,
    /// At most so many jobs.
    pub(super) jobs: u32,
}

/// How often old jobs are looked for.
const EVERY: Duration = Duration::from_secs(600);
/// The most jobs forgotten in one go, so that other changes are not kept waiting.
const AT_ONCE: u32 = 1_000;
const DAY: i64 = 86_400_000_000;

/// Looks for old jobs now and then, for as long as it is polled.
pub(super) async fn run(
    readers: Readers,
    events: mpsc::Sender<Event>,
    bounds: watch::Receiver<Bounds>,
    captured: Captured,
) {
    loop {
        let keep = bounds.borrow().keep;
        loop {
            match forget_some(&readers, &events, keep).await {
                Ok(0) => break,
                Ok(count) => tracing::info!(count, "forgot jobs that were kept long enough"),
                Err(error) => {
                    tracing::warn!("old jobs could not be looked for: {error}");
                    break;
                }
            }
        }
        let limit = bounds.borrow().output.total_limit_bytes;
        match caps::keep_total(&events, captured.clone(), limit).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "gave up the output of the oldest finished jobs"),
            Err(error) => tracing::warn!("old output could not be given up: {error}"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Forgets the oldest of those that were kept long enough; tells how many.
async fn forget_some(
    readers: &Readers,
    events: &mpsc::Sender<Event>,
    keep: Keep,
) -> Result<usize, ReadError> {
    let now = clock::now().wall;
    let before = WallTime(now.0.saturating_sub(DAY.saturating_mul(keep.days.into())));
    if keep.days > 0 {
        forget_folds(readers, events, before).await?;
    }
    let old = readers
        .query(move |reader| {
            let counts = reader.counts()?;
            let folds = ended_folds(reader, Filter::default())?;
            let ended = counts.iter().filter(|(_, state, _)| state.is_final());
            // What is written down as one takes the space of one.
            let folded = folds.iter().map(|elements| elements.fold.count).sum::<u64>();
            let ended = ended.map(|(_, _, count)| count).sum::<u64>().saturating_sub(folded);
            let surplus = match (keep.jobs, ended) {
                (0, _) => 0,
                (most, ended) => ended.saturating_sub(u64::from(most)),
            };
            let limit = if surplus > 0 { surplus.min(u64::from(AT_ONCE)) } else { AT_ONCE.into() };
            if surplus == 0 && keep.days == 0 {
                return Ok(Vec::new());
            }
            let filter = Filter {
                states: State::ALL.into_iter().filter(|state| state.is_final()).collect(),
                finished_before: (surplus == 0).then_some(before),
                ..Filter::default()
            };
            oldest(reader, &filter, limit as u32, &folds)
        })
        .await?;
    let jobs: Vec<JobId> = old;
    if jobs.is_empty() {
        return Ok(0);
    }
    let (answer, reply) = oneshot::channel();
    let asked = events.send(Event::Asked(Ask::Remove(jobs, answer))).await;
    asked.map_err(|_| ReadError::Ending)?;
    match reply.await {
        Ok(Ok(reply)) => Ok(reply.changed.len()),
        Ok(Err(_)) | Err(_) => Ok(0),
    }
}

/// Forgets elements that ended as one before this moment.
async fn forget_folds(
    readers: &Readers,
    events: &mpsc::Sender<Event>,
    before: WallTime,
) -> Result<(), ReadError> {
    let filter = Filter { finished_before: Some(before), ..Filter::default() };
    let old = readers.query(move |reader| ended_folds(reader, filter)).await?;
    if old.is_empty() {
        return Ok(());
    }
    let (answer, reply) = oneshot::channel();
    let asked = events.send(Event::Asked(Ask::RemoveFolded(old, answer))).await;
    asked.map_err(|_| ReadError::Ending)?;
    // What could not be forgotten now is tried again later.
    let _ = reply.await;
    Ok(())
}

/// The elements that ended as one and that a filter describes.
fn ended_folds(reader: &mut dyn Reader, filter: Filter) -> Result<Vec<FoldedElements>, StoreError> {
    let states = State::ALL.into_iter().filter(|state| state.is_final()).collect();
    reader.folds(&Filter { states, ..filter })
}

/// The oldest jobs of their own that a filter describes.
fn oldest(
    reader: &mut dyn Reader,
    filter: &Filter,
    limit: u32,
    folds: &[FoldedElements],
) -> Result<Vec<JobId>, StoreError> {
    let mut after = None;
    loop {
        let page = Page { newest_first: false, after, limit, collapse: false };
        let found = reader.page(filter, page)?;
        let fold_of = |id: JobId| {
            folds.iter().find(|elements| (elements.first.id..=elements.last()).contains(&id))
        };
        let last = found.last().and_then(|job| fold_of(job.id));
        let jobs: Vec<JobId> =
            found.iter().map(|job| job.id).filter(|id| fold_of(*id).is_none()).collect();
        match last {
            // Nothing but a fold was found: what else is old stands behind it.
            Some(elements) if jobs.is_empty() => after = Some(elements.last()),
            _ => return Ok(jobs),
        }
    }
}

/// Removes the captured output of jobs, off the loop.
pub(super) fn remove_outputs(captured: Captured, jobs: Vec<JobId>) {
    tokio::task::spawn_blocking(move || captured.remove(&jobs));
}
