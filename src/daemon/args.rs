//! The daemon's command line.

use std::path::PathBuf;

use clap::Parser;

/// Runs jobs: the daemon.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = crate::DAEMON_NAME, version, about = "The job scheduler's daemon")]
pub struct Args {
    /// Read this file instead of the usual config files.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen here.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Keep jobs and their output here.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Be the host's daemon: read /etc, listen in /run, keep state in /var/lib.
    #[arg(long, conflicts_with = "user")]
    pub system: bool,
    /// Be the calling user's own daemon, which is the default except for the service.
    #[arg(long)]
    pub user: bool,
    /// Check the config, say what is wrong with it, and leave.
    #[arg(long)]
    pub check_config: bool,
    /// Say whether this program can go on where one stopped that hands over in this form, and leave.
    #[arg(long, value_name = "FORM", hide = true)]
    pub check_handover: Option<u32>,
    /// Go on with what the program before this one in the same process left behind this descriptor.
    #[arg(long, value_name = "FD", hide = true)]
    pub handover_fd: Option<i32>,
    /// Write one line to this descriptor when the socket is open, or why it could not be.
    #[arg(long, value_name = "FD", hide = true)]
    pub ready_fd: Option<i32>,
}
