//! `twolane restart`: says what to write instead.

use super::error::Error;
use super::stop::without_jobs;

/// Say how to restart a daemon, or a job.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<i32, Error> {
    without_jobs("restart", "retry", &args.words)?;
    Err(Error::usage(format!(
        "a system daemon restarts by `systemctl restart {}`; your own ends by `{name} stop`, and the next `{name} submit` starts it",
        crate::DAEMON_NAME,
        name = crate::NAME
    )))
}
