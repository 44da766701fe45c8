//! The integration tests, one binary.

mod fixture;

mod change;
mod cli_help;
mod hostile;
mod instance;
mod lanes;
mod logs;
mod manage;
mod recovery;
mod refusals;
mod submit;
mod tidy;
mod units;
mod varlink_python;
mod wait;
