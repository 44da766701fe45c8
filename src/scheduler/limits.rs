//! Limits by name: how many jobs with a key, or of an array, run at once, and named resources.
//!
//! Owns the limits, what is taken of them, and which lines are *parked* on them. Never chooses who
//! starts. Invariant: a limit is kept exactly as long as a job stands under it; a resource also as
//! long as it is configured, a key also as long as its rate counts a start.
//!
//! Jobs that stand under the same limits share a *set*, and a set is part of a line's shape: a limit
//! that is reached parks lines, not jobs.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::entry::Resource;
use super::limit_names::{LimitName, LimitNames, Named};
use super::lines::{Group, LineNo};
use super::rules::{Ruled, Rules};
use super::table::Key;
use crate::job::{ArrayPlace, JobId, Limits};

/// Which units of which resources a job holds.
pub(super) type Units = Vec<(LimitNo, Vec<Arc<str>>)>;

/// A limit's number.
pub(super) type LimitNo = u32;

/// A limit that a job stands under, and how much it takes of it.
type Share = (LimitNo, u64);

/// The limits that a job stands under: nearly always one, which then needs no box of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Set {
    One(Share),
    Many(Box<[Share]>),
}

impl Set {
    fn shares(&self) -> &[Share] {
        match self {
            Self::One(share) => std::slice::from_ref(share),
            Self::Many(shares) => shares,
        }
    }
}

impl From<&[Share]> for Set {
    fn from(shares: &[Share]) -> Self {
        if let [one] = *shares { Self::One(one) } else { Self::Many(shares.into()) }
    }
}

// So that a set is found by its shares without making another one.
impl Borrow<[Share]> for Set {
    fn borrow(&self) -> &[Share] {
        self.shares()
    }
}

impl Hash for Set {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shares().hash(state);
    }
}

/// A set that jobs have.
#[derive(Debug)]
struct KeptSet {
    set: Set,
    /// How many jobs have it, none where the number is free.
    jobs: u32,
    /// The line that was made last for such jobs: nearly always the only one, and looked at first.
    line: LineNo,
}

/// The set of jobs that stand under no limit.
pub(super) const NONE: u32 = 0;

/// One limit.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) name: LimitName,
    /// How many may run at once, or how much there is.
    pub(super) max: u64,
    /// How many may run at once as the newest job says.
    asked: u64,
    /// What the settings say of the key.
    pub(super) ruled: Option<Box<Ruled>>,
    /// How many run, or how much is taken.
    pub(super) used: u64,
    /// How much is kept for the line that was overtaken too often.
    pub(super) kept: u64,
    /// The units' names, if it has any: each is held by one job at a time.
    pub(super) units: Vec<Arc<str>>,
    /// The units that are held.
    pub(super) held: BTreeSet<Arc<str>>,
    /// Whether it is a resource that the settings name.
    pub(super) configured: bool,
    /// Starts so far.
    pub(super) starts: u64,
    /// Lines that wait for it, by group and best head.
    pub(super) parked: BTreeMap<Group, BTreeSet<(Key, LineNo)>>,
    /// Lines that were first kept waiting by it and have not started since, the oldest first.
    pub(super) waiters: BTreeSet<(u64, LineNo)>,
    /// The newest job that named it.
    pub(super) newest: JobId,
    /// How many sets it is in.
    sets: u32,
    /// The set of jobs that take one of it and stand under no other, or [`NONE`], and the same for those that
    /// run inside the daemon: found here, most jobs need no look into the table of sets.
    alone: [u32; 2],
}

/// All limits and sets of them.
#[derive(Debug, Default)]
pub(super) struct LimitTable {
    limits: Vec<Option<Limit>>,
    free_limits: Vec<LimitNo>,
    pub(super) names: LimitNames,
    /// By number, beginning with 1.
    sets: Vec<KeptSet>,
    free_sets: Vec<u32>,
    pub(super) rules: Rules,
    numbers: HashMap<Set, u32>,
    /// The shares of the job that comes under its limits, kept for the room they stand in.
    shares: Vec<Share>,
    /// The limit of what runs inside the daemon, if any job may.
    inside: Option<LimitNo>,
}

