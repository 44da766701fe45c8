//! Where an attempt's output goes: straight to files, which are made when the first byte or process
//! needs them.

use std::path::{Path, PathBuf};

/// The two files of one attempt; one file when they are merged.
#[derive(Debug)]
pub struct Output {
    out: PathBuf,
    err: Option<PathBuf>,
}

impl Output {
    /// Output to `out`, and errors to `err` or, without one, to the same file.
    pub fn new(out: PathBuf, err: Option<PathBuf>) -> Self {
        Self { out, err }
    }

    /// The file of standard output.
    pub fn out_path(&self) -> &Path {
        &self.out
    }
}
