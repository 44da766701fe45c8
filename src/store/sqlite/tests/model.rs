//! Random changes go through the embedded store and the one in memory; nothing may tell them apart.

mod changes;

use proptest::collection::vec;
use proptest::prelude::*;

use super::Dir;
use crate::job::{
    AttemptToken, Change, Class, Deadline, Failure, JobId, Lane, Now, Outcome, QueueRecord, State,
    StoreId, Suspicion, Usage,
};
use crate::store::conformance::{Home, all_pending, at, everything, id, now};
use crate::store::memory::{MemoryDisk, MemoryStore};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Filter, Page, Recovery, Refusal, Store};

/// One random step. Numbers pick among what is there when the step is taken.
#[derive(Clone, Debug)]
enum Step {
    Submit {
        jobs: Vec<(u8, u8)>,
        skip: u8,
        array: bool,
        fold: u8,
    },
    Unfold {
        job: u8,
        count: u8,
    },
    /// What is folded goes elsewhere as one, becomes jobs after its end, or is forgotten.
    Folded {
        which: u8,
        what: u8,
        to: State,
        stale: bool,
    },
    Start {
        job: u8,
        stale: bool,
    },
    End {
        job: u8,
        outcome: Outcome,
        next: State,
        stale: bool,
    },
    Move {
        job: u8,
        from: Option<State>,
        to: State,
    },
    Cancel {
        job: u8,
    },
    Edit {
        job: u8,
        to: State,
        look: u8,
    },
    Remove {
        jobs: Vec<u8>,
    },
    Queue {
        name: u8,
        weight: u32,
        gone: bool,
    },
    /// A schedule is set, has a turn with or without a job, or goes.
    Plan {
        schedule: u8,
        what: u8,
        stale: bool,
    },
    /// Ends the life, in order or not, and begins another, under the same boot or not.
    Reopen {
        close: bool,
        reboot: bool,
    },
    Look {
        filter: Box<Filter>,
        page: Page,
    },
}

const QUEUES: [&str; 3] = ["default", "gpu", "a[b]*"];
const NAMES: [Option<&str>; 4] = [None, Some("enc"), Some("enc-1"), Some("dec")];

fn state() -> impl Strategy<Value = State> {
    proptest::sample::select(State::ALL.to_vec())
}

fn outcome() -> impl Strategy<Value = Outcome> {
    proptest::sample::select(vec![
        Outcome::Succeeded,
        Outcome::Failed(Failure::Exit(-3)),
        Outcome::Failed(Failure::Signal(9)),
        Outcome::Failed(Failure::NotFound("no such file".to_owned())),
        Outcome::Failed(Failure::NotExecutable(String::new())),
        Outcome::Failed(Failure::OutputLimit),
        Outcome::TimedOut,
        Outcome::Cancelled,
        Outcome::Interrupted,
    ])
}

