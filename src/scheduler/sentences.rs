//! Why a job is where it is, in words made from the data.
//!
//! Owns nothing and decides nothing.

use std::fmt;

use super::explain::{Explanation, Rank};
use super::gate::{Gate, Holder};
use crate::job::{Limits, Requirement, State, format_size};

impl Gate {
    /// The gate's name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Held { .. } => "held",
            Self::Requires { .. } | Self::RequiresMore { .. } | Self::Lost { .. } => "dependency",
            Self::NotBefore { .. } => "time",
            Self::Writing { .. } => "writing",
            Self::TooBig { .. } => "too_big",
            Self::StartsOff => "starts_off",
            Self::Drained { .. } => "drained",
            Self::NoRoom { .. } => "no_room",
            Self::QueuePaused { .. } => "queue_paused",
            Self::Rate { .. } => "rate",
            Self::QueueLimit { .. } => "queue_limit",
            Self::DaemonLimit { .. } => "daemon_limit",
            Self::KeyLimit { .. } => "key_limit",
            Self::KeyRate { .. } => "key_rate",
            Self::ArrayLimit { .. } => "array_limit",
            Self::Resource { .. } => "resource",
            Self::ResourceTooSmall { .. } => "resource_too_small",
            Self::RunsAlone { .. } => "runs_alone",
            Self::Apart { .. } => "apart",
            Self::PlaceKept { .. } => "place_kept",
            Self::LaneLimit { .. } => "lane_limit",
            Self::CorePermits { .. } => "core_permits",
            Self::KeptFor { .. } => "kept_for",
            Self::Behind { .. } => "behind",
            Self::OtherQueue { .. } => "other_queue",
        }
    }
}

impl fmt::Display for Explanation {
    /// One sentence a line: the state, then each gate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {} is {}", self.job, self.state)?;
        if let Some((token, lane)) = self.running {
            write!(f, " on the {lane} lane as attempt {token}")?;
        }
        if let Some(Rank { place, of }) = self.rank {
            write!(f, ", number {place} of {of} ready jobs in its queue")?;
        }
        for gate in &self.gates {
            write!(f, "\n{gate}")?;
        }
        if self.gates.is_empty() && self.state == State::Queued {
            f.write_str("\nnothing is in its way: it starts next")?;
        }
        Ok(())
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { reason } => {
                f.write_str("it is held")?;
                because(f, reason.as_deref())?;
                f.write_str("; release it to let it go on")
            }
            Self::Requires { requirement: Requirement { job, on }, state } => {
                write!(f, "job {job} has to {}", on.verb())?;
                state.map_or(Ok(()), |state| write!(f, "; it is {state}"))
            }
            Self::RequiresMore { count } => write!(f, "it waits for {count} more jobs"),
            Self::Lost { why } => write!(f, "it will be skipped: {why}"),
            Self::NotBefore { left, .. } => {
                write!(f, "it may not start for another {}", seconds(*left))
            }
            Self::Writing { to, refused: false } => {
                write!(f, "it is being written down as {to}")
            }
            Self::Writing { to, refused: true } => {
                write!(f, "the store refused to write it down as {to}; that is tried again")
            }
            Self::TooBig { needed, size } => write!(
                f,
                "it needs {needed} core permits and there are only {size}: enlarge the pool, or cancel it and submit it with fewer"
            ),
            Self::StartsOff => f.write_str(
                "nothing new starts: the daemon is draining, is being restarted or can't write",
            ),
            Self::NoRoom { starts } => write!(
                f,
                "the system has no room for another process, or no descriptor for it: its command starts as soon as there is; {starts} starts are tried again and again"
            ),
            Self::Drained { .. } | Self::QueuePaused { .. } => self.fmt_shut(f),
            Self::Rate { queue, rate, left } => {
                let left = seconds(*left);
                write!(
                    f,
                    "queue {queue} starts {rate} and has done so: the next may start in {left}"
                )
            }
            Self::QueueLimit { .. } | Self::DaemonLimit { .. } | Self::LaneLimit { .. } => {
                self.fmt_full(f)
            }
            Self::KeyLimit { .. }
            | Self::KeyRate { .. }
            | Self::ArrayLimit { .. }
            | Self::Resource { .. }
            | Self::ResourceTooSmall { .. }
            | Self::PlaceKept { .. } => self.fmt_named(f),
            Self::CorePermits { needed, free, total, holders } => {
                write!(f, "it needs {needed} core permits and {free} of {total} are free")?;
                for (index, holder) in holders.iter().enumerate() {
                    let lead = if index == 0 { "; held by" } else { "," };
                    write!(f, "{lead} job {} ({})", holder.job, holder.permits)?;
                }
                Ok(())
            }
            Self::KeptFor { job, needed } => {
                write!(f, "what gets free is kept for job {job}, which needs {needed}")
            }
            Self::RunsAlone { .. } | Self::Apart { .. } => self.fmt_alone(f),
            Self::Behind { ahead } => write!(
                f,
                "{} of its queue {} first",
                jobs(*ahead as u64),
                if *ahead == 1 { "goes" } else { "go" }
            ),
            Self::OtherQueue { queue } => write!(f, "it is the turn of queue {queue}"),
        }
    }
}

