//! The words: what client and daemon say to each other over the socket.
//!
//! Owns the messages, their limits and the `.varlink` interface. The protocol is Varlink
//! (<https://varlink.org>): JSON objects, each ended by a NUL byte. Never opens a socket, never knows how
//! a job is stored or run. Invariant: wire types only ever gain fields, and the interface file and
//! the types here say the same, which a test holds.

mod after;
mod convert;
mod envelope;
mod error;
mod explain;
mod follow;
mod graph;
mod job;
mod manage;
mod method;
mod observe;
mod place;
mod schedule;
mod select;

pub use after::{After, AfterError, Whom};
pub use convert::{
    finished_to_wire, from_rfc3339, job_to_wire, required_to_wire, schedule_to_wire, summary,
    summary_of, to_rfc3339, usage_seconds,
};
pub use envelope::{Call, Reply, ReplyError, encode};
pub use error::Error;
pub use explain::{Explain, ExplainReply, Forecast, Gate, Holder};
pub use follow::{ArrayEnd, Finished, Lend, Logs, LogsReply, Stream, Wait, WaitReply};
pub use graph::{Graph, GraphEdge, GraphReply};
pub use job::{
    Array, Attempt, Context, Details, Existing, Job, JobSpec, Required, Show, ShowReply, Submit,
    SubmitReply,
};
pub use manage::{
    ArrayChange, Cancel, ChangeReply, Declined, DeclinedElements, Drain, Edit, Empty, Hold, Lanes,
    LanesReply, Pause, Prune, PruneReply, Queue, Queues, QueuesReply, Release, Reload, ReloadReply,
    Remove, RemoveQueue, Resource, Resume, Retry, SetLanes, SetQueue, Stop, Worker,
};
pub use method::{DecodeError, METHODS, Method, Request, call};
pub use observe::{
    Config, ConfigEntry, ConfigReply, Event, Kind, Kinds, KindsReply, Parameter, StateCount, Stats,
    StatsReply, Status, StatusReply, Watch, WatchReply,
};
pub use place::{SYSTEM_SOCKET, socket_in, user_socket, user_state_dir};
pub use schedule::{
    AddSchedule, PauseSchedule, RemoveSchedule, ResumeSchedule, Schedule, ScheduleReply, Schedules,
    SchedulesReply, ShowSchedule,
};
pub use select::{
    ElementCount, ElementRange, Elements, IdRange, List, ListReply, SelectError, Selector,
};

/// The most elements of one array that a change tells of by their ids when it passed them over.
pub const MAX_DECLINED_TOLD: usize = 100;

/// The longest message either side takes, in bytes: a full batch of jobs with long command lines fits,
/// a hostile client can't make the other side hold more than this.
pub const MAX_MESSAGE: usize = 16 << 20;
/// The most jobs in one Submit; an array counts as one.
pub const MAX_BATCH: usize = 10_000;
/// The most elements of one array.
pub const MAX_ARRAY: u64 = 10_000_000;
/// The most elements of an array that wait for a time or for other jobs: each of them is written down
/// by itself from the start.
pub const MAX_WHOLE_ARRAY: u64 = 100_000;
/// The most other jobs that one job can require something of.
pub const MAX_REQUIREMENTS: usize = 10_000;
/// The most requirements of all jobs of one Submit together: they are one commit.
pub const MAX_BATCH_REQUIREMENTS: usize = 1_000_000;
/// The longest unique key, in bytes: an index is no place for texts.
pub const MAX_UNIQUE: usize = 512;
/// The most schedules of all users together: each is held in memory with its work.
pub const MAX_SCHEDULES: usize = 10_000;
/// How many of its next moments a schedule that is shown tells.
pub const SHOWN_MOMENTS: usize = 5;
/// The most jobs on one page of List.
pub const MAX_PAGE: u32 = 1_000;
/// The most bytes of output in one Logs reply, before encoding.
pub const MAX_CHUNK: usize = 256 << 10;

/// The interface as it is served by `GetInterfaceDescription`.
pub const INTERFACE_DESCRIPTION: &str = include_str!("io.twolane.Scheduler.varlink");
/// The standard interface that every Varlink service serves beside its own.
pub const SERVICE_DESCRIPTION: &str = include_str!("org.varlink.service.varlink");
