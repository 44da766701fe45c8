//! Changing jobs that are there already.

use std::collections::HashSet;

use super::super::clock;
use super::super::event::{Edition, Endings, Event, NewBegin};
use super::Control;
use crate::job::{Edited, JobId};
use crate::scheduler::{Begin, Decline, Input, Misplaced, Revision};

impl Control {
    /// What the scheduler is asked to make of one of the jobs.
    pub(super) fn revision(&self, edition: &Edition, job: JobId) -> Option<Box<Revision>> {
        let work = edition.works.get(&job)?;
        let spec = &work.spec;
        Some(Box::new(Revision {
            edits: work.edits,
            demand: self.demand(&spec.kind, spec.class, spec.cpus),
            place: work.place,
            begin: match edition.begin {
                None => Begin::Kept,
                Some(NewBegin::Now) => Begin::Now,
                Some(NewBegin::Later(begin)) => Begin::NotBefore(begin.deadline(clock::now())),
            },
            requires: edition.requires.clone(),
            turn: edition.turn,
            later: edition.later,
            spec: std::sync::Arc::clone(spec),
            context: std::sync::Arc::clone(&work.context),
        }))
    }

    /// An edit is written down: the scheduler is told once it is known how those ended that the job
    /// requires from now on. Until then the job can't start.
    pub(super) fn edited(&mut self, edited: Box<Edited>, endings: &Endings) {
        // The work that was kept at hand is the old one.
        self.forget_work(edited.job);
        let mut requires =
            edited.requirements.as_ref().map(super::dependencies::unknown).unwrap_or_default();
        let unknown = self.fill_in(requires.iter_mut(), &HashSet::new(), endings);
        if unknown.is_empty() {
            self.step(Input::Edited { edited, requires });
            return self.ask_deferred();
        }
        self.look_up(unknown, |endings| Event::KnownEdit { edited, endings });
    }
}

/// Why a job could not be edited, for people.
pub(super) fn declined(job: JobId, why: Decline) -> Option<String> {
    Some(match why {
        Decline::State(crate::job::State::Running) => format!(
            "it runs: only its name, priority, retries, backoff, retry-on, timeout and grace can still be edited, for what follows this attempt; for the rest `{} cancel {job}` and submit it anew",
            crate::NAME
        ),
        Decline::Circle(other) if other == job => "it would wait for itself".to_owned(),
        Decline::Circle(other) => format!("it would wait for itself, because job {other} waits for it"),
        Decline::Tangled => {
            "too many jobs wait for each other behind what it is to wait for: let it wait for a later one of them".to_owned()
        }
        Decline::Misplaced(why) => misplaced(why),
        Decline::Unknown | Decline::State(_) | Decline::Busy => return None,
    })
}

fn misplaced(why: Misplaced) -> String {
    match why {
        Misplaced::Itself => "it can't stand beside itself: name another job".to_owned(),
        Misplaced::Gone(other) => {
            format!("job {other} does not wait for its turn: it runs or has ended")
        }
        Misplaced::OtherQueue(other) => {
            format!("job {other} stands in another queue: give it the same --queue first")
        }
        Misplaced::OtherPriority(other) => {
            format!("job {other} has another priority: give it the same --priority first")
        }
        Misplaced::NoRoom(other) => format!(
            "too many jobs were put beside job {other} one between the others: use --first or --last"
        ),
        Misplaced::TooDeep => {
            "the first of its priority stands behind too many others: name it, as in --before 12"
                .to_owned()
        }
    }
}
