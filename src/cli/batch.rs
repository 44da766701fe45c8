//! Sending jobs to the daemon, as many calls as it takes.
//!
//! Invariant: what was acknowledged is known to the caller even if a later call fails.

use std::io;

use super::change::ranges;
use super::error::Error;
use crate::client::{CallError, Client};
use crate::job::JobId;
use crate::protocol::{
    Array, Context, Error as Refused, IdRange, JobSpec, List, MAX_BATCH, MAX_MESSAGE, MAX_PAGE,
    Selector, Submit, SubmitReply, call,
};

/// Room in a message for what is not a job.
const ENVELOPE: usize = 4 << 10;

/// Jobs on their way to the daemon.
pub(super) struct Sender {
    client: Client,
    context: Context,
    array: Option<Array>,
    dry_run: bool,
    jobs: Vec<JobSpec>,
    /// The first id that is new.
    begun: Option<JobId>,
    /// Where each of `jobs` came from.
    lines: Vec<u64>,
    /// The length of `jobs` as JSON.
    bytes: usize,
    /// The most that `bytes` may become.
    room: usize,
    /// The ids of the submission before this one, once they were asked for.
    last: Option<String>,
    calls: u64,
    accepted: Vec<IdRange>,
    warnings: Vec<String>,
}

/// Why a job was not accepted.
#[derive(Debug)]
pub(super) struct SendError {
    /// Where the job came from, if it is known which one it was.
    pub(super) line: Option<u64>,
    /// Why.
    pub(super) error: CallError,
}

