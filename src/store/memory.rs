//! A store that lives in memory: the plain telling of what every store does.
//!
//! Owns jobs, attempts and queues as ordinary values; serves simulations and embedders that want no
//! file, and is what the tests of the real store compare it with. Never touches the disk: a
//! [`MemoryDisk`] outlives the stores opened on it and nothing else does. Invariant: each change is
//! checked whole before any of it is applied.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::job::{
    ArrayPlace, AttemptRecord, AttemptToken, Change, Class, Deadline, Job, JobId, Lane, NewJob,
    Now, QueueRecord, State, StoreId, WallTime,
};

use super::{
    Filter, Page, Pending, Reader, Recovery, Refusal, Selected, Store, StoreError, Work, gate,
};

/// What a [`MemoryStore`] keeps from one life to the next. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct MemoryDisk(Arc<Mutex<Content>>);

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
    boot: Boot,
}

/// Reads beside a [`MemoryStore`].
#[derive(Debug)]
struct MemoryReader {
    disk: MemoryDisk,
    boot: Boot,
}

#[derive(Debug)]
struct Content {
    store: StoreId,
    life: u64,
    clean: bool,
    next_job: u64,
    boot_id: String,
    jobs: BTreeMap<JobId, Kept>,
    tokens: HashSet<AttemptToken>,
    queues: BTreeMap<String, QueueRecord>,
}

#[derive(Clone, Debug)]
struct Kept {
    job: Job,
    /// The boot that the job's deadline was made under.
    due_boot: String,
    attempts: Vec<AttemptRecord>,
}

#[derive(Clone, Debug)]
struct Boot {
    id: String,
    opened: Now,
}

impl MemoryDisk {
    /// An empty disk, on which a store of this identity will live.
    pub fn new(store: StoreId) -> Self {
        Self(Arc::new(Mutex::new(Content {
            store,
            life: 0,
            clean: true,
            next_job: 1,
            boot_id: String::new(),
            jobs: BTreeMap::new(),
            tokens: HashSet::new(),
            queues: BTreeMap::new(),
        })))
    }

    /// A panic elsewhere can't leave the content half changed: changes are checked first.
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryStore {
    /// Begins a new life of the store on `disk`, under the boot of this name.
    pub fn open(disk: &MemoryDisk, now: Now, boot_id: &str) -> (Self, Recovery) {
        let mut content = disk.content();
        content.life += 1;
        boot_id.clone_into(&mut content.boot_id);
        let recovery = Recovery {
            store: content.store,
            life: content.life,
            next_id: first_id().after(content.next_job - 1),
            clean: std::mem::replace(&mut content.clean, false),
            queues: content.queues.values().cloned().collect(),
        };
        drop(content);
        let boot = Boot { id: boot_id.to_owned(), opened: now };
        (Self { disk: disk.clone(), boot }, recovery)
    }
}

fn first_id() -> JobId {
    // 1 is an id, so this never takes the other way.
    JobId::new(1).unwrap_or_else(|_| unreachable!("1 is a job id"))
}

impl Store for MemoryStore {
    fn commit(&mut self, batch: &[Change]) -> Result<Vec<Result<(), Refusal>>, StoreError> {
        let mut content = self.disk.content();
        Ok(batch.iter().map(|change| content.take(change, &self.boot)).collect())
    }

    fn pending(&mut self, visit: &mut dyn FnMut(Pending)) -> Result<(), StoreError> {
        let content = self.disk.content();
        for kept in content.jobs.values().filter(|kept| !kept.job.state.is_final()) {
            visit(kept.pending(&self.boot));
        }
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(MemoryReader { disk: self.disk.clone(), boot: self.boot.clone() }))
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.disk.content().clean = true;
        Ok(())
    }
}