impl LimitTable {
    /// The number of the set for one more job, and the limits that became larger by it.
    pub(super) fn take(
        &mut self,
        (job, owner): (JobId, u32),
        place: Option<ArrayPlace>,
        limits: Option<&Limits>,
        inside: bool,
    ) -> (u32, Vec<LimitNo>) {
        let inside = inside.then(|| self.inside(job));
        let Some(limits) = limits.filter(|limits| !limits.is_empty()) else {
            return (inside.map_or(NONE, |inside| self.set(&[(inside, 1)])), Vec::new());
        };
        let mut grown = Vec::new();
        let mut shares = std::mem::take(&mut self.shares);
        shares.clear();
        for wanted in &limits.keys {
            let max = wanted.max.map_or(u64::MAX, u64::from);
            shares.push((self.limit(Named::Key(owner, &wanted.key), max, job, &mut grown), 1));
        }
        if let (Some(max), Some(place)) = (limits.array, place) {
            let name = Named::Array(place.array);
            shares.push((self.limit(name, u64::from(max), job, &mut grown), 1));
        }
        for (name, amount) in &limits.resources {
            shares.push((self.resource(name), *amount));
        }
        shares.extend(inside.map(|inside| (inside, 1)));
        if shares.len() > 1 {
            shares.sort_unstable();
            shares.dedup();
        }
        let set = self.set(&shares);
        self.shares = shares;
        (set, grown)
    }

    fn limit(
        &mut self,
        name: Named<'_>,
        max: u64,
        job: JobId,
        grown: &mut Vec<LimitNo>,
    ) -> LimitNo {
        if let Some(number) = self.names.find(name) {
            if let Some(limit) = self.get_mut(number).filter(|limit| limit.newest <= job) {
                let before = limit.max;
                (limit.asked, limit.newest) = (max, job);
                limit.renew();
                if limit.max > before {
                    grown.push(number);
                }
            }
            return number;
        }
        self.add(name.into(), max, job)
    }

    /// The number of a resource; one that the settings do not name has nothing.
    fn resource(&mut self, name: &str) -> LimitNo {
        let name = Named::Resource(name);
        self.names.find(name).unwrap_or_else(|| self.add(name.into(), 0, JobId::FIRST))
    }

    /// The number of the limit of what runs inside the daemon: any number may, unless somebody is to run alone.
    fn inside(&mut self, job: JobId) -> LimitNo {
        let number = self.inside.unwrap_or_else(|| self.add(LimitName::Inside, u64::MAX, job));
        *self.inside.insert(number)
    }

    /// Whether jobs with this set run inside the daemon.
    pub(super) fn is_inside(&self, set: u32) -> bool {
        self.inside.is_some_and(|inside| self.of(set).iter().any(|&(limit, _)| limit == inside))
    }

    /// Whether this is the limit of what runs inside the daemon.
    pub(super) fn is_about_inside(&self, number: LimitNo) -> bool {
        self.inside == Some(number)
    }

    /// How many have a place inside the daemon.
    pub(super) fn used_inside(&self) -> u64 {
        self.inside.and_then(|inside| self.get(inside)).map_or(0, |limit| limit.used)
    }

    /// Shuts the inside of the daemon for everybody who has no place there, or opens it; says which limit that is.
    pub(super) fn open_inside(&mut self, open: bool) -> Option<LimitNo> {
        let inside = self.inside?;
        let limit = self.get_mut(inside)?;
        limit.asked = if open { u64::MAX } else { 0 };
        limit.renew();
        Some(inside)
    }

    fn add(&mut self, name: LimitName, asked: u64, newest: JobId) -> LimitNo {
        let mut limit = Limit {
            ruled: self.rules.rule(&name),
            name,
            max: asked,
            asked,
            used: 0,
            kept: 0,
            units: Vec::new(),
            held: BTreeSet::new(),
            configured: false,
            starts: 0,
            parked: BTreeMap::new(),
            waiters: BTreeSet::new(),
            newest,
            sets: 0,
            alone: [NONE; 2],
        };
        limit.renew();
        let number = self.free_limits.pop().unwrap_or_else(|| {
            self.limits.push(None);
            self.limits.len() as u32 - 1
        });
        self.names.insert(&limit.name, number);
        self.limits[number as usize] = Some(limit);
        number
    }

