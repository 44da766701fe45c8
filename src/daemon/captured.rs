//! Where the output lies that the daemon captures: `output/12xxx/12345.1.out` is what the first attempt of job
//! 12345 printed, `.err` what it complained.
//!
//! Owns the names alone. A folder of its own for each job would cost a short one as much as both of its
//! files, so the jobs of a thousand ids share one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::job::JobId;

/// The folder that holds what all jobs print.
#[derive(Clone, Debug)]
pub(super) struct Captured(PathBuf);

/// How many ids share a folder.
const TOGETHER: u64 = 1_000;

impl Captured {
    pub(super) const fn below(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// The folder of a job, which it shares with others.
    pub(super) fn folder_of(&self, job: JobId) -> PathBuf {
        self.0.join(format!("{}xxx", job.get() / TOGETHER))
    }

    /// Where an attempt's standard output goes.
    pub(super) fn out(&self, job: JobId, attempt: u32) -> PathBuf {
        self.folder_of(job).join(format!("{job}.{attempt}.out"))
    }

    /// Where an attempt's standard error goes.
    pub(super) fn err(&self, job: JobId, attempt: u32) -> PathBuf {
        self.folder_of(job).join(format!("{job}.{attempt}.err"))
    }

    /// The attempts of a job that have files.
    pub(super) fn attempts(&self, job: JobId) -> BTreeSet<u32> {
        let files = std::fs::read_dir(self.folder_of(job)).into_iter().flatten().flatten();
        let named = files.filter_map(|file| printed_by(&file.file_name()));
        named.filter(|(of, _)| *of == job).map(|(_, attempt)| attempt).collect()
    }

    /// What jobs have printed, the oldest job first; what stands beside a file (see `Cut`) is not told.
    pub(super) fn all(&self) -> io::Result<BTreeMap<JobId, Vec<PathBuf>>> {
        let mut found = BTreeMap::<JobId, Vec<PathBuf>>::new();
        for folder in entries(&self.0)? {
            // A folder may be removed meanwhile, with the last of its jobs.
            for path in entries(&folder).unwrap_or_default() {
                let is_output =
                    path.extension().is_some_and(|ending| ending == "out" || ending == "err");
                let named = path.file_name().filter(|_| is_output).and_then(printed_by);
                if let Some((job, _)) = named {
                    found.entry(job).or_default().push(path);
                }
            }
        }
        Ok(found)
    }

    /// Removes everything that these jobs have printed, and folders that nothing is left in. What can't be
    /// removed is logged and left.
    pub(super) fn remove(&self, jobs: &[JobId]) {
        let jobs: BTreeSet<JobId> = jobs.iter().copied().collect();
        let folders: BTreeSet<PathBuf> = jobs.iter().map(|job| self.folder_of(*job)).collect();
        for folder in folders {
            for path in entries(&folder).unwrap_or_default() {
                let job = path.file_name().and_then(printed_by).map(|(job, _)| job);
                if job.is_some_and(|job| jobs.contains(&job))
                    && let Err(error) = std::fs::remove_file(&path)
                {
                    tracing::warn!("{}: {error}", path.display());
                }
            }
            // It stays while there is anything in it; who writes makes it again.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Whose file it is, by its name, and of which attempt.
pub(super) fn printed_by(name: &OsStr) -> Option<(JobId, u32)> {
    let mut parts = name.to_str()?.splitn(3, '.');
    let (job, attempt) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().map(|_| (job, attempt))
}

/// What is in a folder; nothing if there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| entry.map(|entry| entry.path())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn id(number: u64) -> JobId {
        JobId::new(number).unwrap()
    }

    fn print(captured: &Captured, job: u64, attempt: u32) -> PathBuf {
        let path = captured.out(id(job), attempt);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        path
    }

    #[test]
    fn what_jobs_have_printed_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let captured = Captured::below(dir.path().to_owned());
        assert!(captured.all().unwrap().is_empty() && captured.attempts(id(1)).is_empty());
        let paths = [(12, 1), (12, 10), (120, 2), (1_012, 1)]
            .map(|(job, attempt)| print(&captured, job, attempt));
        assert!(paths[3].ends_with("1xxx/1012.1.out"), "{paths:?}");
        fs::write(captured.err(id(12), 3), "").unwrap();
        fs::write(dir.path().join("0xxx/12.4.out.cut"), "0 1").unwrap();
        fs::write(dir.path().join("0xxx/strange"), "").unwrap();
        assert_eq!(captured.attempts(id(12)), [1, 3, 4, 10].into());
        let all = captured.all().unwrap();
        let counts: Vec<_> = all.iter().map(|(job, paths)| (job.get(), paths.len())).collect();
        assert_eq!(counts, [(12, 3), (120, 1), (1_012, 1)]);
    }

    #[test]
    fn jobs_are_removed_whole_and_their_neighbours_stay() {
        let dir = tempfile::tempdir().unwrap();
        let captured = Captured::below(dir.path().to_owned());
        for (job, attempt) in [(12, 1), (12, 2), (120, 1), (1_012, 1)] {
            print(&captured, job, attempt);
        }
        fs::write(dir.path().join("0xxx/12.1.out.cut"), "0 1").unwrap();
        captured.remove(&[id(12), id(1_012), id(5_000)]);
        assert_eq!(captured.all().unwrap().keys().copied().collect::<Vec<_>>(), [id(120)]);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        captured.remove(&[id(120)]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
