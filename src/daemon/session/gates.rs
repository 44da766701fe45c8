//! Gates as data: what a job waits for, in fields beside the sentence.

use std::time::Duration;

use crate::job::{State, WallTime};
use crate::protocol;
use crate::scheduler::{Basis, Forecast, Gate, Holder};

/// The gate as clients see it.
pub(super) fn gate_to_wire(gate: &Gate) -> protocol::Gate {
    let fields = match gate {
        Gate::Requires { requirement, state } => {
            protocol::Gate { job: Some(requirement.job), state: *state, ..blank() }
        }
        Gate::NotBefore { moment, left } => protocol::Gate {
            at: Some(protocol::to_rfc3339(moment.wall)),
            wait_ms: Some(millis(*left)),
            ..blank()
        },
        Gate::QueuePaused { queue, .. } | Gate::OtherQueue { queue } => {
            protocol::Gate { name: Some(queue.clone()), ..blank() }
        }
        Gate::Rate { queue, rate, left } => protocol::Gate {
            name: Some(queue.clone()),
            max: Some(u64::from(rate.starts())),
            wait_ms: Some(millis(*left)),
            ..blank()
        },
        Gate::KeyRate { key, rate, left, origin } => protocol::Gate {
            name: Some(key.clone()),
            max: Some(u64::from(rate.starts())),
            wait_ms: Some(millis(*left)),
            origin: Some(origin.to_string()),
            ..blank()
        },
        Gate::PlaceKept { limit, job } => {
            protocol::Gate { name: Some(limit.clone()), job: Some(*job), ..blank() }
        }
        Gate::KeptFor { job, needed } => {
            protocol::Gate { job: Some(*job), needed: Some(u64::from(*needed)), ..blank() }
        }
        Gate::Apart { job, running } => protocol::Gate {
            job: Some(*job),
            state: Some(if *running { State::Running } else { State::Queued }),
            ..blank()
        },
        Gate::Held { .. }
        | Gate::RequiresMore { .. }
        | Gate::Lost { .. }
        | Gate::Writing { .. }
        | Gate::StartsOff
        | Gate::Drained { .. }
        | Gate::Behind { .. } => blank(),
        gate => counted(gate),
    };
    protocol::Gate { gate: gate.name().to_owned(), detail: gate.to_string(), ..fields }
}

/// The gates of which there is a number, and somebody who has it.
fn counted(gate: &Gate) -> protocol::Gate {
    let numbers = |name: Option<String>, used: u32, max: u32| protocol::Gate {
        name,
        used: Some(u64::from(used)),
        max: Some(u64::from(max)),
        ..blank()
    };
    let runs = |name, used, max, holders: &[Holder]| protocol::Gate {
        holders: holders.iter().map(holder).collect(),
        ..numbers(name, used, max)
    };
    match gate {
        Gate::TooBig { needed, size } => protocol::Gate {
            needed: Some(u64::from(*needed)),
            max: Some(u64::from(*size)),
            ..blank()
        },
        Gate::QueueLimit { queue, running, max, holders } => {
            runs(Some(queue.clone()), *running, *max, holders)
        }
        Gate::DaemonLimit { running, max, holders } => runs(None, *running, *max, holders),
        Gate::RunsAlone { suspicion, running, holders } => protocol::Gate {
            crashes: Some(suspicion.crashes),
            crashes_alone: Some(suspicion.alone),
            ..runs(None, *running, 0, holders)
        },
        Gate::NoRoom { starts } => {
            protocol::Gate { needed: u64::try_from(*starts).ok(), ..blank() }
        }
        Gate::LaneLimit { class, running, max, holders } => {
            runs(Some(class.to_string()), *running, *max, holders)
        }
        Gate::KeyLimit { key, running, max, origin, holders } => protocol::Gate {
            origin: Some(origin.to_string()),
            ..runs(Some(key.clone()), *running, *max, holders)
        },
        Gate::ArrayLimit { array, running, max, holders } => {
            protocol::Gate { job: Some(*array), ..runs(None, *running, *max, holders) }
        }
        Gate::Resource { name, needed, free, capacity, holders } => protocol::Gate {
            name: Some(name.clone()),
            needed: Some(*needed),
            used: Some(capacity.saturating_sub(*free)),
            max: Some(*capacity),
            holders: holders.iter().map(holder).collect(),
            ..blank()
        },
        Gate::ResourceTooSmall { name, needed, capacity } => protocol::Gate {
            name: Some(name.clone()),
            needed: Some(*needed),
            max: Some(*capacity),
            ..blank()
        },
        Gate::CorePermits { needed, free, total, holders } => protocol::Gate {
            needed: Some(u64::from(*needed)),
            ..runs(None, total.saturating_sub(*free), *total, holders)
        },
        _ => blank(),
    }
}

/// When a job may be expected to start, as clients see it.
pub(super) fn forecast_to_wire(forecast: Forecast, now: WallTime) -> protocol::Forecast {
    let Forecast { left, basis } = forecast;
    let (name, attempts, mean) = match basis {
        Basis::Moment => ("moment", None, None),
        Basis::Rate => ("rate", None, None),
        Basis::Recent { attempts, mean } => ("recent", Some(attempts), Some(mean)),
    };
    protocol::Forecast {
        at: protocol::to_rfc3339(now.plus(left)),
        wait_ms: millis(left),
        basis: name.to_owned(),
        attempts,
        mean_ms: mean.map(millis),
    }
}

fn blank() -> protocol::Gate {
    protocol::Gate::default()
}

fn millis(left: Duration) -> u64 {
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

pub(in crate::daemon) fn holder(holder: &Holder) -> protocol::Holder {
    protocol::Holder { job: holder.job, amount: holder.permits }
}
