//! What comes back: which statuses are a success, when to come again, and the body on its way to
//! the output.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::{BODY_LIMIT, HttpError, Output};

/// A server that asks for a longer pause is not obeyed further than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// So much of a body is gathered before it is written: large enough that handing it to a thread
/// that may block costs little, small enough for thousands of answers at once.
const GATHERED: usize = 256 << 10;

/// The statuses that are a success.
pub(super) struct Expected(Vec<RangeInclusive<u16>>);

impl Expected {
    /// Reads statuses such as `200`, `2xx` or `200,204`.
    pub(super) fn read(items: &[&str]) -> Result<Self, String> {
        let words = items.iter().flat_map(|item| item.split(',')).map(str::trim);
        let ranges = words.map(|word| {
            range(word).ok_or_else(|| format!("{word:?} is not a status such as 204 or 2xx"))
        });
        ranges.collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Whether this status is one of them.
    pub(super) fn holds(&self, status: StatusCode) -> bool {
        self.0.iter().any(|range| range.contains(&status.as_u16()))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |range: &RangeInclusive<u16>| match (*range.start(), *range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, _) => format!("{}xx", first / 100),
        };
        f.write_str(&self.0.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

fn range(word: &str) -> Option<RangeInclusive<u16>> {
    if let Some(hundreds) = word.strip_suffix("xx") {
        let hundreds: u16 = hundreds.parse().ok()?;
        return (1..=9).contains(&hundreds).then(|| hundreds * 100..=hundreds * 100 + 99);
    }
    let status = StatusCode::from_bytes(word.as_bytes()).ok()?.as_u16();
    Some(status..=status)
}

/// The pause that the answer asks for, in seconds or as a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    pause(headers.get(RETRY_AFTER)?.to_str().ok()?, Timestamp::now())
}

fn pause(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let pause = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let when = DateTimeParser::new().parse_timestamp(value).ok()?;
            Duration::try_from(when.duration_since(now)).unwrap_or_default()
        }
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// A body on its way to the output, up to a limit.
pub(super) struct Body {
    /// Absent only while a write is under way.
    output: Option<Output>,
    gathered: Vec<u8>,
    room: u64,
    limit: u64,
    cut: bool,
}

impl Body {
    /// A body of which `limit` bytes are kept.
    pub(super) fn new(output: Output, limit: u64) -> Self {
        Self { output: Some(output), gathered: Vec::new(), room: limit, limit, cut: false }
    }

    /// Takes the next piece.
    pub(super) async fn push(&mut self, chunk: &[u8]) -> Result<&Self, HttpError> {
        let kept = usize::try_from(self.room).unwrap_or(usize::MAX).min(chunk.len());
        self.gathered.extend_from_slice(&chunk[..kept]);
        self.room -= kept as u64;
        self.cut |= kept < chunk.len();
        if self.gathered.len() >= GATHERED {
            self.flush().await?;
        }
        Ok(self)
    }

    /// Whether more has come than is kept.
    pub(super) fn is_full(&self) -> bool {
        self.cut
    }

    /// Writes what is gathered, on a thread that may block.
    pub(super) async fn flush(&mut self) -> Result<(), HttpError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.gathered);
        self.write(move |output| output.write_out(&bytes)).await
    }

    /// Writes the rest, and a note if the body was cut.
    pub(super) async fn finish(mut self) -> Result<(), HttpError> {
        self.flush().await?;
        if !self.cut {
            return Ok(());
        }
        let note = format!("the body was cut after {} bytes: see {BODY_LIMIT}\n", self.limit);
        self.write(move |output| output.write_err(note.as_bytes())).await
    }

    async fn write<W>(&mut self, write: W) -> Result<(), HttpError>
    where
        W: FnOnce(&mut Output) -> Result<(), super::OutputError> + Send + 'static,
    {
        let mut output = self.output.take().ok_or(HttpError::Writer)?;
        let written = tokio::task::spawn_blocking(move || (write(&mut output), output)).await;
        let (result, output) = written.map_err(|_| HttpError::Writer)?;
        self.output = Some(output);
        Ok(result?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_alone_and_by_the_hundred() {
        let expected = Expected::read(&["200,404", "3xx"]).unwrap();
        let holds = |code| expected.holds(StatusCode::from_u16(code).unwrap());
        assert!([200, 404, 300, 399].into_iter().all(holds));
        assert!(![201, 400, 403].into_iter().any(holds));
        assert_eq!(expected.to_string(), "200, 404, 3xx");
        for bad in ["", "ok", "20", "0xx", "2000", "xx", "99"] {
            assert!(Expected::read(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pause_is_read_in_seconds_and_as_a_date() {
        let now: Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
        let pause = |text| pause(text, now);
        assert_eq!(pause("120"), Some(Duration::from_secs(120)));
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(pause("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(pause("99999999"), Some(LONGEST_PAUSE));
        assert_eq!(pause("soon"), None);
    }
}
