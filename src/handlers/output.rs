//! Where an attempt's output goes: straight to files, which are made when the first byte or process
//! needs them.
//!
//! Owns the rules for opening them. Captured files are private, appended to, and their folder is
//! made when missing. A user's file follows the user's mask, is truncated by the first attempt and
//! appended to by later ones, and its folder is the user's own affair. Invariant: what writes nothing
//! leaves no file.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Captured output is nobody's but the daemon's, which shows it to those who may see it.
const CAPTURED_MODE: u32 = 0o600;
const CAPTURED_FOLDER_MODE: u32 = 0o700;
/// A folder may be removed with the last that was in it just when it is to be used again.
const FOLDER_TRIES: u32 = 3;
/// What a shell's redirection asks for; the user's mask takes away from it.
const USERS_MODE: u32 = 0o666;
/// The mask where none was recorded: private.
const UNKNOWN_UMASK: u32 = 0o077;

/// The two files of one attempt; one file when they are merged.
#[derive(Debug)]
pub struct Output {
    out: Target,
    err: Option<Target>,
}

/// Why output has nowhere to go.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file can't be opened or made.
    #[error("cannot open the output file {}: {source}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file takes no more.
    #[error("cannot write to the output file {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[derive(Debug)]
struct Target {
    path: PathBuf,
    place: Place,
    file: Option<File>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Captured,
    Users { truncate: bool, umask: Option<u32> },
}

impl Output {
    /// Captured output to `out`, and errors to `err` or, without one, to the same file.
    pub fn new(out: PathBuf, err: Option<PathBuf>) -> Self {
        Self {
            out: Target::new(out, Place::Captured),
            err: err.map(|path| Target::new(path, Place::Captured)),
        }
    }

    /// Output to a file that the user named, and errors captured in `err` or, without one, to the
    /// same file. `path` is absolute and has no placeholders left.
    pub fn users(path: PathBuf, err: Option<PathBuf>, attempt: u32, umask: Option<u32>) -> Self {
        Self {
            out: Target::new(path, Place::Users { truncate: attempt == 1, umask }),
            err: err.map(|path| Target::new(path, Place::Captured)),
        }
    }

    /// The file of standard output.
    pub fn out_path(&self) -> &Path {
        &self.out.path
    }

    /// The file of standard error; `None` when it is the same.
    pub fn err_path(&self) -> Option<&Path> {
        self.err.as_ref().map(|target| target.path.as_path())
    }

    /// Whether standard output goes to a file of the user's, which may lie on a slow or strange
    /// file system: opening it belongs on a thread that may block.
    pub fn is_users(&self) -> bool {
        matches!(self.out.place, Place::Users { .. })
    }

    /// Appends to standard output.
    pub fn write_out(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.out.write(bytes)
    }

    /// Appends to standard error.
    pub fn write_err(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.err.as_mut().unwrap_or(&mut self.out).write(bytes)
    }

    /// Opens both files and gives a descriptor of each for a process: output, then errors. When
    /// they are merged both share one file offset, so the order of writes is kept.
    pub fn open(&mut self) -> Result<(OwnedFd, OwnedFd), OutputError> {
        let out = self.out.descriptor()?;
        let err = self.err.as_mut().unwrap_or(&mut self.out).descriptor()?;
        Ok((out, err))
    }
}

impl Target {
    const fn new(path: PathBuf, place: Place) -> Self {
        Self { path, place, file: None }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let written = self.file()?.write_all(bytes);
        written.map_err(|source| OutputError::Write { path: self.path.clone(), source })
    }

    fn descriptor(&mut self) -> Result<OwnedFd, OutputError> {
        let cloned = self.file()?.try_clone();
        cloned.map(OwnedFd::from).map_err(|source| self.open_error(source))
    }

