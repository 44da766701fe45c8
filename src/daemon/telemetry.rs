//! Logs: readable lines on stderr, which the journal takes as they are.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Starts logging what `filter` lets through (`info`, or `twolane=debug,warn`).
///
/// A process logs once: where an embedder has its own subscriber, that one stays.
pub(super) fn start(filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(filter)?;
    let under_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // The journal stamps each line itself.
    let started = if under_journal { lines.without_time().try_init() } else { lines.try_init() };
    if started.is_err() {
        tracing::debug!("logging was started before; its settings stay");
    }
    Ok(())
}
