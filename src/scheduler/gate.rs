//! What keeps a job from starting, as data.
//!
//! Owns nothing and decides nothing.

use super::holders::Origin;
use crate::job::{Class, Deadline, JobId, Requirement, State, Suspicion};

/// Something that keeps a job from starting.
#[derive(Clone, Debug, PartialEq)]
pub enum Gate {
    /// It is held.
    Held {
        /// Why, if somebody said so since the daemon started.
        reason: Option<String>,
    },
    /// It requires something of another job that has not ended.
    Requires {
        /// What.
        requirement: Requirement,
        /// Where the other job stands; none while it is on its way back to life.
        state: Option<State>,
    },
    /// More of the same.
    RequiresMore {
        /// How many.
        count: usize,
    },
    /// Something that it requires can't come true any more: it is skipped as soon as it waits again.
    Lost {
        /// Why.
        why: String,
    },
    /// It is not its time yet.
    NotBefore {
        /// When.
        moment: Deadline,
        /// How long until then.
        left: std::time::Duration,
    },
    /// A change of it is under way to the disk.
    Writing {
        /// Where it goes.
        to: State,
        /// The change was refused and is tried again.
        refused: bool,
    },
    /// It asks for more core permits than there are: it can't start before the lane grows.
    TooBig {
        /// How many it asks for.
        needed: u32,
        /// How many there are.
        size: u32,
    },
    /// Nothing new starts: the daemon drains, or can't write.
    StartsOff,
    /// Nothing new starts: the daemon was drained. Told by the daemon instead of [`Gate::StartsOff`],
    /// which is all that the scheduler knows.
    Drained {
        /// Why.
        reason: Option<String>,
    },
    /// It has its place, and the system has no process or descriptor for its command. Told by the daemon, of a job that
    /// counts as running.
    NoRoom {
        /// How many starts are being tried again.
        starts: usize,
    },
    /// Its queue is paused.
    QueuePaused {
        /// Which queue.
        queue: String,
        /// Why.
        reason: Option<String>,
    },
    /// As many jobs of its queue have started as its rate allows.
    Rate {
        /// Which queue.
        queue: String,
        /// How many may start, in which span.
        rate: crate::job::Rate,
        /// How long until the next may.
        left: std::time::Duration,
    },
    /// Its queue runs as many jobs as it may.
    QueueLimit {
        /// Which queue.
        queue: String,
        /// How many run.
        running: u32,
        /// How many may.
        max: u32,
        /// Which run, as far as they are named.
        holders: Vec<Holder>,
    },
    /// The daemon runs as many jobs as it may.
    DaemonLimit {
        /// How many run.
        running: u32,
        /// How many may.
        max: u32,
        /// Which run, as far as they are named.
        holders: Vec<Holder>,
    },
    /// As many jobs with one of its keys run as may.
    KeyLimit {
        /// Which key.
        key: String,
        /// How many run.
        running: u32,
        /// How many may.
        max: u32,
        /// Who says so.
        origin: Origin,
        /// Which of them run, as far as they are named.
        holders: Vec<Holder>,
    },
    /// As many jobs with one of its keys have started as the key's rate allows.
    KeyRate {
        /// Which key.
        key: String,
        /// How many may start, in which span.
        rate: crate::job::Rate,
        /// How long until the next may.
        left: std::time::Duration,
        /// The rule of the settings that says so.
        origin: Origin,
    },
    /// As many elements of its array run as may.
    ArrayLimit {
        /// The array's first id.
        array: JobId,
        /// How many run.
        running: u32,
        /// How many may.
        max: u32,
        /// Which run, as far as they are named.
        holders: Vec<Holder>,
    },
    /// Too little of a named resource is free.
    Resource {
        /// Which.
        name: String,
        /// How much it asks for.
        needed: u64,
        /// How much is free.
        free: u64,
        /// How much there is.
        capacity: u64,
        /// Who holds it, as far as they are named.
        holders: Vec<Holder>,
    },
    /// It asks for more of a resource than there is: it can't start before the settings change.
    ResourceTooSmall {
        /// Which.
        name: String,
        /// How much it asks for.
        needed: u64,
        /// How much there is.
        capacity: u64,
    },
    /// The daemon died while it ran: it runs alone, once nothing else runs inside the daemon.
    RunsAlone {
        /// How often.
        suspicion: Suspicion,
        /// How many others run there.
        running: u32,
        /// Which, as far as they are named.
        holders: Vec<Holder>,
    },
    /// It would run inside the daemon, where another job is to run alone.
    Apart {
        /// Which.
        job: JobId,
        /// It runs; otherwise it waits for what runs there to end.
        running: bool,
    },
    /// The last place under one of its limits is kept for a job that was overtaken often enough.
    PlaceKept {
        /// Which limit.
        limit: String,
        /// The job it is kept for.
        job: JobId,
    },
    /// Its lane runs as many jobs of its class as it may.
    LaneLimit {
        /// Which class.
        class: Class,
        /// How many run.
        running: u32,
        /// How many may.
        max: u32,
        /// Which run, as far as they are named.
        holders: Vec<Holder>,
    },
    /// Too few core permits are free.
    CorePermits {
        /// How many it asks for.
        needed: u32,
        /// How many are free.
        free: u32,
        /// How many there are, the lent ones included.
        total: u32,
        /// Who holds the most of them.
        holders: Vec<Holder>,
    },
    /// What gets free is kept for a job that was overtaken often enough.
    KeptFor {
        /// Which job.
        job: JobId,
        /// How many core permits it needs.
        needed: u32,
    },
    /// Others of its queue go first.
    Behind {
        /// How many.
        ahead: usize,
    },
    /// It is another queue's turn.
    OtherQueue {
        /// Which.
        queue: String,
    },
}

/// A running job that holds something others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which job.
    pub job: JobId,
    /// How many core permits, how much of a resource; 1 for a place under a key.
    pub permits: u64,
}
