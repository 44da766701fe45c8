//! A launch in the form `execve` takes: NUL-terminated strings in one buffer, and tables of pointers
//! into it.
//!
//! Invariant: the buffer is never touched after the pointers were taken, and lives as long as they do.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use super::launch::{Launch, Place, SpawnError};

/// What interprets a script that names no interpreter, as `execvp` has it.
const SHELL: &[u8] = b"/bin/sh";

/// The strings of one launch, laid out for the kernel.
pub(super) struct Image {
    /// Keeps the strings that all the pointers below point to.
    _strings: Vec<u8>,
    pub(super) program: *const c_char,
    pub(super) shell: *const c_char,
    /// Null when the working directory stays.
    pub(super) cwd: *const c_char,
    pub(super) argv: Vec<*const c_char>,
    /// The arguments for the shell, should the program turn out to be a script without `#!`.
    pub(super) shell_argv: Vec<*const c_char>,
    pub(super) envp: Vec<*const c_char>,
}

impl Image {
    /// Lays out the launch; refuses any string with a NUL byte, naming its place.
    pub(super) fn of(launch: &Launch) -> Result<Self, SpawnError> {
        let mut strings = Strings::default();
        let program = strings.add(&[launch.program.as_os_str()], || Place::Program)?;
        let shell = strings.add(&[OsStr::from_bytes(SHELL)], || Place::Program)?;
        let cwd = match &launch.cwd {
            Some(cwd) => Some(strings.add(&[cwd.as_os_str()], || Place::WorkingDirectory)?),
            None => None,
        };
        let mut argv = Vec::with_capacity(launch.argv.len().max(1));
        for (index, argument) in launch.argv.iter().enumerate() {
            argv.push(strings.add(&[argument], || Place::Argument(index))?);
        }
        if argv.is_empty() {
            argv.push(program);
        }
        let mut envp = Vec::with_capacity(launch.env.len());
        for (index, (name, value)) in launch.env.iter().enumerate() {
            let parts = [name.as_os_str(), OsStr::new("="), value.as_os_str()];
            envp.push(strings.add(&parts, || Place::Environment(index))?);
        }
        let mut shell_argv = vec![shell, program];
        shell_argv.extend_from_slice(&argv[1..]);
        Ok(Self {
            program: strings.pointer(program),
            shell: strings.pointer(shell),
            cwd: cwd.map_or(ptr::null(), |offset| strings.pointer(offset)),
            argv: strings.table(&argv),
            shell_argv: strings.table(&shell_argv),
            envp: strings.table(&envp),
            _strings: strings.bytes,
        })
    }
}

/// The buffer while it grows: strings are known by their offset, since it may move.
#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
}

impl Strings {
    fn add(&mut self, parts: &[&OsStr], place: impl Fn() -> Place) -> Result<usize, SpawnError> {
        let offset = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        if self.bytes[offset..].contains(&0) {
            return Err(SpawnError::Nul { place: place() });
        }
        self.bytes.push(0);
        Ok(offset)
    }

    fn pointer(&self, offset: usize) -> *const c_char {
        self.bytes[offset..].as_ptr().cast()
    }

    /// The null-terminated table of these strings.
    fn table(&self, offsets: &[usize]) -> Vec<*const c_char> {
        let strings = offsets.iter().map(|offset| self.pointer(*offset));
        strings.chain([ptr::null()]).collect()
    }
}
