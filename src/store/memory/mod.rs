//! A store that lives in memory: the plain telling of what every store does.
//!
//! Owns jobs, attempts and queues as ordinary values; serves simulations and embedders that want no
//! file, and is what the tests of the real store compare it with. Never touches the disk: a
//! [`MemoryDisk`] outlives the stores opened on it and nothing else does. Invariant: each change is
//! checked whole before any of it is applied.

mod edits;
mod folds;
mod kept;
mod reader;
mod schedules;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::job::{
    ArrayPlace, AttemptRecord, AttemptToken, Change, Class, Drain, Fold, Job, JobId, Lane, NewJob,
    Now, QueueRecord, ScheduleId, ScheduleRecord, State, StoreId, WallTime,
};

use self::kept::{Boot, Kept};
use self::reader::MemoryReader;
use super::fold::FoldedElements;
use super::{Filter, Pending, Reader, Recovery, Refusal, Store, StoreError, StoredSchedule, gate};

/// What a [`MemoryStore`] keeps from one life to the next. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct MemoryDisk(Arc<Mutex<Content>>);

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
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
    /// By array.
    folds: BTreeMap<JobId, FoldedElements>,
    tokens: HashSet<AttemptToken>,
    queues: BTreeMap<String, QueueRecord>,
    next_schedule: u64,
    /// Each with the boot that its next moment was made under.
    schedules: BTreeMap<ScheduleId, (ScheduleRecord, String)>,
    drain: Option<Drain>,
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
            folds: BTreeMap::new(),
            tokens: HashSet::new(),
            queues: BTreeMap::new(),
            next_schedule: 1,
            schedules: BTreeMap::new(),
            drain: None,
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
        let same_boot = content.life == 1 || content.boot_id == boot_id;
        boot_id.clone_into(&mut content.boot_id);
        let recovery = Recovery {
            store: content.store,
            life: content.life,
            next_id: first_id().after(content.next_job - 1),
            next_schedule: ScheduleId(content.next_schedule),
            same_boot,
            clean: std::mem::replace(&mut content.clean, false),
            queues: content.queues.values().cloned().collect(),
            drain: content.drain.clone(),
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
            visit(kept.pending(&content, &self.boot));
        }
        for FoldedElements { first, fold } in
            content.folds.values().filter(|folded| !folded.first.state.is_final())
        {
            let kept = Kept::of(first.clone(), Arc::default(), &self.boot);
            visit(Pending { fold: Some(*fold), ..kept.pending(&content, &self.boot) });
        }
        Ok(())
    }

    fn schedules(&mut self) -> Result<Vec<StoredSchedule>, StoreError> {
        let content = self.disk.content();
        let told =
            |(record, boot): &(ScheduleRecord, String)| content.told(record, boot, &self.boot);
        Ok(content.schedules.values().map(told).collect())
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
            Change::Submitted { jobs, fold } => self.submitted(jobs, *fold, boot),
            Change::Unfolded { array, count } => self.unfold(*array, *count, boot),
            Change::FoldMoved { folded, from, to, reason, at } => {
                gate::fold_moved(folded.array, *from, *to)?;
                self.fold_moved(*folded, (*from, *to), reason.as_ref(), *at)
            }
            Change::EndedUnfolded { folded, count } => self.unfold_ended(*folded, *count, boot),
            Change::FoldRemoved { folded } => self.fold_removed(*folded),
            Change::Started { job, attempt, token, lane, class, at } => {
                gate::started(*job, *class)?;
                self.started(*job, *attempt, *token, (*lane, *class), *at)
            }
            Change::Ended { job, token, outcome, usage, at, next, not_before } => {
                gate::ended(*job, *next, *not_before)?;
                let kept = self.running(*job, *token)?;
                kept.ended(outcome, *usage, *next, *at);
                kept.go(*next, *not_before, *at, boot);
                Ok(())
            }
            Change::Moved { job, from, to, not_before, reason, at } => {
                gate::moved(*job, *from, *to, *not_before)?;
                let key = self.standing(*job, *from).map(|kept| kept.key())?;
                let comes_back = from.is_final() && !to.is_final();
                if comes_back && key.is_some_and(|key| self.unfinished_keys().any(|k| k == key)) {
                    return Err(Refusal::Invariant(format!("job {job} is not unique")));
                }
                let kept = self.standing(*job, *from)?;
                kept.moved((*from, *to), reason.as_ref());
                kept.go(*to, *not_before, *at, boot);
                Ok(())
            }
            Change::Suspected { job, suspicion, verdict } => {
                gate::suspected(*job, *suspicion)?;
                self.standing(*job, State::Running)?.suspected(*suspicion, verdict.as_ref());
                Ok(())
            }
            Change::CancelAsked { job, reason } => {
                let kept = self.standing(*job, State::Running)?;
                kept.job.cancel_asked = true;
                kept.job.reason.clone_from(reason);
                Ok(())
            }
            Change::HoldAsked { job, hold, reason } => {
                let kept = self.standing(*job, State::Running)?;
                kept.hold_asked = *hold;
                kept.job.reason.clone_from(reason);
                Ok(())
            }
            Change::Edited(edited) => self.edited(edited, boot),
            Change::Removed { jobs } => self.removed(jobs),
            Change::QueueSet(queue) => {
                gate::queue_set(queue)?;
                self.queues.insert(queue.name.clone(), queue.clone());
                Ok(())
            }
            Change::DrainSet(drain) => {
                self.drain.clone_from(drain);
                Ok(())
            }
            Change::QueueRemoved { name } => self.queue_removed(name),
            Change::ScheduleSet(record) => self.schedule_set(record, boot),
            Change::ScheduleTurned(turn) => self.schedule_turned(turn, boot),
            Change::ScheduleRemoved { schedule } => match self.schedules.remove(schedule) {
                Some(_) => Ok(()),
                None => Err(Refusal::NoSuchSchedule(*schedule)),
            },
        }
    }

    fn submitted(
        &mut self,
        jobs: &[NewJob],
        fold: Option<Fold>,
        boot: &Boot,
    ) -> Result<(), Refusal> {
        let next_job = gate::submitted(jobs, fold, self.next_job)?;
        let mut places: HashSet<ArrayPlace> =
            self.jobs.values().filter_map(|kept| kept.job.place).collect();
        if let Some(twice) = jobs.iter().filter_map(|job| job.place).find(|at| !places.insert(*at))
        {
            let (array, index) = (twice.array, twice.index);
            return Err(Refusal::Invariant(format!("{array}_{index} is there already")));
        }
        let mut keys: HashSet<_> = self.unfinished_keys().collect();
        let own = |job: &NewJob| Some((job.owner, job.unique.clone()?));
        if let Some((_, key)) = jobs.iter().filter_map(own).find(|key| !keys.insert(key.clone())) {
            return Err(Refusal::Invariant(format!("an unfinished job has the key {key:?}")));
        }
        let new = |id: JobId| jobs.iter().any(|job| job.id == id);
        let others = jobs.iter().flat_map(|job| job.requirements.iter().map(|other| other.job));
        if let Some(absent) = others.into_iter().find(|id| !self.jobs.contains_key(id) && !new(*id))
        {
            return Err(Refusal::NoSuchJob(absent));
        }
        self.next_job = next_job;
        self.jobs.extend(jobs.iter().map(|new| (new.id, Kept::new(new, boot))));
        if let (Some(fold), Some(last)) = (fold, jobs.last()) {
            let mut place = gate::folds(last)?;
            place.index += fold.step;
            let last = Kept::new(last, boot).job;
            let first = Job { id: last.id.after(1), place: Some(place), ..last };
            self.folds.insert(place.array, FoldedElements { first, fold });
        }
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
            let waits = |other: &&Kept| {
                let requires = other.requirements.iter().any(|r| r.job == kept.job.id);
                !other.passed && !other.job.state.is_final() && requires
            };
            if let Some(other) = self.jobs.values().find(waits) {
                return Err(Refusal::Awaited { job: kept.job.id, by: other.job.id });
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
        let folded = self
            .folds
            .values()
            .any(|folded| folded.first.spec.queue == name && !folded.first.state.is_final());
        if folded || self.jobs.values().any(in_use) {
            return Err(Refusal::QueueInUse(name.to_owned()));
        }
        self.queues.remove(name);
        Ok(())
    }

    fn unfinished_keys(&self) -> impl Iterator<Item = (u32, Arc<str>)> {
        let unfinished = self.jobs.values().filter(|kept| !kept.job.state.is_final());
        unfinished.filter_map(Kept::key)
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
                && filter.fits(&kept.job)
        })
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
