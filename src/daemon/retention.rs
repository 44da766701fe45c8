//! Forgetting: the output of removed jobs, and finished jobs that have been kept long enough.

use std::path::PathBuf;

use super::launch::output_dir_of;
use crate::job::JobId;

/// Removes the captured output of jobs, off the loop. What can't be removed is logged and left.
pub(super) fn remove_outputs(output_dir: PathBuf, jobs: Vec<JobId>) {
    tokio::task::spawn_blocking(move || {
        for job in jobs {
            let folder = output_dir_of(&output_dir, job);
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!("{}: {error}", folder.display());
                }
                _ => {}
            }
        }
    });
}
