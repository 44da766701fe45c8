//! `twolane logs`: shows a job's output.

use std::pin::pin;

use super::desk::{DONE, Desk};
use super::error::Error;
use super::follow;
use super::select;
use super::waiting;
use crate::client::CallError;
use crate::protocol::{Logs, Stream, call};

/// Show a job's output, byte by byte as it was written.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The job
    #[arg(value_name = "ID")]
    id: String,
    /// Go on until the job is final, through retries
    #[arg(short, long)]
    follow: bool,
    /// Only its standard output
    #[arg(long, conflicts_with = "err")]
    out: bool,
    /// Only its standard error
    #[arg(long)]
    err: bool,
    /// Only this attempt, from 1; the latest by default
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<u32>,
    /// Begin with the last so many lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
}

impl Args {
    /// The same as `follow`.
    pub(super) const fn following(mut self) -> Self {
        self.follow = true;
        self
    }

    const fn stream(&self) -> Option<Stream> {
        match (self.out, self.err) {
            (true, _) => Some(Stream::Out),
            (_, true) => Some(Stream::Err),
            _ => None,
        }
    }
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let id = select::named_one(&args.id, desk).await?;
    let logs = Logs {
        id,
        attempt: args.attempt,
        stream: args.stream(),
        follow: args.follow,
        tail: args.tail,
    };
    let mut replies = desk.connect().await?.stream::<call::Logs>(&logs).await?;
    let mut ended = false;
    let mut streams = desk.out.streams();
    let mut patience = pin!(tokio::time::sleep(waiting::PATIENCE));
    let mut patient = args.follow;
    loop {
        let next = tokio::select! {
            next = replies.next() => next,
            () = &mut patience, if patient => {
                patient = false;
                waiting::tell(id, desk).await;
                continue;
            }
        };
        let Some(reply) = next else { break };
        let reply = reply?;
        patient = false;
        ended = reply.finished.is_some();
        if !args.follow && reply.attempt == 0 {
            waiting::tell(id, desk).await;
        }
        if desk.json() {
            desk.out.json(&reply)?;
            desk.out.flush()?;
        } else {
            follow::copy(&reply, &mut streams).await?;
        }
    }
    if args.follow && !ended {
        return Err(CallError::Closed.into());
    }
    DONE
}
