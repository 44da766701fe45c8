//! Writing a file so that its name only ever stands for the whole of it.
//!
//! The content grows in a hidden file beside the target and takes the target's name at the end,
//! after it is synced. Invariant: a replacement that is not committed leaves nothing behind, short of
//! a crash; what a crash left is removed by the next one for the same job.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::files::FileError;
use super::run::Run;

/// Nobody reads it before it is whole; the owner of the work sets the rights it ends up with.
const GROWING_MODE: u32 = 0o600;

/// A file on its way to a name.
#[derive(Debug)]
pub(super) struct Replacement {
    file: File,
    growing: PathBuf,
    target: PathBuf,
    committed: bool,
}

/// A mark for the hidden file's name that is the same in every attempt of a job and no other's.
pub(super) fn mark(run: &Run) -> String {
    format!("{}-{}", run.token.store, run.job)
}

impl Replacement {
    /// Begins a file that is to be called `target`.
    pub(super) fn create(target: &Path, mark: &str) -> Result<Self, FileError> {
        let wrong = FileError::io("write", target);
        let name = target.file_name().ok_or_else(|| wrong(Errno::ISDIR.into()))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{mark}", crate::NAME));
        let growing = target.with_file_name(hidden);
        let create =
            || OpenOptions::new().write(true).create_new(true).mode(GROWING_MODE).open(&growing);
        let file = match create() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&growing).and_then(|()| create())
            }
            created => created,
        };
        let file = file.map_err(wrong)?;
        Ok(Self { file, growing, target: target.to_owned(), committed: false })
    }

    /// The file that grows.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The name it will have.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Syncs it and gives it its name; an existing file of that name is replaced only if
    /// `overwrite`.
    pub(super) fn commit(mut self, overwrite: bool) -> Result<(), FileError> {
        let wrong = FileError::io("write", &self.target);
        self.file.sync_all().map_err(&wrong)?;
        match self.rename(overwrite) {
            Ok(()) => self.committed = true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(FileError::Exists { path: self.target.clone() });
            }
            Err(error) => return Err(wrong(error)),
        }
        sync_folder(&self.target).map_err(&wrong)
    }

    fn rename(&self, overwrite: bool) -> io::Result<()> {
        if overwrite {
            return fs::rename(&self.growing, &self.target);
        }
        let flags = RenameFlags::NOREPLACE;
        match renameat_with(CWD, &self.growing, CWD, &self.target, flags) {
            // Some file systems can't refuse by themselves; a hard link can, on all that have it.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::hard_link(&self.growing, &self.target)?;
                fs::remove_file(&self.growing)
            }
            renamed => Ok(renamed?),
        }
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.committed {
            // A hidden file that can't be removed does no harm, and nobody is left to tell.
            let _ = fs::remove_file(&self.growing);
        }
    }
}

/// The name itself is durable only when its folder is.
fn sync_folder(target: &Path) -> io::Result<()> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tempfile::tempdir;

    use super::*;

    fn listing(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_committed_file_has_its_name_and_nothing_else_is_left() {
        let folder = tempdir().unwrap();
        let target = folder.path().join("whole");
        let mut growing = Replacement::create(&target, "1").unwrap();
        growing.file().write_all(b"content").unwrap();
        assert!(!target.exists());
        growing.commit(false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"content");
        assert_eq!(listing(folder.path()), ["whole"]);
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        let folder = tempdir().unwrap();
        let mut growing = Replacement::create(&folder.path().join("half"), "1").unwrap();
        growing.file().write_all(b"con").unwrap();
        drop(growing);
        assert!(listing(folder.path()).is_empty());
    }

    #[test]
    fn an_existing_file_is_kept_unless_it_may_be_overwritten() {
        let folder = tempdir().unwrap();
        let target = folder.path().join("whole");
        fs::write(&target, "old").unwrap();
        let refused = Replacement::create(&target, "1").unwrap().commit(false);
        assert!(matches!(refused, Err(FileError::Exists { .. })), "{refused:?}");
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(listing(folder.path()), ["whole"]);
        Replacement::create(&target, "1").unwrap().commit(true).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
    }

    #[test]
    fn what_a_crash_left_is_cleared_away() {
        let folder = tempdir().unwrap();
        let target = folder.path().join("whole");
        let mut crashed = Replacement::create(&target, "1").unwrap();
        crashed.file().write_all(b"left over").unwrap();
        std::mem::forget(crashed);
        Replacement::create(&target, "1").unwrap().commit(false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
        assert_eq!(listing(folder.path()), ["whole"]);
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let target = Path::new("/nonexistent/folder/file");
        let error = Replacement::create(target, "1").unwrap_err().to_string();
        assert!(error.contains("/nonexistent/folder/file"), "{error}");
    }
}
