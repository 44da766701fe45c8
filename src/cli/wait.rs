//! `twolane wait`: waits until jobs are final.

use super::count::grouped;
use super::desk::{DONE, Desk};
use super::error::Error;
use super::follow;
use super::lend;
use super::select::Select;
use crate::client::{CallError, Client};
use crate::job::{State, exit_code};
use crate::protocol::{ArrayEnd, ElementCount, Finished, Selector, Wait, call};

/// Wait until jobs are final.
///
/// For one job the exit code is its own; for several it is 0 if all succeeded, else 1.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    select: Select,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let jobs = args.select.some("wait")?;
    let client = desk.connect().await?;
    until_final(jobs, client, desk).await
}

/// Waits for jobs and tells which did not succeed.
pub(super) async fn until_final(
    jobs: Selector,
    client: Client,
    desk: &mut Desk,
) -> Result<i32, Error> {
    let _lent = lend::while_waiting(desk).await;
    let mut replies = client.stream::<call::Wait>(&Wait { jobs }).await?;
    let (mut count, mut worst, mut only) = (0u64, exit_code::SUCCESS, exit_code::SUCCESS);
    let mut remaining = 0;
    while let Some(reply) = replies.next().await {
        let reply = reply?;
        remaining = reply.remaining;
        for array in &reply.arrays {
            // An array is several jobs, however many of its elements were waited for.
            count += 2;
            if array.exit_code != exit_code::SUCCESS {
                worst = exit_code::FAILURE;
            }
            tell_array(array, desk)?;
        }
        for finished in &reply.finished {
            count += 1;
            only = follow::code(finished);
            if finished.state != State::Succeeded {
                worst = exit_code::FAILURE;
            }
            tell(finished, desk)?;
        }
        desk.out.flush()?;
    }
    match count {
        _ if remaining > 0 => Err(CallError::Closed.into()),
        0 => {
            desk.out.notice("no job matches that is not final, there is nothing to wait for");
            DONE
        }
        1 => Ok(only),
        _ => Ok(worst),
    }
}

fn tell_array(array: &ArrayEnd, desk: &mut Desk) -> Result<(), Error> {
    if desk.json() {
        return desk.out.json(array);
    }
    let count = |ended: &ElementCount| format!("{} {}", grouped(ended.jobs), ended.state);
    let counts: Vec<String> = array.counts.iter().map(count).collect();
    if array.exit_code != exit_code::SUCCESS {
        desk.out.notice(format_args!("array {}: {}", array.array, counts.join(", ")));
    }
    Ok(())
}

fn tell(finished: &Finished, desk: &mut Desk) -> Result<(), Error> {
    if desk.json() {
        return desk.out.json(finished);
    }
    if finished.state != State::Succeeded {
        let text = follow::ending(finished).unwrap_or_else(|| match finished.signal {
            Some(signal) => format!("failed (signal {signal})"),
            None => format!("failed (exit code {})", finished.exit_code),
        });
        desk.out.notice(format_args!("job {}: {text}", finished.id));
    }
    Ok(())
}
