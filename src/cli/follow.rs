//! Copying a job's output to one's own, byte by byte, until it ends.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::Error;
use super::output::Streams;
use crate::client::CallError;
use crate::job::{State, exit_code};
use crate::protocol::{Finished, LogsReply, Stream};

/// Writes one piece of output where it belongs, or says how much is missing there.
pub(super) async fn copy(piece: &LogsReply, streams: &mut Streams) -> Result<(), Error> {
    if let Some(length) = piece.cut {
        // In the stream itself, or what stands before and behind would read as one line there.
        let told = format!("\n[{}: {length} bytes are not kept here]\n", crate::NAME);
        return match piece.stream {
            Stream::Out => streams.out(told.as_bytes()).await,
            Stream::Err => streams.err(told.as_bytes()).await,
        };
    }
    if piece.data.is_empty() {
        return Ok(());
    }
    let wrong = |error| {
        use serde::de::Error as _;
        let text = format!("output that is no base64: {error}");
        CallError::Malformed(serde_json::Error::custom(text))
    };
    let bytes = STANDARD.decode(&piece.data).map_err(wrong)?;
    match piece.stream {
        Stream::Out => streams.out(&bytes).await,
        Stream::Err => streams.err(&bytes).await,
    }
}

/// Why an attempt ended at the output limit, and where that is set.
const OUTPUT_LIMIT: &str = "it printed more than output.hard_limit allows, or filled the disk down to output.free_floor: `twolane config` shows both";

/// How a job ended, in words; `None` if its exit code says it all.
pub(super) fn ending(finished: &Finished) -> Option<String> {
    let reason = finished.message.as_deref().map(super::table::visible);
    match (finished.state, finished.outcome.as_deref()) {
        (State::Succeeded, _) | (State::Failed, Some("exit" | "signal")) => reason,
        (State::Skipped | State::Cancelled, _) => Some(match reason {
            Some(reason) => format!("{}: {reason}", finished.state),
            None => finished.state.to_string(),
        }),
        (_, Some("timed_out")) => Some(reason.unwrap_or_else(|| "timed out".to_owned())),
        (_, Some("interrupted")) => {
            Some(reason.unwrap_or_else(|| "interrupted: the daemon ended before it did".to_owned()))
        }
        (_, Some("output_limit")) => Some(reason.unwrap_or_else(|| OUTPUT_LIMIT.to_owned())),
        _ => reason,
    }
}

/// The code to leave with for a job that ended so.
pub(super) const fn code(finished: &Finished) -> i32 {
    match finished.exit_code {
        code @ 0..=255 => code,
        _ => exit_code::FAILURE,
    }
}