impl Sender {
    /// Sends to `client`; all jobs have the same surroundings.
    pub(super) fn new(
        client: Client,
        context: Context,
        array: Option<Array>,
        dry_run: bool,
    ) -> Result<Self, Error> {
        let taken = length(&context) + ENVELOPE;
        let room = MAX_MESSAGE.checked_sub(taken).ok_or(CallError::TooLong(taken))?;
        Ok(Self {
            client,
            context,
            array,
            dry_run,
            jobs: Vec::new(),
            begun: None,
            lines: Vec::new(),
            bytes: 0,
            room,
            last: None,
            calls: 0,
            accepted: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// Adds a job, which came from `line`; sends the jobs before it if they fill a call. Returns the ids
    /// that are new.
    pub(super) async fn add(
        &mut self,
        mut job: JobSpec,
        line: u64,
    ) -> Result<Vec<IdRange>, SendError> {
        let told = |error| SendError { line: None, error };
        self.name_last(&mut job.after).await.map_err(told)?;
        let bytes = length(&job) + 1;
        if bytes > self.room {
            return Err(SendError { line: Some(line), error: CallError::TooLong(bytes) });
        }
        let full = self.jobs.len() == MAX_BATCH || self.bytes + bytes > self.room;
        let sent = if full { self.send().await? } else { Vec::new() };
        self.jobs.push(job);
        self.lines.push(line);
        self.bytes += bytes;
        Ok(sent)
    }

    /// Writes ids for `last`: in the second call of a long input it would mean the first one.
    async fn name_last(&mut self, after: &mut [String]) -> Result<(), CallError> {
        let is_last = |part: &str| part == "last" || part.ends_with(":last");
        for text in after.iter_mut().filter(|text| text.split(',').any(is_last)) {
            let ids = match &self.last {
                Some(ids) => ids,
                None => self.last.insert(last_ids(&mut self.client).await?),
            };
            let named = |part: &str| match part.strip_suffix("last").filter(|_| is_last(part)) {
                Some(on) => {
                    ids.split(',').map(|id| format!("{on}{id}")).collect::<Vec<_>>().join(",")
                }
                None => part.to_owned(),
            };
            *text = text.split(',').map(named).collect::<Vec<_>>().join(",");
        }
        Ok(())
    }

    /// Sends what has been added and not sent. Returns the ids that are new.
    pub(super) async fn send(&mut self) -> Result<Vec<IdRange>, SendError> {
        if self.jobs.is_empty() {
            return Ok(Vec::new());
        }
        let submit = Submit {
            jobs: std::mem::take(&mut self.jobs),
            context: Some(std::mem::take(&mut self.context)),
            array: self.array,
            submission: self.begun,
            dry_run: self.dry_run,
        };
        let result = self.client.call::<call::Submit>(&submit).await;
        self.context = submit.context.unwrap_or_default();
        self.bytes = 0;
        self.calls += 1;
        let lines = std::mem::take(&mut self.lines);
        match result {
            Ok(reply) => Ok(self.accept(reply, lines.len() as u64)),
            Err(error) => Err(SendError { line: line_of(&error, &lines), error }),
        }
    }

    /// Notes the ids, which stand in the order of the jobs.
    fn accept(&mut self, reply: SubmitReply, jobs: u64) -> Vec<IdRange> {
        for warning in reply.warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        self.begun = self.begun.or(reply.first);
        let mut sent = Vec::new();
        let mut existing = reply.existing.iter().peekable();
        let (mut next, mut index) = (reply.first, 0);
        while existing.peek().is_some() || next.is_some() {
            if let Some(other) = existing.next_if(|other| other.index == index) {
                push(&mut sent, IdRange { first: other.id, last: other.id });
                index += 1;
                continue;
            }
            let Some((first, last)) = next.zip(reply.last) else { break };
            // Up to the next job that was there already, or all that are left.
            let until = existing.peek().map_or(jobs, |other| other.index);
            let count = until.saturating_sub(index).max(1);
            let end = if existing.peek().is_some() { first.after(count - 1) } else { last };
            push(&mut sent, IdRange { first, last: end });
            next = (end < last).then(|| end.after(1));
            index += count;
        }
        for range in &sent {
            push(&mut self.accepted, *range);
        }
        sent
    }

    /// Every id that was acknowledged.
    pub(super) fn accepted(&self) -> &[IdRange] {
        &self.accepted
    }

    /// How many calls have been made.
    pub(super) const fn calls(&self) -> u64 {
        self.calls
    }

    /// What the daemon said beside the ids since this was last asked.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The connection, for what follows.
    pub(super) fn into_client(self) -> Client {
        self.client
    }
}

/// The ids of the caller's last submission as ranges; `last` itself if there is none.
async fn last_ids(client: &mut Client) -> Result<String, CallError> {
    let jobs = Selector { last: true, ..Selector::default() };
    let mut list = List { jobs, limit: Some(MAX_PAGE), ..List::default() };
    let mut ids = Vec::new();
    loop {
        let reply = client.call::<call::List>(&list).await?;
        ids.extend(reply.jobs.iter().map(|job| job.id));
        list.after = ids.last().copied();
        if !reply.more {
            break;
        }
    }
    Ok(if ids.is_empty() { "last".to_owned() } else { ranges_text(&ranges(&ids)) })
}

/// Adds ids behind others.
fn push(ranges: &mut Vec<IdRange>, range: IdRange) {
    match ranges.last_mut() {
        Some(before) if before.last.after(1) == range.first => before.last = range.last,
        _ => ranges.push(range),
    }
}

fn line_of(error: &CallError, lines: &[u64]) -> Option<u64> {
    match error {
        CallError::Refused(
            Refused::InvalidJob { index, .. } | Refused::NotUnique { index, .. },
        ) => lines.get(usize::try_from(*index).ok()?).copied(),
        _ => None,
    }
}

/// Ids as `3-9,12`, which is a selector too.
pub(super) fn ranges_text(ranges: &[IdRange]) -> String {
    let text = |range: &IdRange| {
        let IdRange { first, last } = range;
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Every id of some ranges.
pub(super) fn ids_of(ranges: &[IdRange]) -> impl Iterator<Item = JobId> {
    let steps = |range: &IdRange| range.last.get().saturating_sub(range.first.get());
    ranges.iter().flat_map(move |range| (0..=steps(range)).map(|step| range.first.after(step)))
}

/// How long a value is as JSON.
fn length(value: &impl serde::Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => MAX_MESSAGE,
    }
}
