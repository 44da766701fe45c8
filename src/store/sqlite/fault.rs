//! What SQLite's errors mean to a store.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::store::{Refusal, StoreError};

/// Why a change was not taken.
#[derive(Debug)]
pub(super) enum Fault {
    /// It was refused; the transaction goes on.
    Refused(Refusal),
    /// The database can't go on; the transaction is lost.
    Failed(rusqlite::Error),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<rusqlite::Error> for Fault {
    /// A broken constraint, or a value too large for a row, is the change's fault; all else is ours.
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
                Self::Refused(Refusal::Invariant(error.to_string()))
            }
            _ => Self::Failed(error),
        }
    }
}

/// For a statement that can't be refused once those before it were taken.
///
/// A refusal here would leave a change half done, so it counts as a failure of the whole batch.
pub(super) fn certain<T>(result: rusqlite::Result<T>) -> Result<T, Fault> {
    result.map_err(Fault::Failed)
}

/// Tells what an error means for the file at `path`.
pub(super) fn told(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(path),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked(path),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreError::Denied { path, reason }
        }
        _ => StoreError::Broken { path, reason },
    }
}

/// As [`told`], while opening: a file that makes no sense is not ours.
pub(super) fn told_at_open(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Foreign { path: path.to_owned(), reason: error.to_string() }
        }
        _ => told(path, error),
    }
}
