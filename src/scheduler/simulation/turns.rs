//! The order that users ask for, kept in a book of its own.

use std::collections::BTreeMap;

use super::world::World;
use crate::job::{Came, Change, Edited, JobId, Move, Turn, WallTime};
use crate::scheduler::{Entry, Input};

/// When a job counts as having come, beside which other, and how far from it.
type Stand = (i64, JobId, i64);

/// Where the jobs stand that the scheduler knows, and where those stood that are being moved.
#[derive(Default)]
pub(super) struct Stands {
    now: BTreeMap<JobId, Stand>,
    before: BTreeMap<JobId, Stand>,
    /// When arrays came of which some elements are folded.
    folded: BTreeMap<JobId, i64>,
    /// What was asked for last.
    pub(super) wanted: Option<Move>,
}

impl World {
    fn micros(&self) -> i64 {
        self.now.boot.as_micros() as i64
    }

    fn came(&self, moment: WallTime) -> i64 {
        self.micros() - self.now.wall.since(moment).as_micros() as i64
    }

    fn stand(&self, entry: &Entry) -> Stand {
        match entry.turn {
            Some(Turn { came: Came::At(moment), beside, offset }) => {
                (self.came(moment), beside, offset)
            }
            _ => (self.came(entry.submitted_at), entry.id, 0),
        }
    }

    /// Jobs come in, or an edit has found its end.
    pub(super) fn note_stands(&mut self, input: &Input) {
        match input {
            Input::Submitted(entries) => {
                for entry in entries.iter().filter(|entry| self.scheduler.job(entry.id).is_none()) {
                    let stand = self.stand(entry);
                    self.stands.now.insert(entry.id, stand);
                }
            }
            Input::HandedOver(attempts) => {
                for handed in attempts {
                    let stand = self.stand(&handed.entry);
                    self.stands.now.insert(handed.entry.id, stand);
                }
            }
            Input::Folded(folded) => {
                let array = folded.first.place.expect("an element").array;
                let came = self.came(folded.first.submitted_at);
                self.stands.folded.insert(array, came);
            }
            Input::Committed(Change::Unfolded { array, count }) => {
                let Some(first) = self.scheduler.folded_from(*array) else { return };
                let came = self.stands.folded[array];
                let unfolded = (0..*count).map(|n| first.after(n));
                self.stands.now.extend(unfolded.map(|id| (id, (came, id, 0))));
            }
            Input::Edited { edited, .. } => drop(self.stands.before.remove(&edited.job)),
            Input::Refused(Change::Edited(edited)) => {
                if let Some(old) = self.stands.before.remove(&edited.job) {
                    self.stands.now.insert(edited.job, old);
                }
            }
            _ => {}
        }
    }

    /// Jobs that the scheduler has forgotten stand nowhere.
    pub(super) fn forget_stands(&mut self) {
        let scheduler = &self.scheduler;
        self.stands.now.retain(|job, _| scheduler.job(*job).is_some());
    }

    /// A move is asked for: it has to lead where the user wanted.
    pub(super) fn check_move(&mut self, edited: &Edited) {
        let Some(turn) = edited.turn else { return };
        let wanted = self.stands.wanted.take().expect("a move that was wanted");
        let job = edited.job;
        let born = match turn.came {
            Came::With(other) => self.stands.now[&other].0,
            Came::At(moment) => self.micros() + (moment.0 - self.now.wall.0),
        };
        let stand = (born, turn.beside, turn.offset);
        let others = self.stands.now.iter().filter(|(other, _)| **other != job);
        for (&other, &at) in others {
            assert_ne!(at, stand, "{job} and {other} have one place");
            let rival = &self.disk[&other];
            let same = *rival.job.queue == *edited.spec.queue
                && rival.job.priority == edited.spec.priority;
            match wanted {
                Move::First => {
                    let ahead = at < stand && same && self.is_ready(rival);
                    assert!(!ahead, "{other} is ahead of {job}, which was to be first");
                }
                Move::Last => {
                    assert!(at < stand || !same, "{other} is behind {job}, which was to be last");
                }
                Move::Before(next) => {
                    let next = self.stands.now[&next];
                    assert!(stand < next, "{job} is not ahead");
                    assert!(at < stand || at >= next, "{other} is between");
                }
                Move::Behind(next) => {
                    let next = self.stands.now[&next];
                    assert!(stand > next, "{job} is not behind");
                    assert!(at > stand || at <= next, "{other} is between");
                }
            }
        }
        let old = self.stands.now.insert(job, stand);
        self.stands.before.extend(old.map(|old| (job, old)));
    }

    /// Of jobs that ask for the same, the one that stands first starts first.
    pub(super) fn check_turn(&self, job: JobId) {
        let (stored, stand) = (&self.disk[&job], self.stands.now[&job]);
        let asks = |entry: &Entry| {
            let array = entry.place.map(|place| place.array);
            (
                entry.queue.clone(),
                entry.priority,
                entry.demand,
                entry.owner,
                array,
                entry.limits.clone(),
            )
        };
        let own = asks(&stored.job);
        for rival in self.disk.values().filter(|rival| rival.job.id != job) {
            if self.is_ready(rival) && asks(&rival.job) == own {
                let id = rival.job.id;
                assert!(stand < self.stands.now[&id], "{job} starts although {id} stands first");
            }
        }
    }
}
