//! Specs and contexts as rows: what scheduling needs in columns, the rest as JSON.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::job::{Backoff, Context, Limits, Params, RetryOn, RetryPolicy, Spec};
use crate::store::Refusal;

use super::book::Book;
use super::codes;
use super::fault::Fault;

/// The part of a spec that only its run needs. Fields may be added: an absent one has its default.
#[derive(Serialize, Deserialize)]
struct Rest<'a> {
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    params: Cow<'a, Params>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grace: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    merge: bool,
}

/// Writes a spec that `uses` jobs share and returns its number.
pub(super) fn write_spec(
    conn: &Connection,
    book: &mut Book,
    spec: &Spec,
    uses: i64,
) -> Result<i64, Fault> {
    // Taken apart field by field, so that a new field can't be forgotten here.
    let Spec { kind, params, class, queue: _, priority, name, cpus, .. } = spec;
    let Spec { retry, timeout, grace, at_most_once, output, merge, limits, .. } = spec;
    let rest = Rest {
        params: Cow::Borrowed(params),
        timeout: *timeout,
        grace: *grace,
        output: output.clone(),
        merge: *merge,
    };
    let rest = json(&rest)?;
    let limits = limits.as_deref().map(json).transpose()?;
    let (first, most) = of_backoff(retry.backoff);
    let id = book.new_spec();
    let kind = book.word(conn, kind)?;
    conn.prepare_cached(
        "INSERT INTO specs (id, uses, kind, name, class, priority, cpus, retries, \
         backoff_first_ns, backoff_most_ns, at_most_once, rest, limits, retry_on) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        id,
        uses,
        kind,
        name,
        codes::of_class(*class),
        priority,
        cpus,
        retry.retries,
        first,
        most,
        at_most_once,
        rest,
        limits,
        (!retry.retry_on.is_any()).then(|| retry.retry_on.to_string()),
    ])?;
    Ok(id)
}

/// The columns that [`read_spec`] wants, in its order, of the table alias `s`.
pub(super) const SPEC_COLUMNS: &str = "s.name, s.class, s.priority, s.cpus, s.retries, \
     s.backoff_first_ns, s.backoff_most_ns, s.retry_on, s.at_most_once, s.rest, s.limits";

/// Reads the spec whose [`SPEC_COLUMNS`] start at `first`.
pub(super) fn read_spec(
    row: &Row,
    first: usize,
    kind: String,
    queue: String,
) -> rusqlite::Result<Spec> {
    let rest: Rest = from_json(row, first + 9)?;
    Ok(Spec {
        kind,
        params: rest.params.into_owned(),
        class: codes::class(row.get(first + 1)?)?,
        queue,
        priority: row.get(first + 2)?,
        name: row.get(first)?,
        cpus: row.get(first + 3)?,
        retry: read_retry(row, first + 4)?,
        timeout: rest.timeout,
        grace: rest.grace,
        at_most_once: row.get(first + 8)?,
        output: rest.output,
        merge: rest.merge,
        limits: read_limits(row, first + 10)?.map(Box::new),
    })
}

/// Reads the limits in a column, if there are any.
pub(super) fn read_limits(row: &Row, column: usize) -> rusqlite::Result<Option<Limits>> {
    let some = row.get_ref(column)?.as_str_or_null()?.is_some();
    if some { from_json(row, column).map(Some) } else { Ok(None) }
}

/// Reads the retry policy whose four columns start at `first`.
pub(super) fn read_retry(row: &Row, first: usize) -> rusqlite::Result<RetryPolicy> {
    let pause = codes::span(row.get(first + 1)?);
    let backoff = match row.get::<_, Option<i64>>(first + 2)? {
        None => Backoff::Fixed(pause),
        Some(most) => Backoff::Exponential { first: pause, most: codes::span(most) },
    };
    let retry_on = match row.get_ref(first + 3)?.as_str_or_null()? {
        None => RetryOn::default(),
        Some(text) => text.parse().map_err(|_| codes::Unreadable::column("retry_on", 0))?,
    };
    Ok(RetryPolicy { retries: row.get(first)?, backoff, retry_on })
}

fn of_backoff(backoff: Backoff) -> (i64, Option<i64>) {
    match backoff {
        Backoff::Fixed(pause) => (codes::of_span(pause), None),
        Backoff::Exponential { first, most } => (codes::of_span(first), Some(codes::of_span(most))),
    }
}

/// The number of a context, which is written if no equal one is there. Its uses are counted apart.
pub(super) fn write_context(
    conn: &Connection,
    book: &mut Book,
    context: &Context,
) -> Result<i64, Fault> {
    let body = json(context)?;
    let hash = blake3::hash(body.as_bytes());
    let known = conn
        .prepare_cached("SELECT id FROM contexts WHERE hash = ?1")?
        .query_row([hash.as_bytes()], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    let id = book.new_context();
    conn.prepare_cached("INSERT INTO contexts (id, uses, hash, body) VALUES (?1, 0, ?2, ?3)")?
        .execute(params![id, hash.as_bytes(), body])?;
    Ok(id)
}

/// Reads one context.
pub(super) fn read_context(conn: &Connection, id: i64) -> rusqlite::Result<Context> {
    conn.prepare_cached("SELECT body FROM contexts WHERE id = ?1")?
        .query_row([id], |row| from_json(row, 0))
}

/// A value as JSON. A path that is not UTF-8 is the one thing that it can't hold.
pub(super) fn json(value: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|error| Refusal::Invariant(error.to_string()))
}

/// Reads a value that is kept as JSON.
pub(super) fn from_json<T: for<'a> Deserialize<'a>>(
    row: &Row,
    column: usize,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}
