//! Elements of long arrays that are changed as one: held, released, cancelled, run again, forgotten.

use super::super::clock;
use super::super::event::{Answer, JobChange};
use super::super::happening::Happening;
use super::super::requests::RequestId;
use super::unfold::UNFOLDED_AT_ONCE;
use super::{Control, Then, submit};
use crate::job::{Change, Folded, JobId, State};
use crate::protocol::{ChangeReply, Error};
use crate::scheduler::{Action, Decline, FoldedEntry, Input};
use crate::store::{FoldedElements, Refusal};

impl Control {
    /// Asks the scheduler for the same change of what is folded of each array.
    pub(super) fn on_change_folded(
        &mut self,
        change: &JobChange,
        arrays: Vec<JobId>,
        answer: Answer<ChangeReply>,
    ) {
        let request = self.requests.open(arrays.len(), answer);
        for array in arrays {
            self.change_folded(request, change, array);
        }
    }

    fn change_folded(&mut self, request: RequestId, change: &JobChange, array: JobId) {
        let (to, reason) = match change.clone() {
            JobChange::Cancel(reason) => (State::Cancelled, reason),
            JobChange::Hold(reason) => (State::Held, reason),
            JobChange::Release => (State::Queued, None),
            // What is edited was made a job of its own before.
            JobChange::Edit(_) => return self.requests.nothing_folded(request),
        };
        let seen = self.state.actions.len();
        self.step(Input::MoveFolded { array, to, reason });
        let declined = self.state.actions[seen..]
            .iter()
            .position(|action| matches!(action, Action::Declined { job, .. } if *job == array));
        let why = declined.map(|at| self.state.actions.remove(seen + at));
        let later = |why| match why {
            Decline::Busy => true,
            // A reader sees a commit a moment before this loop does.
            Decline::Unknown => {
                self.is_entering(array) || self.state.folds_reviving.contains(&array)
            }
            _ => false,
        };
        match (why, self.scheduler.folded(array)) {
            (Some(Action::Declined { why, .. }), _) if later(why) => {
                self.state.folds_deferred.push((request, change.clone(), array));
            }
            (Some(Action::Declined { why: Decline::State(state), .. }), Some(folded)) => {
                let why = (state != to || to == State::Queued)
                    .then(|| format!("it is {state} and can't be {}", change.done()));
                self.requests.folded_one(request, folded, why);
            }
            (None, Some(folded)) => self.requests.await_job(request, folded.first),
            // All of them have become jobs of their own meanwhile.
            _ => self.requests.nothing_folded(request),
        }
    }

    /// Asks again for what met a change on its way to the disk.
    pub(super) fn ask_folds_deferred(&mut self) {
        for (request, change, array) in std::mem::take(&mut self.state.folds_deferred) {
            self.change_folded(request, &change, array);
        }
    }

    /// Has elements that ended as one run again.
    pub(super) fn on_retry_folded(
        &mut self,
        folds: Vec<FoldedElements>,
        answer: Answer<ChangeReply>,
    ) {
        if let Some(refusal) = self.refuses_jobs() {
            // The session may have gone.
            let _ = answer.send(Err(refusal));
            return;
        }
        let request = self.requests.open(folds.len(), answer);
        for elements in folds {
            let folded = elements.folded();
            let (from, to, at) = (elements.first.state, State::Queued, clock::now().wall);
            self.state.folds_reviving.insert(folded.array);
            let change = Change::FoldMoved { folded, from, to, reason: None, at };
            self.write(change, Then::Folded(request, Box::new(elements)));
        }
    }

    /// Forgets elements that ended as one.
    pub(super) fn on_remove_folded(
        &mut self,
        folds: Vec<FoldedElements>,
        answer: Answer<ChangeReply>,
    ) {
        let request = self.requests.open(folds.len(), answer);
        for elements in folds {
            let change = Change::FoldRemoved { folded: elements.folded() };
            self.write(change, Then::Folded(request, Box::new(elements)));
        }
    }

    /// Makes jobs of their own of the next elements of those that ended as one.
    pub(super) fn on_unfold_ended(
        &mut self,
        elements: Box<FoldedElements>,
        answer: Answer<ChangeReply>,
    ) {
        let request = self.requests.open(1, answer);
        let change = Change::EndedUnfolded { folded: elements.folded(), count: UNFOLDED_AT_ONCE };
        self.write(change, Then::Folded(request, elements));
    }

    /// What was asked of elements that had ended as one is written down, or was refused: then they are not
    /// these any more.
    pub(super) fn folded_settled(
        &mut self,
        request: RequestId,
        elements: &FoldedElements,
        change: &Change,
        answer: &Result<(), Refusal>,
    ) {
        let folded = elements.folded();
        self.state.folds_reviving.remove(&folded.array);
        if answer.is_err() {
            let why = "others changed it at the same time".to_owned();
            return self.requests.folded_one(request, folded, Some(why));
        }
        if matches!(change, Change::FoldMoved { .. }) {
            let spec = &elements.first.spec;
            let demand = self.demand(&spec.kind, spec.class, spec.cpus);
            let first = submit::revived(&elements.first, demand);
            let at_once = UNFOLDED_AT_ONCE;
            self.enter_folded(FoldedEntry { first, fold: elements.fold, at_once });
        }
        if !matches!(change, Change::EndedUnfolded { .. }) {
            self.tell(|| Happening::of(change, Some(elements.first.owner), None));
        }
        self.requests.folded_one(request, folded, None);
    }

    /// What the scheduler wanted of folded elements is written down, or was refused.
    pub(super) fn folded_moved(&mut self, folded: Folded, answer: &Result<(), Refusal>) {
        let why = answer.as_ref().err().map(ToString::to_string);
        self.requests.folded_changed(folded, why.as_deref());
    }

    /// Gives up on what met a change that can't be written for now.
    pub(super) fn fail_folds_deferred(&mut self, error: &Error) {
        for (request, ..) in std::mem::take(&mut self.state.folds_deferred) {
            self.requests.fail(request, error);
        }
    }
}
