//! The program that this daemon is, where it is installed, and whether another can take its place.
//!
//! What is installed is a path, and a package puts another file there while the daemon runs. A restart begins with a
//! look at that file and with its own word for it that it understands what this daemon would leave it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, MemfdFlags, access, memfd_create};

use super::handover::FORMAT;
use crate::process::{Launch, Processes, Signal, Status, Stdin};

/// How long the other program may think about it: it reads the config and looks at the store's first page.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most that is told of what it said.
const SAID: u64 = 2_000;
/// Flags that were for this start alone, each with a value.
const ONCE: [&str; 3] = ["--ready-fd", "--handover-fd", "--check-handover"];

/// The program and the words it was started with.
#[derive(Clone, Debug)]
pub(super) struct Image {
    path: PathBuf,
    words: Vec<OsString>,
}

/// Which file something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    number: u64,
    changed: (i64, i64),
}

/// Why the installed program can't take this one's place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("{path}, from which this daemon was started, can't be looked at: {problem}; put the program back there, and try again", path = .path.display())]
    Missing { path: PathBuf, problem: String },
    #[error("{path}, from which this daemon was started, is not a program that it may execute: check its type and permissions", path = .path.display())]
    NotExecutable { path: PathBuf },
    #[error("{path} could not be asked whether it can go on here: {problem}", path = .path.display())]
    Unasked { path: PathBuf, problem: String },
    #[error("{path} can't go on here: {said}; install a version that can, or stop this daemon and start that one", path = .path.display())]
    Refuses { path: PathBuf, said: String },
    #[error("{path} was replaced a moment ago: try again", path = .path.display())]
    Changed { path: PathBuf },
}

impl Image {
    /// This process's. Its path is the one that it was called by if that leads to the file that runs, or else that
    /// file's own; an earlier program's knowledge of it comes first.
    pub(super) fn of_this_process(known: Option<PathBuf>) -> io::Result<Self> {
        let words: Vec<OsString> = std::env::args_os().collect();
        let running = FileId::of(Path::new("/proc/self/exe"))?;
        let called = words.first().filter(|word| word.as_bytes().contains(&b'/'));
        let called = called.and_then(|word| std::path::absolute(word).ok());
        let called = called.filter(|path| FileId::of(path).is_ok_and(|file| file == running));
        let path = match known.or(called) {
            Some(path) => path,
            None => std::env::current_exe()?,
        };
        Ok(Self { path, words: kept(words) })
    }

    /// Where it is installed.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The words of its command line that another one is to be started with.
    pub(super) fn words(&self) -> &[OsString] {
        &self.words
    }

    /// Whether another file than the one that runs is installed.
    pub(super) fn is_replaced(&self) -> bool {
        let running = FileId::of(Path::new("/proc/self/exe"));
        matches!((running, FileId::of(&self.path)), (Ok(running), Ok(there)) if running != there)
    }

    /// The installed file, which is there and may be executed.
    pub(super) fn look(&self) -> Result<FileId, Unfit> {
        let path = self.path.clone();
        let file = FileId::of(&path)
            .map_err(|error| Unfit::Missing { path: path.clone(), problem: error.to_string() })?;
        let is_file = path.metadata().is_ok_and(|about| about.is_file());
        if is_file && access(&path, Access::EXEC_OK).is_ok() {
            Ok(file)
        } else {
            Err(Unfit::NotExecutable { path })
        }
    }

    /// Asks the installed program whether it can go on here; tells which file it was.
    pub(super) async fn check(&self, processes: &Processes) -> Result<FileId, Unfit> {
        let file = self.look()?;
        let path = self.path.clone();
        let unasked =
            |error: io::Error| Unfit::Unasked { path: path.clone(), problem: error.to_string() };
        let said = memfd_create("said", MemfdFlags::CLOEXEC).map_err(|errno| unasked(errno.into()));
        let said = std::fs::File::from(said?);
        let copy = || said.try_clone().map(OwnedFd::from).map_err(unasked);
        let own = |(name, _): &(OsString, OsString)| name != OsStr::new("NOTIFY_SOCKET");
        let mut argv = self.words.clone();
        argv.extend(["--check-handover".into(), FORMAT.to_string().into()]);
        let launch = Launch {
            program: path.clone(),
            argv,
            env: std::env::vars_os().filter(own).collect(),
            cwd: None,
            umask: None,
            stdin: Stdin::Null,
            stdout: copy()?,
            stderr: copy()?,
        };
        let child = processes.spawn(launch).await;
        let child = child.map_err(|error| unasked(io::Error::other(error)))?;
        let answer = tokio::time::timeout(PATIENCE, child.exited()).await;
        // It fails only if nothing is left of it.
        let _ = child.end_tree(Signal::KILL);
        let Ok(exit) = answer else {
            let problem = format!("it said nothing for {} s", PATIENCE.as_secs());
            return Err(Unfit::Unasked { path: path.clone(), problem });
        };
        match exit.status {
            Status::Code(0) if self.look()? == file => Ok(file),
            Status::Code(0) => Err(Unfit::Changed { path }),
            _ => Err(Unfit::Refuses { path, said: text_of(said) }),
        }
    }
}

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        let about = path.metadata()?;
        let changed = (about.mtime(), about.mtime_nsec());
        Ok(Self { device: about.dev(), number: about.ino(), changed })
    }
}

/// The words without those that were for one start alone.
fn kept(words: Vec<OsString>) -> Vec<OsString> {
    let mut kept = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if ONCE.iter().any(|flag| word == *flag) {
            words.next();
            continue;
        }
        let with_value = |flag: &&str| {
            word.as_bytes().strip_prefix(flag.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
        };
        if !ONCE.iter().any(with_value) {
            kept.push(word);
        }
    }
    kept
}

/// What it said, in one line.
fn text_of(mut said: std::fs::File) -> String {
    let mut bytes = Vec::new();
    let read = said.rewind().and_then(|()| said.take(SAID).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes).trim().replace('\n', "; ");
    match (read, text.as_str()) {
        (Err(error), _) => format!("what it said can't be read: {error}"),
        (Ok(_), "") => "it did not say why".to_owned(),
        (Ok(_), _) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_one_start_are_not_handed_on() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let line = "twolane daemon --ready-fd 1 --socket /s --handover-fd=7 --system";
        assert_eq!(kept(words(line)), words("twolane daemon --socket /s --system"));
        assert_eq!(kept(words("twolaned --ready-fd")), words("twolaned"));
    }

    #[test]
    fn a_program_that_has_gone_or_may_not_be_executed_is_no_successor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("twolaned");
        let image = Image { path: path.clone(), words: Vec::new() };
        assert!(matches!(image.look(), Err(Unfit::Missing { .. })));
        assert!(!image.is_replaced(), "there is nothing to change to");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(image.look(), Err(Unfit::NotExecutable { .. })));
        assert!(image.is_replaced());
        let image = Image { path: folder.path().to_owned(), words: Vec::new() };
        assert!(matches!(image.look(), Err(Unfit::NotExecutable { .. })), "a folder");
    }
}
