//! The command line.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    twolane::cli::main(std::env::args_os(), daemon)
}

/// What `twolane daemon` does.
fn daemon(_flags: Vec<OsString>) -> ExitCode {
    eprintln!("{}: this build has no daemon", twolane::NAME);
    ExitCode::FAILURE
}
