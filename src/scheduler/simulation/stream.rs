//! An endless stream of jobs of all sizes: nobody is overtaken without end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dice::Dice;
use crate::job::Outcome;
use crate::scheduler::tests::{Desk, entry};
use crate::scheduler::{Action, Aging, Input, Options};

const QUEUES: u64 = 3;
const PERMITS: u64 = 4;
const BACKFILL: u64 = 4;
const READY: usize = 20;

/// How many starts at most come between a job's arrival and its own, with as many jobs of its queue
/// ahead of it.
///
/// For each of these and itself, its queue has to be at the top once. Until it is, each other queue
/// starts at most one more than the permits its own last start paid for; and beside each start in
/// turn, at most `BACKFILL` others overtake.
fn bound(ahead: u64) -> u64 {
    (ahead + 1) * ((QUEUES - 1) * (PERMITS + 1) + 1) * (BACKFILL + 1)
}

/// When a waiting job came, counted in starts, and how many of its queue were ahead.
type Arrivals = BTreeMap<u64, (u64, u64)>;

#[test]
fn in_an_endless_stream_every_job_starts_after_a_bounded_number_of_others() {
    for seed in 0..6 {
        let mut dice = Dice::new(seed);
        let options =
            Options { aging: Aging::OFF, backfill: BACKFILL as u32, ..Options::default() };
        let mut desk = Desk::with(options, PERMITS as u32, 1);
        let (mut waiting, mut running) = (Arrivals::new(), Vec::new());
        let (mut next, mut starts) = (1, 0);
        for _ in 0..600 {
            while waiting.len() < READY {
                let mut job = entry(next);
                job.queue = Arc::from(format!("q{}", next % QUEUES));
                job.demand.permits = if dice.chance(70) { 1 } else { dice.small(4) + 1 };
                let ahead = waiting.keys().filter(|&&other| other % QUEUES == next % QUEUES);
                waiting.insert(next, (starts, ahead.count() as u64));
                desk.step(Input::Submitted(vec![job]));
                next += 1;
                take_starts(&mut desk, &mut waiting, &mut running, &mut starts);
            }
            let ended = running.swap_remove(dice.roll(running.len() as u64) as usize);
            let (job, token) = ended;
            let (outcome, usage) = (Outcome::Succeeded, crate::job::Usage::default());
            desk.step(Input::Ended {
                job,
                token,
                outcome,
                usage,
                retry_after: None,
                retryable: true,
            });
            take_starts(&mut desk, &mut waiting, &mut running, &mut starts);
            for (job, &(came, ahead)) in &waiting {
                assert!(starts - came <= bound(ahead), "seed {seed}: job {job} is starved");
            }
        }
    }
}

fn take_starts(
    desk: &mut Desk,
    waiting: &mut Arrivals,
    running: &mut Vec<(crate::job::JobId, crate::job::AttemptToken)>,
    starts: &mut u64,
) {
    while let Some(action) = desk.actions.pop() {
        match action {
            Action::Start(start) => {
                waiting.remove(&start.job.get());
                running.push((start.job, start.token));
                *starts += 1;
            }
            Action::Write(change) => desk.step(Input::Committed(change)),
            _ => {}
        }
    }
}
