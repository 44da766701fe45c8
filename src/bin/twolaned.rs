//! The daemon, for units and packages.

use std::process::ExitCode;

fn main() -> ExitCode {
    twolane::daemon::main(std::env::args_os())
}