fn step() -> impl Strategy<Value = Step> {
    let job = any::<u8>();
    prop_oneof![
        3 => (vec((any::<u8>(), any::<u8>()), 0..5), 0..3u8, any::<bool>(), any::<u8>())
            .prop_map(|(jobs, skip, array, fold)| Step::Submit { jobs, skip, array, fold }),
        2 => (job, 0..4u8).prop_map(|(job, count)| Step::Unfold { job, count }),
        3 => (job, 0..6u8, state(), prop::bool::weighted(0.1))
            .prop_map(|(which, what, to, stale)| Step::Folded { which, what, to, stale }),
        6 => (job, prop::bool::weighted(0.1)).prop_map(|(job, stale)| Step::Start { job, stale }),
        5 => (job, outcome(), state(), prop::bool::weighted(0.1))
            .prop_map(|(job, outcome, next, stale)| Step::End { job, outcome, next, stale }),
        6 => (job, prop::option::weighted(0.1, state()), state())
            .prop_map(|(job, from, to)| Step::Move { job, from, to }),
        1 => job.prop_map(|job| Step::Cancel { job }),
        4 => (job, state(), any::<u8>()).prop_map(|(job, to, look)| Step::Edit { job, to, look }),
        2 => vec(any::<u8>(), 0..4).prop_map(|jobs| Step::Remove { jobs }),
        1 => (0..3u8, 0..3u32, any::<bool>())
            .prop_map(|(name, weight, gone)| Step::Queue { name, weight, gone }),
        3 => (0..3u8, 0..8u8, prop::bool::weighted(0.1))
            .prop_map(|(schedule, what, stale)| Step::Plan { schedule, what, stale }),
        1 => (any::<bool>(), any::<bool>())
            .prop_map(|(close, reboot)| Step::Reopen { close, reboot }),
        3 => (filter(), page()).prop_map(|(filter, page)| Step::Look { filter: Box::new(filter), page }),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let ids = vec((1..30u64, 0..5u64), 0..3)
        .prop_map(|ids| ids.into_iter().map(|(from, more)| (id(from), id(from + more))).collect());
    let elements = vec((1..30u64, 0..4u64, 0..6u64), 0..2).prop_map(|elements| {
        elements.into_iter().map(|(array, from, to)| (id(array), from, to)).collect()
    });
    let some_of = |words: &'static [&str]| {
        proptest::sample::subsequence(words, 0..=1)
            .prop_map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let states = proptest::sample::subsequence(State::ALL.to_vec(), 0..=9);
    (
        (ids, elements, prop::option::weighted(0.3, 0..3u32), prop::bool::weighted(0.2)),
        prop_oneof![Just(Vec::new()), states],
        some_of(&["exit", "error", "timed_out", "nothing"]),
        some_of(&QUEUES),
        some_of(&["enc", "enc*", "*c", "*", "e?c"]),
        some_of(&["command", "http"]),
        prop::option::weighted(0.2, 0..60i64),
    )
        .prop_map(|(which, states, outcomes, queues, names, kinds, finished)| {
            let (ids, elements, owner, last) = which;
            let which_end = last;
            let finished_before = finished.filter(|_| !which_end).map(at);
            let finished_since = finished.filter(|_| which_end).map(at);
            Filter {
                ids,
                elements,
                owner,
                last,
                states,
                outcomes,
                queues,
                names,
                kinds,
                finished_before,
                finished_since,
                schedules: last.then(|| "a".to_owned()).into_iter().collect(),
            }
        })
}

fn page() -> impl Strategy<Value = Page> {
    (any::<bool>(), prop::option::of(1..30u64), 0..8u32, any::<bool>()).prop_map(
        |(newest_first, after, limit, collapse)| {
            let after = after.map(id);
            Page { newest_first, after, limit, collapse }
        },
    )
}

/// Both stores and what a control loop would know.
struct Pair {
    dir: Dir,
    disk: MemoryDisk,
    real: Box<dyn Store>,
    model: Box<dyn Store>,
    recovery: Recovery,
    next: u64,
    counter: u64,
    boots: u64,
    seconds: i64,
}

impl Pair {
    fn new() -> Self {
        let mut dir = Dir::new();
        let (real, recovery) = Home::open(&mut dir, now(0, 0), "0");
        let disk = MemoryDisk::new(recovery.store);
        let (model, _) = MemoryStore::open(&disk, now(0, 0), "0");
        let model = Box::new(model);
        Self { dir, disk, real, model, recovery, next: 1, counter: 0, boots: 0, seconds: 0 }
    }

    fn take(&mut self, steps: &[Step]) {
        let mut batch = Vec::new();
        for step in steps {
            self.seconds += 1;
            match step {
                Step::Reopen { close, reboot } => {
                    self.commit(&mut batch);
                    self.reopen(*close, *reboot);
                }
                Step::Look { filter, page } => {
                    self.commit(&mut batch);
                    self.look(filter, *page);
                }
                step => {
                    // What a step picks depends on where the jobs stand, which the batch may change.
                    batch.push(self.change(step));
                    if batch.len() == 3 {
                        self.commit(&mut batch);
                    }
                }
            }
        }
        self.commit(&mut batch);
    }

    fn commit(&mut self, batch: &mut Vec<Change>) {
        let real = self.real.commit(batch).unwrap();
        let model = self.model.commit(batch).unwrap();
        for ((change, real), model) in batch.iter().zip(real).zip(model) {
            let alike = match (&real, &model) {
                (Err(Refusal::Invariant(_)), Err(Refusal::Invariant(_))) => true,
                (real, model) => real == model,
            };
            assert!(alike, "{change:?}: {real:?} but should be {model:?}");
        }
        batch.clear();
        assert_eq!(everything(&mut *self.real), everything(&mut *self.model));
    }

    fn reopen(&mut self, close: bool, reboot: bool) {
        if close {
            self.real.close().unwrap();
            self.model.close().unwrap();
        }
        self.boots += u64::from(reboot);
        let (now, boot) = (self.now(), self.boots.to_string());
        // The old store goes first: its connection would keep the log alive.
        self.real = Box::new(MemoryStore::open(&MemoryDisk::new(StoreId::new(0)), now, "").0);
        let (real, recovery) = Home::open(&mut self.dir, now, &boot);
        let (model, expected) = MemoryStore::open(&self.disk, now, &boot);
        assert_eq!(format!("{recovery:?}"), format!("{expected:?}"));
        (self.real, self.model, self.recovery) = (real, Box::new(model), recovery);
    }

    fn look(&mut self, filter: &Filter, page: Page) {
        let (mut real, mut model) = (self.real.reader().unwrap(), self.model.reader().unwrap());
        let ids: Vec<_> = filter.ids.iter().map(|(from, _)| *from).collect();
        assert_eq!(real.select(filter), model.select(filter), "{filter:?}");
        assert_eq!(real.folds(filter), model.folds(filter), "{filter:?}");
        assert_eq!(real.page(filter, page), model.page(filter, page), "{filter:?} {page:?}");
        assert_eq!(real.arrays(&ids), model.arrays(&ids));
        assert_eq!(real.specs(&ids), model.specs(&ids));
        assert_eq!(real.requirements(&ids), model.requirements(&ids));
        assert_eq!(real.dependents(&ids), model.dependents(&ids));
    }

    fn now(&self) -> Now {
        now(self.seconds.unsigned_abs(), self.seconds)
    }

    fn pick(&self, job: u8) -> JobId {
        id(u64::from(job) % (self.next + 1) + 1)
    }

    fn stands(&mut self, job: JobId) -> (State, u32) {
        let found = self.model.reader().unwrap().job(job).unwrap();
        found.map_or((State::Queued, 0), |(job, _)| (job.state, job.attempts))
    }

    fn due(&self, state: State) -> Option<Deadline> {
        let delay = std::time::Duration::from_secs(7);
        let moment = match self.seconds % 2 {
            0 => Deadline::after(self.now(), delay),
            _ => Deadline::at(self.now().wall.plus(delay)),
        };
        let may = matches!(state, State::Held | State::Waiting) && self.seconds % 3 == 0;
        (may || state == State::Scheduled).then_some(moment)
    }

    fn change(&mut self, step: &Step) -> Change {
        let at = at(self.seconds);
        match step {
            Step::Submit { jobs, skip, array, fold } => self.submit(jobs, *skip, *array, *fold),
            Step::Unfold { job, count } => {
                Change::Unfolded { array: self.pick(*job), count: u64::from(*count) }
            }
            Step::Folded { which, what, to, stale } => self.folded(*which, *what, *to, *stale),
            Step::Start { job, stale } => {
                let job = self.pick(*job);
                self.counter += u64::from(!stale);
                let token = self.token(self.counter);
                let attempt = self.stands(job).1 + 1;
                Change::Started { job, attempt, token, lane: Lane::Async, class: Class::Io, at }
            }
            Step::End { job, outcome, next, stale } => {
                let picked = self.pick(*job);
                let pending = all_pending(&mut *self.model);
                let running = pending.iter().find(|p| p.token.is_some() && p.id >= picked);
                let (job, token) = running
                    .and_then(|running| Some((running.id, running.token?)))
                    .filter(|_| !stale)
                    .unwrap_or((picked, self.token(1)));
                let not_before = self.due(*next);
                let usage = Usage { max_rss_bytes: None, ..Usage::default() };
                Change::Ended {
                    job,
                    token,
                    outcome: outcome.clone(),
                    usage,
                    at,
                    next: *next,
                    not_before,
                }
            }
            Step::Move { job, from, to } => {
                let job = self.pick(*job);
                let from = from.unwrap_or_else(|| self.stands(job).0);
                let reason = (self.seconds % 2 == 0).then(|| "why".to_owned());
                Change::Moved { job, from, to: *to, not_before: self.due(*to), reason, at }
            }
            Step::Cancel { job } if self.seconds % 3 == 0 => Change::Suspected {
                job: self.pick(*job),
                suspicion: Suspicion { crashes: 2, alone: u32::from(*job % 4) },
                verdict: (*job % 2 == 0).then(|| "why".to_owned()),
            },
            Step::Cancel { job } => Change::CancelAsked { job: self.pick(*job), reason: None },
            Step::Edit { job, to, look } => self.edit(*job, *to, *look),
            Step::Remove { jobs } => {
                let jobs: Vec<_> = jobs.iter().map(|job| self.pick(*job)).collect();
                let mut removable = jobs.clone();
                removable.retain(|job| self.stands(*job).0.is_final());
                Change::Removed { jobs: if self.seconds % 4 == 0 { jobs } else { removable } }
            }
            Step::Queue { name, weight, gone } => {
                let queue = QueueRecord {
                    weight: *weight,
                    ..QueueRecord::named(QUEUES[usize::from(*name)])
                };
                let name = queue.name.clone();
                if *gone { Change::QueueRemoved { name } } else { Change::QueueSet(queue) }
            }
            Step::Plan { schedule, what, stale } => self.plan(*schedule, *what, *stale),
            Step::Reopen { .. } | Step::Look { .. } => unreachable!("no change"),
        }
    }

    fn token(&self, counter: u64) -> AttemptToken {
        AttemptToken { store: self.recovery.store, life: self.recovery.life, counter }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_does_what_the_model_does(steps in vec(step(), 1..80)) {
        let mut pair = Pair::new();
        pair.take(&steps);
        let path = pair.dir.0.path().to_owned();
        drop(pair.real);
        let (store, _) =
            SqliteStore::open_in_boot(&path, &Options::default(), now(0, 0), "last").unwrap();
        super::shape::sums_are_right(&store);
    }
}
