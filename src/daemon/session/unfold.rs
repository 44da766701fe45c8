//! Arrays: the elements that a submission means, and those of folded arrays that a call names.

use std::sync::Arc;

use super::super::control::UNFOLDED_AT_ONCE;
use super::super::event::{Ask, Draft, FoldedRange};
use super::Session;
use super::arrays::may_be_folded;
use crate::job::{Fold, JobId, State};
use crate::protocol::{Array, Error, MAX_ARRAY, MAX_WHOLE_ARRAY};
use crate::store::{Filter, FoldedElements, Reader, Selected};

/// Makes the elements of an array of its one draft: all of them, or those that are written down one
/// by one and what is folded behind them.
pub(super) fn unfold(drafts: &mut Vec<Draft>, array: Array) -> Result<Option<Fold>, Error> {
    let invalid = |message: String| Error::InvalidValue { field: "array".to_owned(), message };
    let Array { first, last, step, at_once } = array;
    if step == 0 || first > last {
        return Err(invalid(format!(
            "{first}-{last}:{step} holds no indexes: write FIRST-LAST or FIRST-LAST:STEP"
        )));
    }
    let count = (last - first) / step;
    if count >= MAX_ARRAY {
        return Err(invalid(format!("an array has at most {MAX_ARRAY} elements")));
    }
    let count = count + 1;
    if at_once == Some(0) {
        return Err(invalid("at_once 0 would let no element run: give 1 or more".to_owned()));
    }
    let Some(draft) = drafts.first_mut() else { return Ok(None) };
    if at_once.is_some() {
        let spec = Arc::make_mut(&mut draft.spec);
        spec.limits.get_or_insert_default().array = at_once;
    }
    let waits = draft.begin.is_some() || draft.requires_something();
    if waits && count > MAX_WHOLE_ARRAY {
        return Err(invalid(format!(
            "an array whose elements wait for a time or for other jobs has at most {MAX_WHOLE_ARRAY} elements: hold it instead, or submit it when it may start"
        )));
    }
    let whole = if waits { count } else { count.min(UNFOLDED_AT_ONCE) };
    let draft = draft.clone();
    let element = |number: u64| Draft { index: Some(first + number * step), ..draft.clone() };
    *drafts = (0..whole).map(element).collect();
    let folded = count - whole;
    Ok((folded > 0).then_some(Fold { count: folded, step }))
}

impl Session {
    /// Sees to it that all elements that have not ended and that the filter can find are jobs of their own,
    /// but for those of these arrays.
    pub(super) async fn unfold_named(
        &self,
        filter: &Filter,
        but_of: &[JobId],
    ) -> Result<(), Error> {
        let wanted: Vec<(JobId, JobId)> = {
            let folds = self.hub.folds.borrow();
            let folds = folds.iter().filter(|folded| !but_of.contains(&folded.array));
            let waits = [State::Queued, State::Held];
            let named = |folded: &FoldedRange| Some((folded.array, named(folded, filter, &waits)?));
            folds.filter_map(named).collect()
        };
        if wanted.is_empty() {
            return Ok(());
        }
        self.hub.request(|answer| Ask::Unfold(wanted, answer)).await
    }

    /// Sees to it that this job is one of its own.
    pub(super) async fn unfold_job(&self, id: JobId) -> Result<(), Error> {
        self.unfold_named(&Filter { ids: vec![(id, id)], ..Filter::default() }, &[]).await
    }

    /// The jobs of their own that the filter finds. What ended as one becomes that if the filter can find it,
    /// but for the elements of these arrays.
    pub(super) async fn select_unfolded(
        &self,
        filter: Filter,
        but_of: &[JobId],
    ) -> Result<Vec<Selected>, Error> {
        let mut tried: Vec<JobId> = but_of.to_vec();
        loop {
            let (look, tried_already) = (filter.clone(), tried.clone());
            let read = move |reader: &mut dyn Reader| {
                let folds = reader.folds(&Filter::default())?;
                let named = folds.into_iter().find_map(|elements| {
                    let range = FoldedRange::told(&elements);
                    let ended = elements.first.state.is_final();
                    let wanted = ended && !tried_already.contains(&range.array);
                    let through = named(&range, &look, &[elements.first.state]);
                    through.filter(|_| wanted).map(|through| (elements, through))
                });
                match named {
                    Some(named) => Ok(Err(named)),
                    None => reader.select(&look).map(Ok),
                }
            };
            match self.hub.readers.query(read).await? {
                Ok(found) => return Ok(found),
                Err((elements, through)) => {
                    tried.push(elements.folded().array);
                    self.unfold_ended(elements, through).await?;
                }
            }
        }
    }

