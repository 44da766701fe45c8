//! The command line, which holds the daemon too: `twolane daemon`.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    twolane::cli::main(std::env::args_os(), daemon)
}

/// What `twolane daemon` does with the words behind it.
fn daemon(flags: Vec<OsString>) -> ExitCode {
    let program = OsString::from(twolane::DAEMON_NAME);
    twolane::daemon::main(std::iter::once(program).chain(flags))
}