    /// Takes over the resources of the settings; says which there are now, those without any included.
    pub(super) fn configure(&mut self, resources: &[Resource]) -> Vec<LimitNo> {
        for limit in self.limits.iter_mut().flatten().filter(|limit| limit.configured) {
            (limit.max, limit.configured) = (0, false);
            limit.units.clear();
        }
        for Resource { name, capacity, units } in resources {
            let number = self.resource(name);
            if let Some(limit) = self.get_mut(number) {
                (limit.max, limit.configured) = (*capacity, true);
                limit.units.clone_from(units);
            }
        }
        let is_resource = |limit: &Limit| matches!(limit.name, LimitName::Resource(_));
        let all: Vec<_> =
            self.iter().filter(|(_, limit)| is_resource(limit)).map(|(number, _)| number).collect();
        for &number in &all {
            self.tidy(number);
        }
        all
    }

    fn set(&mut self, shares: &[Share]) -> u32 {
        if shares.is_empty() {
            return NONE;
        }
        let alone = self.alone(shares).copied().filter(|&number| number != NONE);
        if let Some(number) = alone.or_else(|| self.numbers.get(shares).copied()) {
            self.sets[number as usize - 1].jobs += 1;
            return number;
        }
        for &(limit, _) in shares {
            if let Some(limit) = self.get_mut(limit) {
                limit.sets += 1;
            }
        }
        let set = Set::from(shares);
        let kept = KeptSet { set: set.clone(), jobs: 1, line: 0 };
        let number = if let Some(number) = self.free_sets.pop() {
            self.sets[number as usize - 1] = kept;
            number
        } else {
            self.sets.push(kept);
            self.sets.len() as u32
        };
        if let Some(alone) = self.alone(shares) {
            *alone = number;
        }
        self.numbers.insert(set, number);
        number
    }

    fn alone(&mut self, shares: &[Share]) -> Option<&mut u32> {
        let (limit, inside) = match *shares {
            [(limit, 1)] => (limit, 0),
            [(inside, 1), (limit, 1)] | [(limit, 1), (inside, 1)]
                if self.inside == Some(inside) =>
            {
                (limit, 1)
            }
            _ => return None,
        };
        self.get_mut(limit).map(|limit| &mut limit.alone[inside])
    }

    /// A job that had the set is forgotten.
    pub(super) fn give_back(&mut self, number: u32) {
        if number == NONE {
            return;
        }
        let kept = &mut self.sets[number as usize - 1];
        kept.jobs -= 1;
        if kept.jobs > 0 {
            return;
        }
        let set = std::mem::replace(&mut kept.set, Set::Many(Box::default()));
        if let Some(alone) = self.alone(set.shares()) {
            *alone = NONE;
        }
        self.numbers.remove(set.shares());
        self.free_sets.push(number);
        for &(number, _) in set.shares() {
            if let Some(limit) = self.get_mut(number) {
                limit.sets -= 1;
                self.tidy(number);
            }
        }
    }

    /// Forgets the limit if nothing needs it and no start under it counts.
    pub(super) fn tidy(&mut self, number: LimitNo) {
        let unused = |limit: &&Limit| limit.sets == 0 && !limit.configured;
        if let Some(until) = self.get(number).filter(unused).and_then(Limit::counts_until) {
            if let Some(other) = self.rules.keep(number, until) {
                self.forget_kept(other);
            }
        } else {
            self.forget(number);
        }
    }