    /// Makes jobs of their own of elements that ended as one, up to an id: some at a time, so that others are
    /// not kept waiting for long.
    async fn unfold_ended(
        &self,
        mut elements: FoldedElements,
        through: JobId,
    ) -> Result<(), Error> {
        while elements.first.id <= through {
            let part = Box::new(elements.clone());
            let reply = self.hub.request(|answer| Ask::UnfoldEnded(part, answer)).await?;
            let changed_meanwhile = reply.arrays.iter().any(|change| change.declined > 0);
            let last = elements.last();
            if changed_meanwhile || last <= elements.first.id.after(UNFOLDED_AT_ONCE - 1) {
                break;
            }
            elements.first.id = elements.first.id.after(UNFOLDED_AT_ONCE);
            elements.fold.count -= UNFOLDED_AT_ONCE;
            if let Some(place) = &mut elements.first.place {
                place.index += UNFOLDED_AT_ONCE * elements.fold.step;
            }
        }
        Ok(())
    }
}

/// The last of the folded elements that a filter can find.
fn named(folded: &FoldedRange, filter: &Filter, states: &[State]) -> Option<JobId> {
    let by_state = may_be_folded(states, filter);
    let by_owner = filter.owner.is_none_or(|owner| owner == folded.owner);
    let by_time = filter.finished_before.is_none() && filter.finished_since.is_none();
    if !by_state || !by_owner || !by_time {
        return None;
    }
    if filter.ids.is_empty() && filter.elements.is_empty() {
        return Some(folded.last());
    }
    let by_id =
        filter.ids.iter().filter(|(from, to)| *from <= folded.last() && *to >= folded.first);
    let by_id = by_id.map(|(_, to)| (*to).min(folded.last()));
    let by_index = filter.elements.iter().filter(|(array, ..)| *array == folded.array);
    let by_index = by_index.filter_map(|(_, _, to)| folded.through_index(*to));
    by_id.chain(by_index).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            index: None,
            hold: false,
            unique: None,
            begin: None,
            requirements: Arc::default(),
            beside: Vec::new(),
            spec: Arc::default(),
            context: Arc::default(),
        }
    }

    fn array(first: u64, last: u64, step: u64) -> Array {
        Array { first, last, step, at_once: None }
    }

    #[test]
    fn an_array_has_the_indexes_it_says() {
        let indexes = |first, last, step| {
            let mut drafts = vec![draft()];
            unfold(&mut drafts, array(first, last, step))
                .map(|_| drafts.iter().filter_map(|draft| draft.index).collect::<Vec<_>>())
        };
        assert_eq!(indexes(1, 7, 3), Ok(vec![1, 4, 7]));
        assert_eq!(indexes(5, 5, 1), Ok(vec![5]));
        assert!(indexes(5, 4, 1).is_err() && indexes(1, 2, 0).is_err());
        assert!(indexes(0, u64::MAX, 1).is_err());
    }

    #[test]
    fn what_a_long_array_does_not_need_at_once_is_folded() {
        let mut drafts = vec![draft()];
        let fold = unfold(&mut drafts, array(0, 1_999_999, 2)).unwrap().unwrap();
        assert_eq!(drafts.len() as u64 + fold.count, 1_000_000);
        assert_eq!(drafts.len() as u64, UNFOLDED_AT_ONCE);
        let delayed = crate::daemon::event::Begin::In(std::time::Duration::from_secs(60));
        let waits = || vec![Draft { begin: Some(delayed), ..draft() }];
        let mut drafts = waits();
        assert_eq!(unfold(&mut drafts, array(1, MAX_WHOLE_ARRAY, 1)), Ok(None));
        assert_eq!(drafts.len() as u64, MAX_WHOLE_ARRAY);
        assert!(unfold(&mut waits(), array(1, MAX_WHOLE_ARRAY + 1, 1)).is_err());
    }

    #[test]
    fn a_filter_names_no_more_than_it_can_find() {
        let id = |number| JobId::new(number).unwrap();
        let fold = Fold { count: 100, step: 10 };
        let folded = FoldedRange { array: id(1), owner: 7, first: id(11), first_index: 100, fold };
        let all = Filter::default;
        let cases = [
            (all(), Some(110)),
            (Filter { owner: Some(8), ..all() }, None),
            (Filter { states: vec![State::Failed], ..all() }, None),
            (Filter { outcomes: vec!["exit".to_owned()], ..all() }, None),
            (Filter { states: vec![State::Queued], ..all() }, Some(110)),
            (Filter { ids: vec![(id(1), id(10)), (id(111), id(200))], ..all() }, None),
            (Filter { ids: vec![(id(1), id(20)), (id(3), id(3))], ..all() }, Some(20)),
            (Filter { elements: vec![(id(1), 0, 99)], ..all() }, None),
            (Filter { elements: vec![(id(1), 0, 129)], ..all() }, Some(13)),
            (Filter { elements: vec![(id(1), 0, u64::MAX)], ..all() }, Some(110)),
            (Filter { elements: vec![(id(2), 0, u64::MAX)], ..all() }, None),
        ];
        for (filter, expected) in cases {
            assert_eq!(
                named(&folded, &filter, &[State::Queued, State::Held]),
                expected.map(id),
                "{filter:?}"
            );
        }
    }
}