    fn file(&mut self) -> Result<&mut File, OutputError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open().map_err(|source| self.open_error(source))?,
        };
        Ok(self.file.insert(file))
    }

    fn open(&self) -> io::Result<File> {
        match self.place {
            Place::Captured => open_captured(&self.path),
            Place::Users { truncate, umask } => open_users(&self.path, truncate, umask),
        }
    }

    fn open_error(&self, source: io::Error) -> OutputError {
        OutputError::Open { path: self.path.clone(), source }
    }
}

/// The standard library adds close-on-exec to every file it opens.
fn open_captured(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).create(true).mode(CAPTURED_MODE).open(path);
    let mut opened = open();
    for _ in 0..FOLDER_TRIES {
        match (&opened, path.parent()) {
            (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(CAPTURED_FOLDER_MODE).create(folder)?;
                opened = open();
            }
            _ => break,
        }
    }
    opened
}

/// The rights of a new file of the user's.
pub(super) fn new_file_mode(umask: Option<u32>) -> u32 {
    USERS_MODE & !umask.unwrap_or(UNKNOWN_UMASK)
}

/// Opened without waiting, so that a pipe which nobody reads is an error instead of a hang.
fn open_users(path: &Path, truncate: bool, umask: Option<u32>) -> io::Result<File> {
    let mode = new_file_mode(umask);
    let mut options = OpenOptions::new();
    options.append(true).mode(mode).custom_flags(OFlags::NONBLOCK.bits() as i32);
    let file = match options.clone().create_new(true).open(path) {
        Ok(file) => {
            // The daemon's own mask may be tighter than the user's.
            file.set_permissions(PermissionsExt::from_mode(mode))?;
            file
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A dangling link is made good here, as a shell does.
            let file = options.create(true).open(path)?;
            if truncate && file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            file
        }
        Err(error) => return Err(error),
    };
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn output_that_is_never_written_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("12/1.out");
        let mut output = Output::new(path.clone(), None);
        output.write_out(b"").unwrap();
        drop(output);
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn captured_files_are_private_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let (out, err) = (folder.path().join("12/1.out"), folder.path().join("12/1.err"));
        for _ in 0..2 {
            let mut output = Output::new(out.clone(), Some(err.clone()));
            output.write_out(b"out\n").unwrap();
            output.write_err(b"err\n").unwrap();
        }
        assert_eq!(fs::read(&out).unwrap(), b"out\nout\n");
        assert_eq!(fs::read(&err).unwrap(), b"err\nerr\n");
        assert_eq!((mode(&out), mode(out.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn merged_output_keeps_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.out");
        let mut output = Output::new(path.clone(), None);
        let (out, err) = output.open().unwrap();
        File::from(out).write_all(b"1").unwrap();
        File::from(err).write_all(b"2").unwrap();
        output.write_err(b"3").unwrap();
        output.write_out(b"4").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"1234");
    }

    #[test]
    fn the_first_attempt_truncates_a_user_s_file_and_later_ones_append() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        fs::write(&path, "old").unwrap();
        for (attempt, text) in [(1, "one"), (2, "two")] {
            let mut output = Output::users(path.clone(), None, attempt, Some(0o022));
            output.write_out(text.as_bytes()).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"onetwo");
    }

    #[test]
    fn a_user_s_new_file_has_the_user_s_mask() {
        let folder = tempfile::tempdir().unwrap();
        for (umask, expected) in [(Some(0o002), 0o664), (Some(0o027), 0o640), (None, 0o600)] {
            let path = folder.path().join(format!("{expected:o}"));
            Output::users(path.clone(), None, 1, umask).open().unwrap();
            assert_eq!(mode(&path), expected);
        }
    }

    #[test]
    fn a_user_s_file_that_can_t_be_opened_is_named_and_its_folder_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/result");
        let error = Output::users(path.clone(), None, 1, None).open().unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_an_error_not_a_hang() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        assert!(Output::users(path, None, 1, None).open().is_err());
    }

    #[test]
    fn a_process_gets_a_descriptor_that_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::users(folder.path().join("f"), None, 1, None);
        let (out, _) = output.open().unwrap();
        assert!(!rustix::fs::fcntl_getfl(&out).unwrap().contains(OFlags::NONBLOCK));
    }
}