    /// The starts of a key that was kept for them do not count any more.
    pub(super) fn forget_kept(&mut self, number: LimitNo) {
        let counts = self.get(number).and_then(Limit::counts_until);
        // It may have been used again: then it is kept until its last start does not count.
        let again = counts.is_some_and(|until| self.rules.kept.contains(&(until, number)));
        if !again {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: LimitNo) {
        let Some(limit) = self.get(number).filter(|limit| limit.sets == 0 && !limit.configured)
        else {
            return;
        };
        debug_assert!(limit.used == 0 && limit.parked.is_empty(), "{limit:?} is in use");
        let (name, shut_until) = (limit.name.clone(), limit.shut_until());
        if let Some(until) = shut_until {
            self.rules.opening.remove(&(until, number));
        }
        self.names.remove(&name);
        self.inside.take_if(|inside| *inside == number);
        self.limits[number as usize] = None;
        self.free_limits.push(number);
    }

    /// The limits of a set.
    pub(super) fn of(&self, set: u32) -> &[Share] {
        if set == NONE { &[] } else { self.sets[set as usize - 1].set.shares() }
    }

    /// The line that was made last for jobs with this set; it may be gone, or another one's by now.
    pub(super) fn latest_line(&self, set: u32) -> Option<LineNo> {
        (set != NONE).then(|| self.sets[set as usize - 1].line)
    }

    /// A line was made for jobs with this set.
    pub(super) fn note_line(&mut self, set: u32, line: LineNo) {
        if set != NONE {
            self.sets[set as usize - 1].line = line;
        }
    }

    /// The limit of this number, unless it was forgotten.
    pub(super) fn get(&self, number: LimitNo) -> Option<&Limit> {
        self.limits.get(number as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: LimitNo) -> Option<&mut Limit> {
        self.limits.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LimitNo, &Limit)> {
        let all = self.limits.iter().enumerate();
        all.filter_map(|(number, limit)| Some((number as LimitNo, limit.as_ref()?)))
    }

    /// Counts a start of a job with this set; says which units it gets.
    pub(super) fn start(&mut self, set: u32) -> Units {
        let mut units = Units::new();
        for index in 0..self.of(set).len() {
            let (number, amount) = self.of(set)[index];
            let Some(limit) = self.get_mut(number) else { continue };
            limit.used += amount;
            limit.starts += 1;
            if limit.units.is_empty() {
                continue;
            }
            let free = limit.units.iter().filter(|unit| !limit.held.contains(*unit));
            let taken: Vec<_> = free.take(amount as usize).cloned().collect();
            debug_assert_eq!(taken.len() as u64, amount, "a unit for each place");
            limit.held.extend(taken.iter().cloned());
            units.push((number, taken));
        }
        units
    }

    /// A job with this set and these units has ended.
    pub(super) fn end(&mut self, set: u32, units: &Units) {
        for index in 0..self.of(set).len() {
            let (number, amount) = self.of(set)[index];
            if let Some(limit) = self.get_mut(number) {
                debug_assert!(limit.used >= amount, "{limit:?} was not taken");
                limit.used = limit.used.saturating_sub(amount);
            }
        }
        for (number, taken) in units {
            if let Some(limit) = self.get_mut(*number) {
                limit.held.retain(|unit| !taken.contains(unit));
            }
        }
    }

    pub(super) fn park(&mut self, number: LimitNo, group: Group, key: Key, line: LineNo) {
        if let Some(limit) = self.get_mut(number) {
            limit.parked.entry(group).or_default().insert((key, line));
        }
    }

    pub(super) fn unpark(&mut self, number: LimitNo, group: Group, key: Key, line: LineNo) {
        let Some(limit) = self.get_mut(number) else { return };
        if let Some(lines) = limit.parked.get_mut(&group) {
            lines.remove(&(key, line));
            if lines.is_empty() {
                limit.parked.remove(&group);
            }
        }
    }

    /// Whether lines of this group are parked on the limit.
    pub(super) fn has_parked(&self, number: LimitNo, group: Group) -> bool {
        self.get(number).is_some_and(|limit| limit.parked.contains_key(&group))
    }
}

impl Limit {
    /// Whether so much may be taken; the line for which something is kept may take that too.
    pub(super) fn admits(&self, amount: u64, favoured: bool) -> bool {
        let kept = if favoured { 0 } else { self.kept };
        self.shut_until().is_none()
            && self.used.saturating_add(amount).saturating_add(kept) <= self.max
    }

    /// Whether a job stands under it, or the settings name it.
    pub(super) fn is_used(&self) -> bool {
        self.sets > 0 || self.configured
    }

    /// The smallest of what jobs and settings say counts.
    pub(super) fn renew(&mut self) {
        if !matches!(self.name, LimitName::Resource(_)) {
            let ruled = self.ruled.as_ref().and_then(|ruled| ruled.max);
            self.max = self.asked.min(ruled.map_or(u64::MAX, u64::from));
        }
    }
}
