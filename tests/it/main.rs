//! The integration tests, one binary.

#![allow(clippy::unwrap_used, reason = "a test that can't go on is to panic")]

mod fixture;

mod arrays;
mod change;
mod cli;
mod cli_help;
mod crash;
mod crowd;
mod dependencies;
mod edit;
mod hostile;
mod instance;
mod lanes;
mod lend;
mod limits;
mod logs;
mod manage;
mod once_only;
mod output;
mod pipeline;
mod poison;
mod recovery;
mod refusals;
mod retry;
mod schedule;
mod shortage;
mod strangers;
mod submit;
mod tidy;
mod time;
mod unique;
mod units;
mod varlink_python;
mod wait;
