//! `twolane stop`: ends the daemon.

use super::desk::{DONE, Desk};
use super::error::Error;
use crate::protocol::{Empty, Selector, Stop, call};

/// End the daemon, after what runs has had its time.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Do not wait for running jobs
    #[arg(long)]
    now: bool,
    /// Return while the daemon is still ending
    #[arg(long)]
    no_wait: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    without_jobs("stop", "cancel", &args.words)?;
    let mut client = desk.connect_only().await?;
    let status = client.call::<call::Status>(&Empty {}).await?;
    let reply = client.call::<call::Stop>(&Stop { now: args.now }).await?;
    let running = status.io_running + status.blocking_running + status.cpu_used;
    if running > 0 && !args.now {
        desk.out.notice(
            "waiting for what runs, for as long as daemon.drain_timeout allows; what has not ended then \
             runs again when the daemon is back; `stop --now` does not wait",
        );
    }
    if !args.no_wait {
        client.closed().await;
    }
    if desk.json() {
        desk.out.json(&reply)?;
    } else if args.no_wait {
        desk.out.notice("the daemon is stopping; queued jobs are kept");
    } else {
        desk.out.notice("the daemon has stopped; queued jobs are kept");
    }
    DONE
}

/// Refuses words after a command that is about the daemon; a job's id means another command.
pub(super) fn without_jobs(verb: &str, meant: &str, words: &[String]) -> Result<(), Error> {
    let name = crate::NAME;
    let Some(first) = words.first() else { return Ok(()) };
    Err(Error::Usage(match Selector::default().add(first) {
        Ok(()) => format!(
            "{verb} is about the daemon, not about jobs; did you mean: {name} {meant} {}",
            words.join(" ")
        ),
        Err(_) => format!("{verb} takes no {first:?}; `{name} {verb} --help` lists what it takes"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_s_id_gets_the_verb_that_was_meant() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let text = without_jobs("stop", "cancel", &words("12 13")).unwrap_err().to_string();
        assert!(text.ends_with("did you mean: twolane cancel 12 13"), "{text}");
        let text = without_jobs("stop", "cancel", &words("it")).unwrap_err().to_string();
        assert!(!text.contains("did you mean"), "{text}");
        assert!(without_jobs("stop", "cancel", &[]).is_ok());
    }
}
