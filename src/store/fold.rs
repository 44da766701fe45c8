//! What has no row of its own in a page: elements of arrays that are written down as one, told as the
//! jobs they will be, and arrays told as one job.

use std::collections::HashSet;

use super::{Filter, Page};
use crate::job::{Fold, Folded, Job, JobId};

/// Elements that are written down as one.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedElements {
    /// The first of them, as it will be.
    pub first: Job,
    /// How many there are, and how far apart their indexes are.
    pub fold: Fold,
}

impl FoldedElements {
    /// The last of them.
    pub fn last(&self) -> JobId {
        self.first.id.after(self.fold.count - 1)
    }

    /// Which they are.
    pub fn folded(&self) -> Folded {
        let array = self.first.place.map_or(self.first.id, |place| place.array);
        Folded { array, first: self.first.id, count: self.fold.count }
    }

    /// Whether a filter describes all of them, `latest` being the submission that is meant by the last
    /// one.
    pub(super) fn are_meant(&self, filter: &Filter, latest: Option<JobId>) -> bool {
        let by_last = !filter.last || latest == Some(self.first.submission);
        let all = Page { newest_first: false, after: None, limit: u32::MAX, collapse: false };
        by_last
            && filter.describes(&self.first)
            && self.spans(filter, all) == [(0, self.fold.count - 1)]
    }

    /// The index of the last of them.
    pub(super) fn last_index(&self) -> u64 {
        self.first.place.map_or(0, |place| place.index) + self.fold.step * (self.fold.count - 1)
    }

    /// The element of this id, if it is one of them.
    pub(super) fn job(&self, id: JobId) -> Option<Job> {
        (self.first.id..=self.last()).contains(&id).then(|| {
            let mut job = self.first.clone();
            self.go_to(&mut job, id);
            job
        })
    }

    fn go_to(&self, job: &mut Job, id: JobId) {
        job.id = id;
        if let (Some(place), Some(first)) = (&mut job.place, self.first.place) {
            place.index = first.index + self.fold.step * (id.get() - self.first.id.get());
        }
    }

    /// What a page finds among them, `latest` being the submission that is meant by the last one. Costs
    /// what it finds and not how many there are.
    fn page(&self, filter: &Filter, page: Page, latest: Option<JobId>) -> Vec<Job> {
        let by_last = !filter.last || latest == Some(self.first.submission);
        if !by_last || !filter.describes(&self.first) {
            return Vec::new();
        }
        let goes_on = |id: &JobId| page.after.is_none_or(|after| page.goes_on(after, *id));
        let job = |id: JobId| {
            let mut job = self.first.clone();
            self.go_to(&mut job, id);
            job
        };
        let spans = self.spans(filter, page);
        let ids = |(from, to): &(u64, u64)| {
            let (first, newest_first) = (self.first.id, page.newest_first);
            let (from, to) = (*from, *to);
            (from..=to).map(move |n| first.after(if newest_first { to - (n - from) } else { n }))
        };
        let found = spans.iter().flat_map(ids).filter(goes_on);
        found.take(page.limit as usize).map(job).collect()
    }

    /// The elements that a filter names, by their distance from the first: spans that do not meet, in the
    /// order of the page and cut where it begins.
    fn spans(&self, filter: &Filter, page: Page) -> Vec<(u64, u64)> {
        let last = self.fold.count - 1;
        let first = self.first.id.get();
        let begins = page.after.map_or((0, last), |after| {
            let after = after.get();
            if page.newest_first {
                (0, after.saturating_sub(first + 1).min(last))
            } else {
                ((after + 1).saturating_sub(first), last)
            }
        });
        let mut spans = if filter.ids.is_empty() && filter.elements.is_empty() {
            vec![(0, last)]
        } else {
            let ids = filter.ids.iter().filter_map(|(from, to)| {
                let to = to.get().checked_sub(first)?;
                Some((from.get().saturating_sub(first), to))
            });
            let place = self.first.place;
            let own = filter
                .elements
                .iter()
                .filter(|(array, ..)| place.is_some_and(|place| place.array == *array));
            let index = place.map_or(0, |place| place.index);
            let elements = own.filter_map(|(_, from, to)| {
                let to = to.checked_sub(index)? / self.fold.step;
                Some((from.saturating_sub(index).div_ceil(self.fold.step), to))
            });
            ids.chain(elements).collect()
        };
        spans.sort_unstable();
        let mut apart: Vec<(u64, u64)> = Vec::with_capacity(spans.len());
        for (from, to) in spans {
            let (from, to) = (from.max(begins.0), to.min(begins.1));
            match apart.last_mut() {
                _ if from > to => {}
                Some(before) if from <= before.1 => before.1 = before.1.max(to),
                _ => apart.push((from, to)),
            }
        }
        if page.newest_first {
            apart.reverse();
        }
        apart
    }
}

