//! Waiting until jobs are final.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::mpsc;

use super::super::event::{Ask, WaiterId, Waiting};
use super::Session;
use super::arrays::member_of;
use super::call::Manner;
use super::connection::Gone;
use super::select::{LAST_INDEX, Usual, some_are_named};
use crate::job::{JobId, State, exit_code};
use crate::protocol::{ArrayEnd, ElementCount, Error, Finished, Wait, WaitReply, finished_to_wire};
use crate::store::{Filter, Reader, Selected};

/// The most finished jobs told in one reply.
const TOLD_AT_ONCE: usize = 1_000;

/// A wait that the control loop knows of.
pub(super) struct Watching {
    /// Its name there.
    pub(super) id: WaiterId,
    /// Jobs that had ended already.
    pub(super) ended: Vec<Finished>,
    /// Brings the others.
    pub(super) coming: mpsc::Receiver<Finished>,
    /// How many others.
    pub(super) left: u64,
}

/// A wait under way: what was found, and how it is told.
struct Waited {
    watching: Watching,
    tally: Tally,
    /// Arrays with elements that are no jobs of their own yet, and how many of these there were.
    folded: Vec<(JobId, u64)>,
}

/// How elements ended, by their arrays.
#[derive(Default)]
struct Tally {
    /// The arrays of the elements that are not told one by one.
    arrays: HashMap<JobId, JobId>,
    counts: BTreeMap<JobId, Vec<(State, u64)>>,
}

impl Tally {
    fn count(&mut self, array: JobId, state: State, by: u64) {
        let counts = self.counts.entry(array).or_default();
        match counts.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += by,
            None => counts.push((state, by)),
        }
    }

    /// Counts what is told by its array, and leaves the others.
    fn take(&mut self, finished: &mut Vec<Finished>) {
        finished.retain(|job| match self.arrays.get(&job.id).copied() {
            Some(array) => {
                self.count(array, job.state, 1);
                false
            }
            None => true,
        });
    }

    fn told(self) -> Vec<ArrayEnd> {
        let end = |(array, mut counts): (JobId, Vec<(State, u64)>)| {
            counts.sort_unstable_by_key(|(state, _)| {
                State::ALL.into_iter().position(|known| known == *state)
            });
            let good = counts.iter().all(|(state, _)| *state == State::Succeeded);
            let exit_code = if good { exit_code::SUCCESS } else { exit_code::FAILURE };
            let count = |(state, jobs)| ElementCount { state, jobs };
            ArrayEnd { array, counts: counts.into_iter().map(count).collect(), exit_code }
        };
        self.counts.into_iter().map(end).collect()
    }
}

impl Session {
    pub(super) async fn wait(&mut self, wait: Wait, manner: Manner) -> Result<(), Gone> {
        let waited = match self.begin_wait(&wait).await {
            Ok(waited) => waited,
            Err(error) => return self.finish::<WaitReply>(Err(error), manner).await,
        };
        let id = waited.watching.id;
        let result = self.tell_as_they_end(waited, manner).await;
        // The loop is gone only when the daemon is ending, and everything with it.
        let _ = self.hub.tell(Ask::Unwait(id)).await;
        result
    }

