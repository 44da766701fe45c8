//! What has no row of its own in a page: elements of arrays that are written down as one, told as the
//! jobs they will be, and arrays told as one job.

use super::{Filter, Page};
use crate::job::{Fold, Job, JobId};

/// Elements that are written down as one.
#[derive(Clone, Debug)]
pub(super) struct Folded {
    /// The first of them, as it will be.
    pub(super) first: Job,
    pub(super) fold: Fold,
}

impl Folded {
    pub(super) fn last(&self) -> JobId {
        self.first.id.after(self.fold.count - 1)
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

    /// What a page finds among them, `latest` being the submission that is meant by the last one.
    fn page(&self, filter: &Filter, page: Page, latest: Option<JobId>) -> Vec<Job> {
        if filter.last && latest != Some(self.first.submission) {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut job = self.first.clone();
        for offset in 0..self.fold.count {
            let offset = if page.newest_first { self.fold.count - 1 - offset } else { offset };
            let id = self.first.id.after(offset);
            if page.after.is_some_and(|after| !page.goes_on(after, id)) {
                continue;
            }
            self.go_to(&mut job, id);
            if filter.fits(&job) {
                found.push(job.clone());
            }
            if found.len() >= page.limit as usize {
                break;
            }
        }
        found
    }
}

impl Page {
    /// Whether a job of this id comes behind that one.
    pub(super) fn goes_on(self, after: JobId, id: JobId) -> bool {
        if self.newest_first { id < after } else { id > after }
    }
}

/// A page of the rows that were found and of what is folded.
pub(super) fn merged(
    mut rows: Vec<Job>,
    folds: &[Folded],
    filter: &Filter,
    page: Page,
    latest: Option<JobId>,
) -> Vec<Job> {
    if folds.is_empty() {
        return rows;
    }
    rows.extend(folds.iter().flat_map(|folded| folded.page(filter, page, latest)));
    rows.sort_unstable_by_key(|job| job.id);
    if page.newest_first {
        rows.reverse();
    }
    rows.truncate(page.limit as usize);
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
    let behind = |store: &mut _, array| {
        if page.newest_first { Ok(array) } else { Glimpse::end_of(store, array) }
    };
    let mut after = page.after;
    if let Some(job) = page.after
        && let Some(array) = store.array_of(job)?
    {
        after = Some(behind(store, array)?);
    }
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
                after = Some(behind(store, array)?);
                limit = GLIMPSE;
            }
            None if is_last => break,
            None => limit = limit.saturating_mul(4),
        }
    }
    found.truncate(page.limit as usize);
    Ok(found)
}