impl Content {
    fn take(&mut self, change: &Change, boot: &Boot) -> Result<(), Refusal> {
        match change {
            Change::Submitted { jobs } => self.submitted(jobs, boot),
            Change::Started { job, attempt, token, lane, class, at } => {
                gate::started(*job, *class)?;
                self.started(*job, *attempt, *token, (*lane, *class), *at)
            }
            Change::Ended { job, token, outcome, usage, at, next, not_before } => {
                gate::ended(*job, *next, *not_before)?;
                let kept = self.running(*job, *token)?;
                if let Some(attempt) = kept.attempts.last_mut() {
                    attempt.finished_at = Some(*at);
                    attempt.outcome = Some(outcome.clone());
                    attempt.usage = Some(*usage);
                }
                kept.job.outcome = Some(outcome.clone());
                kept.job.cancel_asked = false;
                kept.go(*next, *not_before, *at, boot);
                Ok(())
            }
            Change::Moved { job, from, to, not_before, reason, at } => {
                gate::moved(*job, *from, *to, *not_before)?;
                let kept = self.standing(*job, *from)?;
                kept.job.reason.clone_from(reason);
                kept.go(*to, *not_before, *at, boot);
                Ok(())
            }
            Change::CancelAsked { job, reason } => {
                let kept = self.standing(*job, State::Running)?;
                kept.job.cancel_asked = true;
                kept.job.reason.clone_from(reason);
                Ok(())
            }
            Change::Removed { jobs } => self.removed(jobs),
            Change::QueueSet(queue) => {
                gate::queue_set(queue)?;
                self.queues.insert(queue.name.clone(), queue.clone());
                Ok(())
            }
            Change::QueueRemoved { name } => self.queue_removed(name),
        }
    }

    fn submitted(&mut self, jobs: &[NewJob], boot: &Boot) -> Result<(), Refusal> {
        let next_job = gate::submitted(jobs, self.next_job)?;
        let mut places: HashSet<ArrayPlace> =
            self.jobs.values().filter_map(|kept| kept.job.place).collect();
        if let Some(twice) = jobs.iter().filter_map(|job| job.place).find(|at| !places.insert(*at))
        {
            let (array, index) = (twice.array, twice.index);
            return Err(Refusal::Invariant(format!("{array}_{index} is there already")));
        }
        self.next_job = next_job;
        self.jobs.extend(jobs.iter().map(|new| (new.id, Kept::new(new, boot))));
        Ok(())
    }

    fn started(
        &mut self,
        job: JobId,
        attempt: u32,
        token: AttemptToken,
        (lane, class): (Lane, Class),
        at: WallTime,
    ) -> Result<(), Refusal> {
        let named = |name: AttemptToken| {
            Refusal::Invariant(format!("job {job}: {name} can't name an attempt"))
        };
        let twice = self.tokens.contains(&token);
        if token.store != self.store {
            return Err(named(token));
        }
        let kept = self.standing(job, State::Queued)?;
        if attempt != kept.job.attempts + 1 {
            return Err(gate::out_of_turn(job, attempt, kept.job.attempts));
        }
        if twice {
            return Err(named(token));
        }
        kept.job.attempts = attempt;
        kept.job.started_at = Some(at);
        kept.job.lane = Some(lane);
        kept.job.state = State::Running;
        kept.attempts.push(AttemptRecord {
            number: attempt,
            token,
            lane,
            class,
            started_at: at,
            finished_at: None,
            outcome: None,
            usage: None,
        });
        self.tokens.insert(token);
        Ok(())
    }

    fn removed(&mut self, jobs: &[JobId]) -> Result<(), Refusal> {
        for kept in jobs.iter().filter_map(|id| self.jobs.get(id)) {
            if !kept.job.state.is_final() {
                return Err(gate::unfinished(kept.job.id, kept.job.state));
            }
        }
        for kept in jobs.iter().filter_map(|id| self.jobs.remove(id)) {
            for attempt in kept.attempts {
                self.tokens.remove(&attempt.token);
            }
        }
        Ok(())
    }

    fn queue_removed(&mut self, name: &str) -> Result<(), Refusal> {
        let in_use = |kept: &Kept| kept.job.spec.queue == name && !kept.job.state.is_final();
        if !self.queues.contains_key(name) {
            return Err(Refusal::NoSuchQueue(name.to_owned()));
        }
        if self.jobs.values().any(in_use) {
            return Err(Refusal::QueueInUse(name.to_owned()));
        }
        self.queues.remove(name);
        Ok(())
    }