    async fn begin_wait(&self, wait: &Wait) -> Result<Waited, Error> {
        some_are_named(&wait.jobs)?;
        let filter = self.filter(&wait.jobs, Usual::Unfinished)?;
        let folds = self.folds(&filter).await?;
        let found = self.find_beside(&wait.jobs, filter, &folds.arrays()).await?;
        if found.is_empty() && folds.is_empty() {
            self.some_are_there(&wait.jobs).await?;
        }
        let mut tally = Tally::default();
        let member = |job: &Selected| Some((job.id, member_of(&wait.jobs, job)?));
        tally.arrays = found.iter().filter_map(member).collect();
        for elements in &folds.ended {
            let folded = elements.folded();
            tally.count(folded.array, elements.first.state, folded.count);
        }
        let (ended, open): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|job| job.state.is_final());
        let ended = ended.iter().map(ended_to_wire);
        let mut watching = self.watch_ends(open.into_iter().map(|job| job.id).collect()).await?;
        watching.ended.extend(ended);
        let folded = folds.live.iter().map(|elements| {
            let folded = elements.folded();
            (folded.array, folded.count)
        });
        Ok(Waited { watching, tally, folded: folded.collect() })
    }

    /// Has the control loop tell when these jobs are final.
    pub(super) async fn watch_ends(&self, jobs: Vec<JobId>) -> Result<Watching, Error> {
        let all = jobs.len();
        loop {
            // As many places as messages will ever come, so that the loop never waits for this client. Each time
            // anew: an end that was told to a wait which is given up would be counted twice.
            let (sink, coming) = mpsc::channel(all.max(1));
            let Waiting { id, gone } =
                self.hub.ask(|answer| Ask::Wait(jobs.clone(), sink, answer)).await?;
            // A reader sees a commit a moment before the loop does: jobs that it does not know yet are asked for
            // again.
            if self.all_have_ended(&gone).await? {
                let left = (all - gone.len()) as u64;
                let ended = self.ends_of(gone).await?;
                return Ok(Watching { id, ended, coming, left });
            }
            self.hub.tell(Ask::Unwait(id)).await?;
        }
    }

    async fn all_have_ended(&self, gone: &[JobId]) -> Result<bool, Error> {
        let ended = self.ends_of(gone.to_vec()).await?;
        Ok(ended.iter().all(|job| job.state.is_final()))
    }

    /// What the loop does not know any more became final meanwhile, and that is in the store.
    async fn ends_of(&self, gone: Vec<JobId>) -> Result<Vec<Finished>, Error> {
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let filter =
            Filter { ids: gone.iter().map(|job| (*job, *job)).collect(), ..Filter::default() };
        let ended = self.hub.readers.query(move |reader| reader.select(&filter)).await?;
        let told = ended.iter().map(ended_to_wire);
        Ok(told.collect())
    }

    async fn tell_as_they_end(&mut self, waited: Waited, manner: Manner) -> Result<(), Gone> {
        let Waited { watching, mut tally, folded } = waited;
        let Watching { ended: mut finished, mut coming, mut left, .. } = watching;
        let behind = folded.iter().map(|(_, count)| count).sum::<u64>();
        loop {
            tally.take(&mut finished);
            if manner.more && (!finished.is_empty() || left == 0) {
                for part in finished.chunks(TOLD_AT_ONCE) {
                    let (finished, remaining) = (part.to_vec(), left + behind);
                    let reply = WaitReply { finished, remaining, arrays: Vec::new() };
                    self.reply(&reply, true, manner).await?;
                }
                self.connection.flush().await?;
                finished.clear();
            }
            if left == 0 {
                break;
            }
            let taken =
                self.connection.unless_gone(coming.recv_many(&mut finished, TOLD_AT_ONCE)).await?;
            if taken == 0 {
                return Err(Gone);
            }
            left -= taken as u64;
        }
        for (array, _) in folded {
            if let Err(error) = self.see_out(array, &mut tally).await? {
                return self.finish::<WaitReply>(Err(error), manner).await;
            }
        }
        let reply = WaitReply { finished, remaining: 0, arrays: tally.told() };
        self.reply(&reply, false, manner).await
    }

    /// Waits until nothing of an array is left, whose later elements become jobs of their own as their turn
    /// comes near; then counts all of it as it stands.
    async fn see_out(
        &mut self,
        array: JobId,
        tally: &mut Tally,
    ) -> Result<Result<(), Error>, Gone> {
        let mut folds = self.hub.folds.clone();
        loop {
            folds.borrow_and_update();
            let (behind, rows, told) = match self.left_of(array).await {
                Ok(left) => left,
                Err(error) => return Ok(Err(error)),
            };
            if !rows.is_empty() {
                let watching = match self.watch_ends(rows).await {
                    Ok(watching) => watching,
                    Err(error) => return Ok(Err(error)),
                };
                let Watching { id, mut coming, mut left, .. } = watching;
                let mut ended = Vec::new();
                while left > 0 {
                    ended.clear();
                    let taken = coming.recv_many(&mut ended, TOLD_AT_ONCE);
                    match self.connection.unless_gone(taken).await {
                        Ok(taken) if taken > 0 => left -= taken as u64,
                        _ => {
                            // The loop is gone only when the daemon is ending.
                            let _ = self.hub.tell(Ask::Unwait(id)).await;
                            return Err(Gone);
                        }
                    }
                }
            } else if behind {
                // It is held, or more of it are on their way.
                if self.connection.unless_gone(folds.changed()).await?.is_err() {
                    return Err(Gone);
                }
            } else {
                tally.counts.remove(&array);
                for (state, count) in told {
                    tally.count(array, state, count);
                }
                return Ok(Ok(()));
            }
        }
    }

    /// Whether something of an array is folded that has not ended, its jobs that have not, and how its
    /// elements stand.
    async fn left_of(&self, array: JobId) -> Result<(bool, Vec<JobId>, Vec<(State, u64)>), Error> {
        let states = State::ALL.into_iter().filter(|state| !state.is_final()).collect();
        let elements = vec![(array, 0, LAST_INDEX)];
        let open = Filter { elements, states, ..Filter::default() };
        let read = move |reader: &mut dyn Reader| {
            let folds = reader.folds(&open)?;
            let rows = reader.select(&open)?;
            let tally = reader.arrays(&[array])?.pop();
            let counts = tally.map(|tally| tally.counts).unwrap_or_default();
            Ok((!folds.is_empty(), rows.iter().map(|job| job.id).collect(), counts))
        };
        Ok(self.hub.readers.query(read).await?)
    }
}

fn ended_to_wire(job: &Selected) -> Finished {
    finished_to_wire(job.id, job.state, job.outcome.as_ref(), job.reason.as_deref())
}
