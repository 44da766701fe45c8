//! The kind `checksum`: digests of files and trees, in the form that `b3sum` and `sha256sum` print
//! and check.
//!
//! A file's BLAKE3 is a tree of digests, so its halves are sub-jobs that idle workers take; SHA-256
//! can only go through a file in order, so there a file is the smallest sub-job. Invariant: neither a
//! digest nor the order of lines depends on how the work was shared.

mod digest;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::job::{Class, Context, Params};

use super::files::{self, FileError, Found, Watch};
use super::handler::BlockingHandler;
use super::kind::{Kind, KindInfo};
use super::param::{self, Param, ParamError, ParamKind};
use super::replace::{self, Replacement};
use super::run::{Report, Run};
use super::split;
use digest::{Algorithm, Digest};

const PATH: &str = "path";
const ALGORITHM: &str = "algorithm";
const OUTPUT: &str = "output";

/// So many files are worked on before their lines are written: a tree of a million shows lines early
/// and keeps no more than this in memory, and there is always enough to share.
const BATCH: usize = 1024;

/// The kind with its declaration.
pub(super) fn kind() -> Kind {
    let params = vec![
        Param::required(PATH, ParamKind::List, "files, or folders for all files in them"),
        Param::optional(ALGORITHM, ParamKind::Choice(Algorithm::NAMES), "which digest")
            .or("blake3"),
        Param::optional(
            OUTPUT,
            ParamKind::Path,
            "a file for the lines, instead of the job's output",
        ),
    ];
    let doc = "digests of files and trees, for b3sum -c or sha256sum -c";
    Kind::blocking(KindInfo { params, ..KindInfo::new("checksum", Class::Cpu, doc) }, Checksum)
}

struct Checksum;

impl BlockingHandler for Checksum {
    fn check(&self, params: &Params, _: &Context) -> Result<(), ParamError> {
        check_paths(params, PATH)
    }

    fn run(&self, mut run: Run) -> Report {
        let algorithm = Algorithm::named(param::text(&run.params, ALGORITHM));
        let paths = param::list(&run.params, PATH);
        let (found, mut problems) = files::find(&run.context.cwd, &paths, &run.cancel);
        run.progress.expect(found.iter().map(|file| file.len).sum());
        if let Err(problem) = digest_all(algorithm, &found, &mut problems, &mut run) {
            problems.push(problem);
        }
        match note(&problems, &mut run) {
            Ok(()) => files::report(&problems),
            Err(error) => Report::error(error),
        }
    }
}

/// A list of paths must have one, and none of them empty.
pub(super) fn check_paths(params: &Params, name: &str) -> Result<(), ParamError> {
    let paths = param::list(params, name);
    if paths.is_empty() {
        return Err(ParamError::value(name, "name at least one file or folder"));
    }
    match paths.iter().find(|path| path.is_empty() || path.contains('\0')) {
        None => Ok(()),
        Some(path) => Err(ParamError::value(name, format!("{path:?} is not a path"))),
    }
}

/// Tells every problem on the attempt's errors, one a line.
pub(super) fn note(problems: &[FileError], run: &mut Run) -> Result<(), super::OutputError> {
    let told = problems.iter().filter(|problem| !matches!(problem, FileError::Cancelled));
    let text: String = told.map(|problem| format!("{problem}\n")).collect();
    run.output.write_err(text.as_bytes())
}

/// Digests the files batch by batch and writes a line for each; a file that can't be read becomes a
/// problem and the others go on.
fn digest_all(
    algorithm: Algorithm,
    found: &[Found],
    problems: &mut Vec<FileError>,
    run: &mut Run,
) -> Result<(), FileError> {
    let target = param::text(&run.params, OUTPUT).map(|path| run.context.cwd.join(path));
    let mark = replace::mark(run);
    let mut list = target.map(|target| Replacement::create(&target, &mark)).transpose()?;
    for batch in found.chunks(BATCH) {
        let watch = Watch { cancel: &run.cancel, progress: &run.progress };
        let digests = split::map(batch, &|file| algorithm.digest(file, watch));
        let mut lines = Vec::new();
        for (file, digest) in batch.iter().zip(digests) {
            match digest {
                Ok(digest) => push_line(&mut lines, &digest, &file.shown),
                Err(FileError::Cancelled) => return Err(FileError::Cancelled),
                Err(problem) => problems.push(problem),
            }
        }
        write_lines(&lines, list.as_mut(), run)?;
    }
    list.map_or(Ok(()), |list| list.commit(true))
}

fn write_lines(
    lines: &[u8],
    list: Option<&mut Replacement>,
    run: &mut Run,
) -> Result<(), FileError> {
    let Some(list) = list else {
        return run.output.write_out(lines).map_err(FileError::from);
    };
    let target = list.target().to_owned();
    list.file().write_all(lines).map_err(FileError::io("write", &target))
}

/// `DIGEST  PATH`. As the tools do, a line whose path has a backslash or line break begins with a
/// backslash, and those are written as `\\`, `\n` and `\r`.
fn push_line(lines: &mut Vec<u8>, digest: &Digest, path: &Path) {
    let path = path.as_os_str().as_bytes();
    if path.iter().any(|byte| b"\\\n\r".contains(byte)) {
        lines.push(b'\\');
    }
    lines.extend(digest.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
    lines.extend(b"  ");
    for byte in path {
        match byte {
            b'\\' => lines.extend(b"\\\\"),
            b'\n' => lines.extend(b"\\n"),
            b'\r' => lines.extend(b"\\r"),
            byte => lines.push(*byte),
        }
    }
    lines.push(b'\n');
}
