//! Finds the file that a command's name stands for, by the rules of `execvp`.
//!
//! It looks with the daemon's rights, at submit or just before a launch; the kernel has the last word
//! when the program is executed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use thiserror::Error;

/// Why a name stands for no program.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// No such file, here or in any directory of PATH.
    #[error("{}: command not found; check its spelling and PATH", .program.to_string_lossy())]
    NotFound {
        /// The name as it was given.
        program: OsString,
    },
    /// There is such a file, but it is a directory or may not be executed.
    #[error("{}: found, but it is not an executable file; chmod +x may be missing", path.display())]
    NotExecutable {
        /// The first such file.
        path: PathBuf,
    },
}

impl ResolveError {
    /// The exit code a shell would report: 127 not found, 126 not executable.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
        }
    }
}

/// The file that `program` stands for: a name with a slash is a path, relative to `cwd`; any other
/// is looked for in the directories of `path` in order, where an empty entry means `cwd`. A file
/// that cannot be executed is passed over in favour of a later one that can.
pub fn resolve(program: &OsStr, path: &OsStr, cwd: &Path) -> Result<PathBuf, ResolveError> {
    let mut blocked = None;
    for candidate in candidates(program, path, cwd) {
        match look(&candidate) {
            Found::Executable => return Ok(candidate),
            Found::Blocked => {
                blocked.get_or_insert(candidate);
            }
            Found::Nothing => {}
        }
    }
    Err(match blocked {
        Some(path) => ResolveError::NotExecutable { path },
        None => ResolveError::NotFound { program: program.to_owned() },
    })
}

fn candidates(program: &OsStr, path: &OsStr, cwd: &Path) -> Vec<PathBuf> {
    if program.is_empty() {
        return Vec::new();
    }
    if program.as_bytes().contains(&b'/') {
        return vec![cwd.join(program)];
    }
    let directories = path.as_bytes().split(|byte| *byte == b':');
    directories.map(|entry| cwd.join(OsStr::from_bytes(entry)).join(program)).collect()
}

enum Found {
    Executable,
    Blocked,
    Nothing,
}

fn look(candidate: &Path) -> Found {
    match candidate.metadata() {
        Ok(metadata) if metadata.is_file() => {
            match accessat(CWD, candidate, Access::EXEC_OK, AtFlags::EACCESS) {
                Ok(()) => Found::Executable,
                Err(_) => Found::Blocked,
            }
        }
        Ok(_) => Found::Blocked,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Found::Blocked,
        Err(_) => Found::Nothing,
    }
}
