//! Piped standard input of `run`, kept in a file until the job has ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::desk::Desk;
use super::error::Error;

/// The most that is kept: it is held in memory while it is read.
const CAP: u64 = 64 << 20;
/// How long input may be quiet before it is said that it is waited for.
const QUIET: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
/// How many names are tried for the file.
const TRIES: u32 = 100;

/// A private file that holds the input; removed when dropped.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
}

impl Spool {
    /// The file's path as text.
    pub(super) fn path_text(&self) -> Result<&str, Error> {
        let unreadable =
            || Error::Surroundings(format!("the path {} is not UTF-8", self.path.display()));
        self.path.to_str().ok_or_else(unreadable)
    }

    /// Leaves the file there: the job still needs it.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // If it has been removed by someone else there is nothing left to do.
        let _ = fs::remove_file(&self.path);
    }
}

/// Keeps standard input if it is a pipe, socket or file with anything in it.
pub(super) fn standard_input(desk: &mut Desk) -> Result<Option<Spool>, Error> {
    let stdin = io::stdin();
    if !brings_data(&stdin) {
        return Ok(None);
    }
    let quiet = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&QUIET)) == Ok(0);
    if quiet {
        desk.out.notice("waiting for the end of standard input; give </dev/null if there is none");
    }
    let folder =
        desk.surroundings.get("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    keep_input(stdin.lock(), &folder)
}

fn brings_data(input: &impl AsFd) -> bool {
    let Ok(descriptor) = rustix::io::fcntl_dupfd_cloexec(input, 3) else { return false };
    File::from(descriptor).metadata().is_ok_and(|about| {
        let kind = about.file_type();
        kind.is_fifo() || kind.is_socket() || kind.is_file()
    })
}

fn keep_input(input: impl Read, folder: &Path) -> Result<Option<Spool>, Error> {
    let unreadable = |source| Error::Input { name: "standard input".to_owned(), source };
    let mut bytes = Vec::new();
    let length = input.take(CAP + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if length == 0 {
        return Ok(None);
    }
    if length as u64 > CAP {
        return Err(Error::Surroundings(format!(
            "standard input has more than {} MiB, the most that `run` keeps: write it to a file and let the command read that, as in `twolane run -s 'command <file'`",
            CAP >> 20
        )));
    }
    let (path, mut file) = create(folder)?;
    let spool = Spool { path };
    let prepare = |source| Error::Prepare { path: spool.path.clone(), source };
    file.write_all(&bytes).map_err(prepare)?;
    Ok(Some(spool))
}

fn create(folder: &Path) -> Result<(PathBuf, File), Error> {
    let mut tries = 0;
    loop {
        let name = format!("{}-stdin-{}-{tries}", crate::NAME, std::process::id());
        let path = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {
                tries += 1;
            }
            Err(source) => return Err(Error::Prepare { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn input_is_kept_privately_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let spool = keep_input(&b"hi\0\xff"[..], folder.path()).unwrap().unwrap();
        let path = spool.path.clone();
        assert_eq!(fs::read(&path).unwrap(), b"hi\0\xff");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = keep_input(&b"x"[..], folder.path()).unwrap().unwrap();
        assert_ne!(second.path, path);
        drop(spool);
        assert!(!path.exists());
        let kept = second.path.clone();
        second.keep();
        assert!(kept.exists());
    }

    #[test]
    fn no_input_needs_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(keep_input(&b""[..], folder.path()).unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn too_much_input_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let error = keep_input(io::repeat(7), folder.path()).unwrap_err().to_string();
        assert!(error.contains("64 MiB") && error.contains("<file"), "{error}");
    }
}
