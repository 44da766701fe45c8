//! Arrays changed as one: what is folded of them without making jobs of it, and their elements told by
//! counts.

use std::collections::{BTreeMap, HashMap};

use super::Session;
use crate::job::{JobId, State};
use crate::protocol::{
    ArrayChange, ChangeReply, Declined, DeclinedElements, Error, MAX_DECLINED_TOLD, Selector,
};
use crate::store::{Filter, FoldedElements, Selected};

/// The most reasons for which elements of one array were passed over that are told.
const REASONS: usize = 16;

/// What is folded of the arrays of which a filter means all of that.
#[derive(Debug, Default)]
pub(super) struct Folds {
    /// It has not ended.
    pub(super) live: Vec<FoldedElements>,
    /// It has.
    pub(super) ended: Vec<FoldedElements>,
}

impl Folds {
    /// The arrays.
    pub(super) fn arrays(&self) -> Vec<JobId> {
        self.live.iter().chain(&self.ended).map(|elements| elements.folded().array).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty() && self.ended.is_empty()
    }
}

impl Session {
    /// What is folded of the arrays of which the filter means all of that.
    pub(super) async fn folds(&self, filter: &Filter) -> Result<Folds, Error> {
        let filter = filter.clone();
        let all = self.hub.readers.query(move |reader| reader.folds(&filter)).await?;
        let (ended, live) = all.into_iter().partition(|elements| elements.first.state.is_final());
        Ok(Folds { live, ended })
    }
}

/// Adds that these folded elements were passed over.
pub(super) fn pass_over(reply: &mut ChangeReply, folds: &[FoldedElements], why: &str) {
    for elements in folds {
        let folded = elements.folded();
        let why = format!("it is {} and {why}", elements.first.state);
        let reasons = vec![DeclinedElements { why, count: folded.count, ids: vec![folded.first] }];
        reply.arrays.push(ArrayChange {
            array: folded.array,
            changed: 0,
            declined: folded.count,
            reasons,
        });
    }
}

/// The reply with elements that were not named one by one told by their arrays.
pub(super) fn grouped(selector: &Selector, found: &[Selected], reply: ChangeReply) -> ChangeReply {
    let member = |job: &Selected| Some((job.id, member_of(selector, job)?));
    let arrays: HashMap<JobId, JobId> = found.iter().filter_map(member).collect();
    let ChangeReply { changed, declined, arrays: folded } = reply;
    let mut told = ChangeReply::default();
    let mut groups: BTreeMap<JobId, Group> = BTreeMap::new();
    for change in folded {
        let group = groups.entry(change.array).or_default();
        group.changed += change.changed;
        for reason in change.reasons {
            group.decline(reason.why, reason.count, &reason.ids);
        }
    }
    for id in changed {
        match arrays.get(&id) {
            Some(array) => groups.entry(*array).or_default().changed += 1,
            None => told.changed.push(id),
        }
    }
    for Declined { id, state, why } in declined {
        match arrays.get(&id) {
            Some(array) => groups.entry(*array).or_default().decline(why, 1, &[id]),
            None => told.declined.push(Declined { id, state, why }),
        }
    }
    told.arrays = groups.into_iter().map(|(array, group)| group.told(array)).collect();
    told
}

/// The array by which an element is told: none for what is no element or was named by itself.
pub(super) fn member_of(selector: &Selector, job: &Selected) -> Option<JobId> {
    let place = job.place?;
    let by_id = selector
        .ids
        .iter()
        .any(|range| range.first == range.last && range.first == job.id && job.id != place.array);
    let by_index = selector.elements.iter().any(|range| {
        range.first == range.last && (range.array, range.first) == (place.array, place.index)
    });
    (!by_id && !by_index).then_some(place.array)
}

/// Whether a state is one that elements have which stand as one.
pub(super) fn may_be_folded(states: &[State], filter: &Filter) -> bool {
    let any_state = filter.states.is_empty() && filter.outcomes.is_empty();
    any_state || states.iter().any(|state| filter.states.contains(state))
}

#[derive(Default)]
struct Group {
    changed: u64,
    declined: u64,
    ids_told: usize,
    reasons: Vec<DeclinedElements>,
}

impl Group {
    fn decline(&mut self, why: String, count: u64, ids: &[JobId]) {
        self.declined += count;
        let known = self.reasons.iter().position(|reason| reason.why == why);
        let at = match known {
            Some(at) => at,
            None if self.reasons.len() == REASONS => return,
            None => {
                self.reasons.push(DeclinedElements { why, count: 0, ids: Vec::new() });
                self.reasons.len() - 1
            }
        };
        self.reasons[at].count += count;
        let room = MAX_DECLINED_TOLD.saturating_sub(self.ids_told);
        let told = ids.len().min(room);
        self.reasons[at].ids.extend(&ids[..told]);
        self.ids_told += told;
    }

    fn told(self, array: JobId) -> ArrayChange {
        let Self { changed, declined, reasons, .. } = self;
        ArrayChange { array, changed, declined, reasons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::ArrayPlace;

    fn id(number: u64) -> JobId {
        JobId::new(number).unwrap()
    }

    fn element(number: u64) -> Selected {
        Selected {
            id: id(number),
            owner: 0,
            place: Some(ArrayPlace { array: id(10), index: number - 10 }),
            state: State::Queued,
            outcome: None,
            reason: None,
        }
    }

    fn decline(number: u64, why: &str) -> Declined {
        Declined { id: id(number), state: None, why: why.to_owned() }
    }

    #[test]
    fn elements_are_told_by_counts_unless_they_were_named_one_by_one() {
        let mut selector = Selector::default();
        selector.add("10,12,10_4").unwrap();
        let mut found: Vec<Selected> = (10..20).map(element).collect();
        found.push(Selected { place: None, ..element(30) });
        let reply = ChangeReply {
            changed: [10, 11, 12, 13, 30].map(id).to_vec(),
            declined: vec![decline(14, "a"), decline(15, "a"), decline(16, "b"), decline(17, "a")],
            arrays: Vec::new(),
        };
        let told = grouped(&selector, &found, reply);
        assert_eq!(told.changed, [12, 30].map(id), "one named by its own id, and one of no array");
        assert_eq!(told.declined, [decline(14, "a")], "named by its index");
        let reason = |why: &str, ids: &[u64]| DeclinedElements {
            why: why.to_owned(),
            count: ids.len() as u64,
            ids: ids.iter().map(|number| id(*number)).collect(),
        };
        let reasons = vec![reason("a", &[15, 17]), reason("b", &[16])];
        assert_eq!(told.arrays, [ArrayChange { array: id(10), changed: 3, declined: 3, reasons }]);
    }

    #[test]
    fn what_is_told_of_those_that_were_passed_over_is_bounded() {
        let mut selector = Selector::default();
        selector.add("10").unwrap();
        let found: Vec<Selected> = (10..2_010).map(element).collect();
        let why = |number: u64| if number < 1_000 { "a".to_owned() } else { number.to_string() };
        let declined = (10..2_010).map(|number| decline(number, &why(number))).collect();
        let told = grouped(&selector, &found, ChangeReply { declined, ..ChangeReply::default() });
        let [change] = told.arrays.as_slice() else { panic!("{told:?}") };
        assert_eq!((change.declined, change.reasons.len()), (2_000, REASONS));
        assert_eq!(change.reasons[0].count, 990);
        let ids = change.reasons.iter().map(|reason| reason.ids.len()).sum::<usize>();
        assert_eq!(ids, MAX_DECLINED_TOLD);
    }
}
