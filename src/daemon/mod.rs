//! The meeting: the control loop and everything it performs.
//!
//! Owns the daemon's life from start to end: recovery, the loop, sessions, signals, the service
//! manager. Never decides what starts (the scheduler does) and never runs work itself (the lanes do).
//! Invariant: persist, then acknowledge; nothing that a client was told can be lost by a crash.

mod args;
mod builder;
mod caps;
mod captured;
mod clock;
mod control;
mod event;
mod happening;
mod house;
mod instance;
mod launch;
mod layer;
mod places;
mod readers;
mod recovery;
mod refuse;
mod requests;
mod resources;
mod retention;
mod session;
mod settings;
mod signals;
mod systemd;
mod telemetry;
mod thrift;
mod uniques;
mod waiters;
mod works;
mod writer;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::process::close_inherited;

pub use args::Args;
pub use builder::{Builder, Running, StartError};
pub use instance::InstanceError;
pub use places::NoPlace;

/// The exit code for a wrong command line or config.
const USAGE: u8 = 2;
/// Threads of the event loop: it only passes things on, so a few serve any number of jobs.
const LOOP_THREADS: usize = 4;
/// Threads for the few calls of tokio's own that block (files, name look-ups of embedders).
const BLOCKING_THREADS: usize = 16;

/// Runs the daemon with these words of a command line, the first of which is the program's name.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        Err(error) => {
            // Nothing is left to be told if stderr is gone.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    if let Err(error) = close_inherited(args.ready_fd.as_slice()) {
        eprintln!("{}: inherited descriptors stay open: {error}", crate::DAEMON_NAME);
    }
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    crate::process::keep_no_large_memory();
    let builder = Builder::new(args.clone()).env(env).owns_process();
    let loaded = match builder.check_config() {
        Ok(loaded) => loaded,
        Err(error) => return give_up(&args, &error, ExitCode::from(USAGE)),
    };
    if args.check_config {
        println!("the config is valid");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = telemetry::start(&loaded.settings.daemon.log) {
        return give_up(&args, &error, ExitCode::from(USAGE));
    }
    run(builder, &args)
}

fn run(builder: Builder, args: &Args) -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, LOOP_THREADS))
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("loop")
        .on_thread_start(crate::pool::ask_for_short_slices)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return give_up(args, &error, ExitCode::FAILURE),
    };
    runtime.block_on(async {
        let running = match builder.start().await {
            Ok(running) => running,
            Err(error) => return give_up(args, &error, ExitCode::FAILURE),
        };
        let listening = format!("listening on {}", running.socket().display());
        tracing::info!("{listening}");
        systemd::ready(&listening);
        tell_starter(args, "READY");
        match running.ended().await {
            Ok(()) => {
                tracing::info!("ended in order");
                ExitCode::SUCCESS
            }
            Err(error) => {
                tracing::error!("ended because of the store: {error}");
                ExitCode::FAILURE
            }
        }
    })
}

fn give_up(args: &Args, error: &dyn std::error::Error, code: ExitCode) -> ExitCode {
    eprintln!("{}: {error}", crate::DAEMON_NAME);
    tell_starter(args, &error.to_string());
    code
}

/// Writes one line to whoever started this daemon and waits for it to listen.
fn tell_starter(args: &Args, line: &str) {
    let Some(fd) = args.ready_fd else { return };
    let told = OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"))
        .and_then(|mut pipe| writeln!(pipe, "{}", line.replace('\n', " ")));
    if let Err(error) = told {
        tracing::warn!("whoever started this daemon could not be told: {error}");
    }
}
