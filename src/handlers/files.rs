//! Finding the files that a job works on, and what can go wrong with one.
//!
//! A path that names a folder stands for the regular files below it, in the order of their names;
//! links and special files in it are passed over. A path that names a file may be a link to it.
//! What can't be read is a problem of its own and does not hide the rest.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::output::OutputError;
use super::progress::Progress;
use super::run::Report;

/// So much is read at a time. Small enough that a cancelled job stops at once, large enough that the
/// calls cost nothing beside the work.
pub(super) const PIECE: usize = 128 << 10;

/// A regular file.
#[derive(Debug)]
pub(super) struct Found {
    /// The path as the user would write it.
    pub(super) shown: PathBuf,
    /// The path to open.
    pub(super) path: PathBuf,
    /// Its length when it was found.
    pub(super) len: u64,
}

/// What went wrong with one file.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("cancelled")]
    Cancelled,
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{}: changed while it was read: run the job again when nobody writes to it", path.display())]
    Changed { path: PathBuf },
    #[error("{}: neither a regular file nor a folder", path.display())]
    Special { path: PathBuf },
    #[error("{}: exists already: remove it, or give force=true", path.display())]
    Exists { path: PathBuf },
    #[error("{}: input and output are the same file: name another output", path.display())]
    SameFile { path: PathBuf },
    #[error("{}: {problem}", path.display())]
    Content { path: PathBuf, problem: String },
    #[error("{0}")]
    Output(#[from] OutputError),
}

impl FileError {
    /// For `map_err`: what was being done to which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

/// What every piece of work looks at and tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch<'a> {
    pub(super) cancel: &'a CancellationToken,
    pub(super) progress: &'a Progress,
}

impl Watch<'_> {
    /// Tells that so many bytes are done; an error once the job is cancelled.
    pub(super) fn advance(&self, bytes: usize) -> Result<(), FileError> {
        self.progress.advance(bytes as u64);
        if self.cancel.is_cancelled() { Err(FileError::Cancelled) } else { Ok(()) }
    }
}

/// The files that `given` stand for, and what could not be looked at.
pub(super) fn find(
    cwd: &Path,
    given: &[&str],
    cancel: &CancellationToken,
) -> (Vec<Found>, Vec<FileError>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for root in given {
        // Visited last in, first out, so a folder's entries go on the pile in reverse.
        let mut pile = vec![PathBuf::from(root)];
        let mut is_root = true;
        while let Some(shown) = pile.pop() {
            if cancel.is_cancelled() {
                problems.push(FileError::Cancelled);
                return (found, problems);
            }
            match visit(cwd, &shown, is_root) {
                Ok(Visit::File(file)) => found.push(file),
                Ok(Visit::Folder(entries)) => pile.extend(entries.into_iter().rev()),
                Ok(Visit::Other) => {}
                Err(problem) => problems.push(problem),
            }
            is_root = false;
        }
    }
    (found, problems)
}

enum Visit {
    File(Found),
    Folder(Vec<PathBuf>),
    Other,
}

fn visit(cwd: &Path, shown: &Path, is_root: bool) -> Result<Visit, FileError> {
    let path = cwd.join(shown);
    let metadata = if is_root { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
    let metadata = metadata.map_err(FileError::io("read", shown))?;
    if metadata.is_dir() {
        entries(&path, shown).map(Visit::Folder).map_err(FileError::io("read the folder", shown))
    } else if metadata.is_file() {
        Ok(Visit::File(Found { shown: shown.to_owned(), path, len: metadata.len() }))
    } else if is_root {
        Err(FileError::Special { path: shown.to_owned() })
    } else {
        Ok(Visit::Other)
    }
}

fn entries(path: &Path, shown: &Path) -> io::Result<Vec<PathBuf>> {
    let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names.into_iter().map(|name| shown.join(name)).collect())
}

impl Found {
    /// Opens it for reading, and sees to it that it is still the file that was found.
    pub(super) fn open(&self) -> Result<(File, Metadata), FileError> {
        let file = File::open(&self.path).map_err(FileError::io("read", &self.shown))?;
        let metadata = self.unchanged(&file)?;
        Ok((file, metadata))
    }

    /// The file's metadata, if it still has the length it was found with.
    pub(super) fn unchanged(&self, file: &File) -> Result<Metadata, FileError> {
        let metadata = file.metadata().map_err(FileError::io("read", &self.shown))?;
        if metadata.len() == self.len { Ok(metadata) } else { Err(self.changed()) }
    }

    /// What went wrong with a read at a place that should be there.
    pub(super) fn unread(&self, source: io::Error) -> FileError {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            self.changed()
        } else {
            FileError::io("read", &self.shown)(source)
        }
    }

    fn changed(&self) -> FileError {
        FileError::Changed { path: self.shown.clone() }
    }
}

/// The report of an attempt that had these problems; the first is told, the others are counted.
pub(super) fn report(problems: &[FileError]) -> Report {
    if problems.iter().any(|problem| matches!(problem, FileError::Cancelled)) {
        return Report::cancelled();
    }
    match problems {
        [] => Report::succeeded(),
        [only] => Report::error(only),
        [first, rest @ ..] => {
            Report::error(format!("{first} (and {} more: see the job's errors)", rest.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::tempdir;

    use super::*;

    fn names(cwd: &Path, given: &[&str]) -> (Vec<String>, Vec<String>) {
        let (found, problems) = find(cwd, given, &CancellationToken::new());
        let shown = found.iter().map(|file| file.shown.display().to_string());
        (shown.collect(), problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_tree_is_its_regular_files_in_the_order_of_their_names() {
        let folder = tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("tree/b/deep")).unwrap();
        for name in ["tree/c", "tree/b/2", "tree/b/1", "tree/b/deep/x", "tree/a", "alone"] {
            fs::write(at(name), name).unwrap();
        }
        symlink("c", at("tree/link")).unwrap();
        symlink("tree", at("way")).unwrap();
        let tree = ["tree/a", "tree/b/1", "tree/b/2", "tree/b/deep/x", "tree/c"];
        let (found, problems) = names(folder.path(), &["tree", "alone"]);
        assert_eq!(found, [&tree[..], &["alone"]].concat());
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(names(folder.path(), &["way"]).0.len(), tree.len());
    }

    #[test]
    fn what_is_missing_is_named_and_the_rest_is_found() {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("here"), "").unwrap();
        let (found, problems) = names(folder.path(), &["gone", "here", "/dev/null"]);
        assert_eq!(found, ["here"]);
        assert!(problems[0].starts_with("cannot read gone: No such file"), "{problems:?}");
        assert!(problems[1].contains("/dev/null"), "{problems:?}");
    }

    #[test]
    fn a_file_that_grew_is_noticed() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "one").unwrap();
        let (found, _) = find(folder.path(), &["log"], &CancellationToken::new());
        assert!(found[0].open().is_ok());
        fs::write(&path, "onetwo").unwrap();
        assert!(matches!(found[0].open(), Err(FileError::Changed { .. })));
    }

    #[test]
    fn many_problems_are_told_in_one_line() {
        let problem = || FileError::Changed { path: PathBuf::from("x") };
        let text = report(&[problem(), problem(), problem()]).outcome.to_string();
        assert!(text.contains("and 2 more"), "{text}");
        assert_eq!(report(&[problem(), FileError::Cancelled]), Report::cancelled());
        assert_eq!(report(&[]), Report::succeeded());
    }
}
