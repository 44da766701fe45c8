//! `twolane events`: what happens, as it happens.

use super::desk::Desk;
use super::error::Error;
use super::moment;
use super::table::visible;
use super::way_back::WayBack;
use crate::client::CallError;
use crate::protocol::{Event, Watch, call};

/// Show what happens from now on, until interrupted.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Events of other users too
    #[arg(long)]
    all_users: bool,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let watch = Watch { all_users: args.all_users };
    let client = desk.connect().await?;
    let mut way_back = WayBack::of(desk);
    let mut replies = client.stream::<call::Watch>(&watch).await?;
    while let Some(reply) = replies.next().await {
        let event = match reply {
            Ok(reply) => reply.event,
            Err(error) => {
                let Some(client) = way_back.after(&error).await else { return Err(error.into()) };
                replies = client.stream::<call::Watch>(&watch).await?;
                desk.out
                    .notice("the daemon was restarted; what happened in that moment is not told");
                continue;
            }
        };
        way_back.was_of_use();
        if desk.json() {
            desk.out.json(&event)?;
        } else {
            desk.out.line(visible(&sentence(&event)))?;
        }
        desk.out.flush()?;
    }
    Err(CallError::Closed.into())
}

fn sentence(event: &Event) -> String {
    let jobs = match (event.job, event.last_job.filter(|last| Some(*last) != event.job)) {
        (Some(first), Some(last)) => Some(format!("jobs {first}-{last}")),
        (job, _) => job.map(|job| format!("job {job}")),
    };
    let parts = [
        jobs,
        event.attempt.map(|attempt| format!("attempt {attempt}")),
        event.outcome.as_ref().map(|outcome| format!("outcome {}", outcome.replace('_', " "))),
        event.state.map(|state| format!("state {state}")),
        event.queue.as_ref().map(|queue| format!("queue {queue}")),
        event.schedule.as_ref().map(|schedule| format!("schedule {schedule}")),
        event.missed.map(|missed| format!("events left out: {missed}")),
    ];
    let begin = [moment::local(&event.time), event.event.clone()];
    begin.into_iter().chain(parts.into_iter().flatten()).collect::<Vec<_>>().join(" ")
}