    fn standing(&mut self, job: JobId, expected: State) -> Result<&mut Kept, Refusal> {
        let kept = self.jobs.get_mut(&job).ok_or(Refusal::NoSuchJob(job))?;
        let found = kept.job.state;
        if found == expected {
            return Ok(kept);
        }
        Err(Refusal::Elsewhere { job, found, expected })
    }

    fn running(&mut self, job: JobId, token: AttemptToken) -> Result<&mut Kept, Refusal> {
        let kept = self.jobs.get_mut(&job).ok_or(Refusal::NoSuchJob(job))?;
        let current = kept.attempts.last().map(|attempt| attempt.token);
        if kept.job.state == State::Running && current == Some(token) {
            return Ok(kept);
        }
        Err(Refusal::Stale(job))
    }

    /// The ids of the latest submission, as its first id and its newest job.
    fn latest(&self, owner: Option<u32>) -> Option<(JobId, JobId)> {
        let mut newest = self.jobs.values().rev().map(|kept| &kept.job);
        newest
            .find(|job| owner.is_none_or(|owner| job.owner == owner))
            .map(|job| (job.submission, job.id))
    }

    fn found<'a>(&'a self, filter: &'a Filter) -> impl DoubleEndedIterator<Item = &'a Kept> {
        let latest = if filter.last { Some(self.latest(filter.owner)) } else { None };
        self.jobs.values().filter(move |kept| {
            latest.is_none_or(|latest| latest.is_some_and(|(s, _)| kept.job.submission == s))
                && fits(&kept.job, filter)
        })
    }
}

impl Kept {
    fn new(new: &NewJob, boot: &Boot) -> Self {
        let job = Job {
            id: new.id,
            owner: new.owner,
            submission: new.submission,
            place: new.place,
            state: new.state,
            not_before: new.not_before,
            submitted_at: new.submitted_at,
            started_at: None,
            finished_at: None,
            attempts: 0,
            outcome: None,
            cancel_asked: false,
            reason: None,
            lane: None,
            spec: Arc::clone(&new.spec),
            context: Arc::clone(&new.context),
        };
        Self { job, due_boot: boot.id.clone(), attempts: Vec::new() }
    }

    fn go(&mut self, to: State, due: Option<Deadline>, at: WallTime, boot: &Boot) {
        self.job.state = to;
        self.job.not_before = due;
        self.job.finished_at = to.is_final().then_some(at);
        self.due_boot.clone_from(&boot.id);
    }

    fn due(&self, boot: &Boot) -> Option<Deadline> {
        let same = self.due_boot == boot.id;
        self.job.not_before.map(|due| if same { due } else { due.rebased(boot.opened) })
    }

    fn told(&self, boot: &Boot) -> Job {
        Job { not_before: self.due(boot), ..self.job.clone() }
    }

    fn pending(&self, boot: &Boot) -> Pending {
        let Job { id, owner, place, state, submitted_at, attempts, cancel_asked, .. } = self.job;
        let spec = &self.job.spec;
        let running = self.attempts.last().filter(|_| state == State::Running);
        Pending {
            id,
            owner,
            place,
            state,
            not_before: self.due(boot),
            submitted_at,
            queue: Arc::from(spec.queue.as_str()),
            kind: Arc::from(spec.kind.as_str()),
            priority: spec.priority,
            class: spec.class,
            cpus: spec.cpus,
            retry: spec.retry.clone(),
            at_most_once: spec.at_most_once,
            attempts,
            limits: spec.limits.as_deref().cloned().map(Arc::new),
            cancel_asked,
            token: running.map(|attempt| attempt.token),
        }
    }
}