impl Page {
    /// Whether a job of this id comes behind that one.
    pub(super) fn goes_on(self, after: JobId, id: JobId) -> bool {
        if self.newest_first { id < after } else { id > after }
    }
}

/// A page of the rows that were found and of what is folded. Of one with arrays as one job, there is a job
/// of each fold, and the page is not cut yet (see [`collapsed_at_once`]).
pub(super) fn merged(
    mut rows: Vec<Job>,
    folds: &[FoldedElements],
    filter: &Filter,
    page: Page,
    latest: Option<JobId>,
) -> Vec<Job> {
    if folds.is_empty() {
        return rows;
    }
    let limit = if page.collapse { 1 } else { page.limit };
    let folded =
        folds.iter().flat_map(|folded| folded.page(filter, Page { limit, ..page }, latest));
    rows.extend(folded);
    rows.sort_unstable_by_key(|job| job.id);
    if page.newest_first {
        rows.reverse();
    }
    if !page.collapse {
        rows.truncate(page.limit as usize);
    }
    rows
}

/// How many rows are read first, and again behind an array: those of the array itself are passed over.
const GLIMPSE: u32 = 16;

/// What a page with arrays as one job asks of a store.
pub(super) trait Glimpse<E> {
    /// A page with every element.
    fn read(&mut self, page: Page) -> Result<Vec<Job>, E>;
    /// The array that this job is an element of.
    fn array_of(&mut self, job: JobId) -> Result<Option<JobId>, E>;
    /// The last id of an array.
    fn end_of(&mut self, array: JobId) -> Result<JobId, E>;
}

/// A page in which each array is one job, the first of its elements that the page would have. It goes on
/// behind the whole array of the job that it goes on behind.
pub(super) fn collapsed<E>(page: Page, store: &mut impl Glimpse<E>) -> Result<Vec<Job>, E> {
    let mut found: Vec<Job> = Vec::new();
    let mut after = goes_on_behind(page, store)?;
    let mut limit = GLIMPSE;
    while found.len() < page.limit as usize {
        let jobs =
            store.read(Page { after, limit: limit.min(page.limit), collapse: false, ..page })?;
        let is_last = (jobs.len() as u64) < u64::from(limit.min(page.limit));
        let mut met = None;
        for job in jobs {
            after = Some(job.id);
            let array = job.place.map(|place| place.array);
            found.push(job);
            if array.is_some() {
                met = array;
                break;
            }
        }
        match met {
            Some(array) => {
                after = Some(behind(page, array, store)?);
                limit = GLIMPSE;
            }
            None if is_last => break,
            None => limit = limit.saturating_mul(4),
        }
    }
    found.truncate(page.limit as usize);
    Ok(found)
}

/// The same in one look, by a store that finds a job of each array.
pub(super) fn collapsed_at_once<E>(page: Page, store: &mut impl Glimpse<E>) -> Result<Vec<Job>, E> {
    let after = goes_on_behind(page, store)?;
    let mut found = store.read(Page { after, ..page })?;
    let mut arrays = HashSet::new();
    found.retain(|job| job.place.is_none_or(|place| arrays.insert(place.array)));
    found.truncate(page.limit as usize);
    Ok(found)
}

/// Behind which job the page goes on: behind the whole array, if it is an element.
fn goes_on_behind<E>(page: Page, store: &mut impl Glimpse<E>) -> Result<Option<JobId>, E> {
    let Some(job) = page.after else { return Ok(None) };
    match store.array_of(job)? {
        Some(array) => behind(page, array, store).map(Some),
        None => Ok(Some(job)),
    }
}

fn behind<E>(page: Page, array: JobId, store: &mut impl Glimpse<E>) -> Result<JobId, E> {
    if page.newest_first { Ok(array) } else { store.end_of(array) }
}