impl Gate {
    /// Who runs alone, and who waits for that.
    fn fmt_alone(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunsAlone { suspicion, running, holders } => {
                write!(f, "{suspicion}, so it runs alone; {running} inside the daemon now")?;
                listed(f, holders)
            }
            Self::Apart { job, running } => {
                let does = if *running { "runs" } else { "is to run" };
                write!(
                    f,
                    "job {job} {does} alone, since the daemon died while it ran: nothing else starts inside the daemon before it has ended"
                )
            }
            other => f.write_str(other.name()),
        }
    }

    /// What somebody shut, and how it is opened.
    fn fmt_shut(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained { reason } => {
                f.write_str("nothing new starts: the daemon is drained")?;
                because(f, reason.as_deref())?;
                write!(f, "; `{} drain --off` ends that", crate::NAME)
            }
            Self::QueuePaused { queue, reason } => {
                write!(f, "queue {queue} is paused")?;
                because(f, reason.as_deref())
            }
            other => f.write_str(other.name()),
        }
    }

    /// What runs as many jobs as it may.
    fn fmt_full(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueLimit { queue, running, max, holders } => {
                write!(f, "queue {queue} runs {} of at most {max}", jobs(u64::from(*running)))?;
                listed(f, holders)
            }
            Self::DaemonLimit { running, max, holders } => {
                write!(f, "the daemon runs {} of at most {max}", jobs(u64::from(*running)))?;
                listed(f, holders)
            }
            Self::LaneLimit { class, running, max, holders } => {
                let running = run(*running, &format!("of class {class}"));
                write!(f, "{running}, of at most {max}")?;
                listed(f, holders)
            }
            other => f.write_str(other.name()),
        }
    }

    /// The gates that have a name of the user's.
    fn fmt_named(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyRate { key, rate, left, origin } => {
                let left = seconds(*left);
                write!(
                    f,
                    "jobs with the key {key} start {rate} ({origin}) and have done so: the next may start in {left}"
                )
            }
            Self::KeyLimit { key, running, max, origin, holders } => {
                let running = run(*running, &format!("with the key {key}"));
                write!(f, "{running}, of at most {max} ({origin})")?;
                listed(f, holders)
            }
            Self::ArrayLimit { array, running, max, holders } => {
                let of = if *running == 1 {
                    "1 element".to_owned()
                } else {
                    format!("{running} elements")
                };
                let verb = if *running == 1 { "runs" } else { "run" };
                write!(f, "{of} of array {array} {verb}, of at most {max}")?;
                listed(f, holders)
            }
            Self::Resource { name, needed, free, capacity, holders } => {
                let amount = |amount: u64| amount_of(name, amount);
                let (needed, free, capacity) = (amount(*needed), amount(*free), amount(*capacity));
                write!(
                    f,
                    "it needs {needed} of the resource {name} and {free} of {capacity} are free"
                )?;
                for (index, holder) in holders.iter().enumerate() {
                    let lead = if index == 0 { "; held by" } else { "," };
                    write!(f, "{lead} job {} ({})", holder.job, amount(holder.permits))?;
                }
                Ok(())
            }
            Self::ResourceTooSmall { name, needed, capacity } => {
                let (needed, capacity) = (amount_of(name, *needed), amount_of(name, *capacity));
                write!(
                    f,
                    "it needs {needed} of the resource {name} and there are only {capacity}: enlarge resources.{name} in the config and reload, or cancel it"
                )
            }
            Self::PlaceKept { limit, job } => {
                write!(f, "the next place under {limit} is kept for job {job}")
            }
            other => f.write_str(other.name()),
        }
    }
}

/// Who has the places, as far as they are named.
fn listed(f: &mut fmt::Formatter<'_>, holders: &[Holder]) -> fmt::Result {
    for (index, holder) in holders.iter().enumerate() {
        let lead = if index == 0 { ": job" } else { "," };
        write!(f, "{lead} {}", holder.job)?;
    }
    Ok(())
}

fn jobs(count: u64) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") }
}

/// So many jobs of this sort run.
fn run(count: u32, sort: &str) -> String {
    if count == 1 { format!("1 job {sort} runs") } else { format!("{count} jobs {sort} run") }
}

/// Memory is told in bytes, everything else is counted.
fn amount_of(resource: &str, amount: u64) -> String {
    if resource == Limits::MEMORY { format_size(amount) } else { amount.to_string() }
}

fn because(f: &mut fmt::Formatter<'_>, reason: Option<&str>) -> fmt::Result {
    reason.map_or(Ok(()), |reason| write!(f, " ({reason})"))
}

/// Whole seconds, rounded up: nobody who waits wants to read nanoseconds.
fn seconds(left: std::time::Duration) -> String {
    let whole = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    crate::job::format_duration(std::time::Duration::from_secs(whole))
}
