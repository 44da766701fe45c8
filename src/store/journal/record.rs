//! How a record stands in the file: whole slots, a head with a checksum, then JSON.
//!
//! A record that was being written when the power went has the wrong checksum and is passed over.

use serde::{Deserialize, Serialize};

use crate::job::{
    AttemptToken, Change, Class, Deadline, Failure, JobId, Lane, Outcome, State, StoreId, Usage,
    WallTime,
};

/// A record takes as many slots as it needs, mostly one.
pub(super) const SLOT_BYTES: usize = 256;

/// Marks the beginning of a record.
const MAGIC: [u8; 4] = *b"2LNs";
/// The magic, the length of the text, and the first half of its hash.
const HEAD_BYTES: usize = 4 + 4 + 16;
/// The longest words of an error that are kept, in characters: the rest is cut, so that a few slots suffice.
const MOST_WORDS: usize = 200;

#[derive(Serialize, Deserialize)]
enum Record {
    #[serde(rename = "s")]
    Started(JobId, u32, String, Lane, Class, WallTime),
    #[serde(rename = "e")]
    Ended(JobId, String, Outcome, Usage, WallTime, State, Option<Deadline>),
}

/// What a file holds.
pub(super) struct Found {
    /// In the order in which they were written.
    pub(super) changes: Vec<Change>,
    /// Slots up to the end of the last record.
    pub(super) used: u64,
}

/// The bytes of a change; `None` for one that is not kept here.
pub(super) fn write(change: &Change) -> Option<Vec<u8>> {
    let record = match change {
        Change::Started { job, attempt, token, lane, class, at } => {
            Record::Started(*job, *attempt, token.to_string(), *lane, *class, *at)
        }
        Change::Ended { job, token, outcome, usage, at, next, not_before } => {
            let (token, outcome) = (token.to_string(), short(outcome));
            Record::Ended(*job, token, outcome, *usage, *at, *next, *not_before)
        }
        _ => return None,
    };
    // Numbers and short texts: there is nothing in them that JSON can't hold.
    let text = serde_json::to_vec(&record).ok()?;
    let mut bytes = Vec::with_capacity(2 * SLOT_BYTES);
    bytes.extend(MAGIC);
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(&blake3::hash(&text).as_bytes()[..16]);
    bytes.extend(&text);
    bytes.resize(bytes.len().next_multiple_of(SLOT_BYTES), 0);
    Some(bytes)
}

/// Reads all records of this store.
pub(super) fn read(bytes: &[u8], store: StoreId) -> Found {
    let (mut changes, mut used, mut at) = (Vec::new(), 0, 0);
    while at + SLOT_BYTES <= bytes.len() {
        let Some((change, slots)) = read_one(&bytes[at..]) else {
            at += SLOT_BYTES;
            continue;
        };
        at += slots * SLOT_BYTES;
        used = (at / SLOT_BYTES) as u64;
        let token = match &change {
            Change::Started { token, .. } | Change::Ended { token, .. } => Some(token.store),
            _ => None,
        };
        changes.extend((token == Some(store)).then_some(change));
    }
    Found { changes, used }
}

fn read_one(bytes: &[u8]) -> Option<(Change, usize)> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let length = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?) as usize;
    let text = bytes.get(HEAD_BYTES..HEAD_BYTES.checked_add(length)?)?;
    if blake3::hash(text).as_bytes()[..16] != rest[4..20] {
        return None;
    }
    let token = |text: String| text.parse::<AttemptToken>().ok();
    let change = match serde_json::from_slice(text).ok()? {
        Record::Started(job, attempt, name, lane, class, at) => {
            Change::Started { job, attempt, token: token(name)?, lane, class, at }
        }
        Record::Ended(job, name, outcome, usage, at, next, not_before) => {
            Change::Ended { job, token: token(name)?, outcome, usage, at, next, not_before }
        }
    };
    Some((change, (HEAD_BYTES + length).div_ceil(SLOT_BYTES)))
}

/// The outcome with words of bounded length.
fn short(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    if let Outcome::Failed(
        Failure::NotFound(words) | Failure::NotExecutable(words) | Failure::Error(words),
    ) = &mut outcome
        && let Some((end, _)) = words.char_indices().nth(MOST_WORDS)
    {
        words.truncate(end);
        words.push('…');
    }
    outcome
}