/// Whether a job fits every field of a filter but `last`.
fn fits(job: &Job, filter: &Filter) -> bool {
    let Filter { ids, elements, owner, last: _, states, outcomes, queues, names, kinds, .. } =
        filter;
    let id = (ids.is_empty() && elements.is_empty())
        || ids.iter().any(|(from, to)| (from..=to).contains(&&job.id))
        || elements.iter().any(|(array, from, to)| {
            job.place.is_some_and(|at| at.array == *array && (*from..=*to).contains(&at.index))
        });
    let word = job.outcome.as_ref().map(crate::job::Outcome::word);
    let failed_so =
        job.state == State::Failed && outcomes.iter().any(|outcome| word == Some(outcome.as_str()));
    let state =
        (states.is_empty() && outcomes.is_empty()) || states.contains(&job.state) || failed_so;
    let name = |pattern: &String| {
        job.spec.name.as_deref().is_some_and(|name| matches(pattern.as_bytes(), name.as_bytes()))
    };
    let finished = filter
        .finished_before
        .is_none_or(|moment| job.finished_at.is_some_and(|finished| finished < moment));
    id && state
        && finished
        && owner.is_none_or(|owner| job.owner == owner)
        && (queues.is_empty() || queues.contains(&job.spec.queue))
        && (kinds.is_empty() || kinds.contains(&job.spec.kind))
        && (names.is_empty() || names.iter().any(name))
}

/// Whether a name fits a pattern in which `*` stands for any characters.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        ([want, pattern @ ..], [have, name @ ..]) => want == have && matches(pattern, name),
        _ => false,
    }
}

impl Reader for MemoryReader {
    fn page(&mut self, filter: &Filter, page: Page) -> Result<Vec<Job>, StoreError> {
        let content = self.disk.content();
        let mut jobs: Vec<_> = content
            .found(filter)
            .filter(|kept| {
                page.after.is_none_or(|after| {
                    if page.newest_first { kept.job.id < after } else { kept.job.id > after }
                })
            })
            .map(|kept| kept.told(&self.boot))
            .collect();
        if page.newest_first {
            jobs.reverse();
        }
        jobs.truncate(page.limit as usize);
        Ok(jobs)
    }

    fn select(&mut self, filter: &Filter) -> Result<Vec<Selected>, StoreError> {
        let selected = |kept: &Kept| Selected {
            id: kept.job.id,
            owner: kept.job.owner,
            state: kept.job.state,
            outcome: kept.job.outcome.clone(),
        };
        Ok(self.disk.content().found(filter).map(selected).collect())
    }

    fn job(&mut self, id: JobId) -> Result<Option<(Job, Vec<AttemptRecord>)>, StoreError> {
        let content = self.disk.content();
        Ok(content.jobs.get(&id).map(|kept| (kept.told(&self.boot), kept.attempts.clone())))
    }

    fn specs(&mut self, ids: &[JobId]) -> Result<Vec<Work>, StoreError> {
        let content = self.disk.content();
        let work = |kept: &Kept| Work {
            id: kept.job.id,
            place: kept.job.place,
            spec: Arc::clone(&kept.job.spec),
            context: Arc::clone(&kept.job.context),
        };
        Ok(ids.iter().filter_map(|id| content.jobs.get(id)).map(work).collect())
    }

    fn counts(&mut self) -> Result<Vec<(String, State, u64)>, StoreError> {
        let content = self.disk.content();
        let mut counts = Vec::new();
        let queues: std::collections::BTreeSet<_> =
            content.jobs.values().map(|kept| kept.job.spec.queue.clone()).collect();
        for queue in queues {
            for state in State::ALL {
                let here = |kept: &&Kept| kept.job.spec.queue == queue && kept.job.state == state;
                match content.jobs.values().filter(here).count() {
                    0 => {}
                    jobs => counts.push((queue.clone(), state, jobs as u64)),
                }
            }
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::{self, Home};

    impl Home for MemoryDisk {
        fn open(&mut self, now: Now, boot: &str) -> (Box<dyn Store>, Recovery) {
            let (store, recovery) = MemoryStore::open(self, now, boot);
            (Box::new(store), recovery)
        }
    }

    #[test]
    fn the_memory_store_conforms() {
        conformance::run_all(|| MemoryDisk::new(StoreId::new(7)));
    }
}
