//! `twolane events`: what happens, as it happens.

use super::desk::Desk;
use super::error::Error;
use super::moment;
use super::table::visible;
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
    let mut replies = desk.connect().await?.stream::<call::Watch>(&watch).await?;
    while let Some(reply) = replies.next().await {
        let event = reply?.event;
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
    let mut text = format!("{} {}", moment::local(&event.time), event.event);
    match (event.job, event.last_job.filter(|last| Some(*last) != event.job)) {
        (Some(first), Some(last)) => text.push_str(&format!(" jobs {first}-{last}")),
        (Some(job), None) => text.push_str(&format!(" job {job}")),
        _ => {}
    }
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!(" {name}{value}"));
        }
    };
    add("attempt ", event.attempt.map(|attempt| attempt.to_string()));
    add("outcome ", event.outcome.as_ref().map(|outcome| outcome.replace('_', " ")));
    add("state ", event.state.map(|state| state.to_string()));
    add("queue ", event.queue.clone());
    add("events left out: ", event.missed.map(|missed| missed.to_string()));
    text
}
