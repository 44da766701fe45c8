//! From a selector to the jobs it means.

use std::collections::HashSet;

use super::super::refuse;
use super::Session;
use crate::job::{JobId, State};
use crate::protocol::{Error, Selector};
use crate::store::{Filter, Reader, Selected};

/// Outcomes that can stand where a state is asked for.
const OUTCOMES: [&str; 3] = ["timed_out", "interrupted", "output_limit"];

/// The largest index that a store can hold.
pub(super) const LAST_INDEX: u64 = i64::MAX.cast_unsigned();

/// The states that a verb is about when its selector names no single jobs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Usual {
    /// Jobs that have not ended.
    Unfinished,
    /// Jobs held by hand.
    Held,
    /// Jobs that ended badly.
    Failed,
    /// Jobs that have ended.
    Final,
    /// All jobs.
    Any,
}

impl Usual {
    fn states(self) -> Vec<State> {
        let all = State::ALL.into_iter();
        match self {
            Self::Unfinished => all.filter(|state| !state.is_final()).collect(),
            Self::Held => vec![State::Held],
            Self::Failed => vec![State::Failed, State::Cancelled, State::Skipped],
            Self::Final => all.filter(|state| state.is_final()).collect(),
            Self::Any => Vec::new(),
        }
    }
}

impl Session {
    /// The jobs that the selector means; ids of which none is there are an error.
    pub(super) async fn select(
        &self,
        selector: &Selector,
        usual: Usual,
    ) -> Result<Vec<Selected>, Error> {
        let found = self.find(selector, usual).await?;
        if found.is_empty() {
            self.some_are_there(selector).await?;
        }
        Ok(found)
    }

    /// The jobs that the selector means, perhaps none; a single id that is not there is an error.
    pub(super) async fn find(
        &self,
        selector: &Selector,
        usual: Usual,
    ) -> Result<Vec<Selected>, Error> {
        some_are_named(selector)?;
        let filter = self.filter(selector, usual)?;
        self.find_beside(selector, filter, &[]).await
    }

    /// The jobs that the filter of a selector means, but for what is folded of these arrays; a single id that
    /// is not there is an error.
    pub(super) async fn find_beside(
        &self,
        selector: &Selector,
        filter: Filter,
        arrays: &[JobId],
    ) -> Result<Vec<Selected>, Error> {
        self.unfold_named(&filter, arrays).await?;
        let found = self.select_unfolded(filter, arrays).await?;
        let array = |job: &Selected| Some(job.place?.array);
        let ids = found.iter().map(|job| job.id).chain(found.iter().filter_map(array));
        let there: HashSet<JobId> = ids.chain(arrays.iter().copied()).collect();
        self.all_are_there(selector, &there).await?;
        Ok(found)
    }

    /// A range takes what exists; one in which nothing exists at all is an error, like a single id.
    pub(super) async fn some_are_there(&self, selector: &Selector) -> Result<(), Error> {
        let absent = match (selector.ids.first(), selector.elements.first()) {
            (Some(range), _) => refuse::no_such_job(range.first),
            (None, Some(range)) => refuse::no_such_element(range),
            (None, None) => return Ok(()),
        };
        let named = Selector {
            ids: selector.ids.clone(),
            elements: selector.elements.clone(),
            all_users: selector.all_users,
            ..Selector::default()
        };
        let filter = self.filter(&named, Usual::Any)?;
        let found = self.hub.readers.query(move |reader| reader.select(&filter)).await?;
        if found.is_empty() { Err(absent) } else { Ok(()) }
    }

    /// A single id that is not among those found is an error, unless it was narrowed out.
    pub(super) async fn all_are_there(
        &self,
        selector: &Selector,
        found: &HashSet<JobId>,
    ) -> Result<(), Error> {
        let single = selector.ids.iter().filter(|range| range.first == range.last);
        for id in single.map(|range| range.first).filter(|id| !found.contains(id)) {
            self.explain_absence(selector, id).await?;
        }
        Ok(())
    }

    /// A single id that was not found is an error, unless the job is there and was narrowed out.
    async fn explain_absence(&self, selector: &Selector, id: JobId) -> Result<(), Error> {
        let all = Selector { all_users: selector.all_users, ..Selector::default() };
        let all = self.filter(&all, Usual::Any)?;
        // An array is there as long as one of its elements is.
        let elements = vec![(id, 0, LAST_INDEX)];
        let filter = Filter { ids: vec![(id, id)], elements, ..all };
        let read = move |reader: &mut dyn Reader| {
            Ok(!reader.select(&filter)?.is_empty() || !reader.folds(&filter)?.is_empty())
        };
        let is_there = self.hub.readers.query(read).await?;
        if is_there { Ok(()) } else { Err(refuse::no_such_job(id)) }
    }

    /// The filter that a selector means.
    pub(super) fn filter(&self, selector: &Selector, usual: Usual) -> Result<Filter, Error> {
        if selector.all_users {
            self.admins_only("seeing and changing jobs of other users")?;
        }
        let mut filter = Filter {
            ids: selector.ids.iter().map(|range| (range.first, range.last)).collect(),
            elements: selector
                .elements
                .iter()
                .map(|range| (range.array, range.first, range.last))
                .collect(),
            owner: (!selector.all_users).then_some(self.uid),
            last: selector.last,
            queues: selector.queues.clone(),
            names: selector.names.clone(),
            kinds: selector.kinds.clone(),
            schedules: selector.schedules.clone(),
            ..Filter::default()
        };
        // An array goes by the id of its first element: that id alone means all of it.
        let single = selector.ids.iter().filter(|range| range.first == range.last);
        filter.elements.extend(single.map(|range| (range.first, 0, LAST_INDEX)));
        for word in &selector.states {
            add_state(&mut filter, word)?;
        }
        let names_jobs = !filter.ids.is_empty() || !filter.elements.is_empty() || filter.last;
        if selector.all && names_jobs {
            (filter.ids, filter.elements, filter.last) = (Vec::new(), Vec::new(), false);
        }
        if selector.states.is_empty() && (selector.all || !names_jobs) {
            filter.states = usual.states();
        }
        Ok(filter)
    }
}

/// A selector that names nothing is a mistake of whoever wrote it.
pub(super) fn some_are_named(selector: &Selector) -> Result<(), Error> {
    if !selector.is_empty() {
        return Ok(());
    }
    let message = "no jobs were named: give ids, last or all, or narrow by state, queue or name";
    Err(Error::InvalidValue { field: "jobs".into(), message: message.into() })
}

fn add_state(filter: &mut Filter, word: &str) -> Result<(), Error> {
    if OUTCOMES.contains(&word) {
        filter.outcomes.push(word.to_owned());
        return Ok(());
    }
    let state = word.parse().map_err(|error: crate::job::UnknownName| Error::InvalidValue {
        field: "states".to_owned(),
        message: format!("{error}, {}", OUTCOMES.join(", ")),
    })?;
    filter.states.push(state);
    Ok(())
}
