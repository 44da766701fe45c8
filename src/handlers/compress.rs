//! The kinds `compress` and `decompress`: files and trees, with zstd or gzip.
//!
//! A file is cut into parts that are compressed on their own, as sub-jobs that idle workers take, and
//! written one after the other: both formats define such a sequence as the whole. The memory is bounded
//! by a few parts in flight, whatever the file's size. Invariant: a name stands for a whole file or
//! for none, and an existing file is replaced only when that was asked for.

mod codec;
mod pack;
#[cfg(test)]
mod tests;
mod unpack;

use std::ffi::OsString;
use std::fs::{self, FileTimes, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::job::{Class, Context, Params};

use super::checksum::{check_paths, note};
use super::files::{self, FileError, Found, Watch};
use super::handler::BlockingHandler;
use super::kind::{Kind, KindInfo};
use super::param::{self, Param, ParamError, ParamKind};
use super::replace::{self, Replacement};
use super::run::{Report, Run};
use super::split;
use codec::{Algorithm, Codec};

const PATH: &str = "path";
const ALGORITHM: &str = "algorithm";
const LEVEL: &str = "level";
const OUTPUT: &str = "output";
const KEEP: &str = "keep";
const FORCE: &str = "force";

/// The levels of zstd; gzip has fewer.
const LEVELS: ParamKind = ParamKind::Number { least: 1, most: 22 };

/// The kind `compress` with its declaration.
pub(super) fn compress() -> Kind {
    let algorithm = ParamKind::Choice(&["zstd", "gzip"]);
    let mut params = vec![
        Param::required(PATH, ParamKind::List, "files, or folders for all files in them"),
        Param::optional(ALGORITHM, algorithm, "the format").or("zstd"),
        Param::optional(
            LEVEL,
            LEVELS,
            "1 is quickest; zstd up to 22 (3 if not given), gzip up to 9 (6)",
        ),
        Param::optional(
            OUTPUT,
            ParamKind::Path,
            "the new file, for a single one; else path.zst or path.gz",
        ),
    ];
    params.extend(shared_params());
    let doc = "compress files and trees";
    Kind::blocking(KindInfo { params, ..KindInfo::new("compress", Class::Cpu, doc) }, Compress)
}

/// The kind `decompress` with its declaration.
pub(super) fn decompress() -> Kind {
    let algorithm = ParamKind::Choice(&["auto", "zstd", "gzip"]);
    let mut params = vec![
        Param::required(
            PATH,
            ParamKind::List,
            "files, or folders for the compressed files in them",
        ),
        Param::optional(ALGORITHM, algorithm, "the format; auto looks at the content").or("auto"),
        Param::optional(
            OUTPUT,
            ParamKind::Path,
            "the new file, for a single one; else path without .zst or .gz",
        ),
    ];
    params.extend(shared_params());
    let doc = "decompress files and trees";
    Kind::blocking(KindInfo { params, ..KindInfo::new("decompress", Class::Cpu, doc) }, Decompress)
}

fn shared_params() -> [Param; 2] {
    [
        Param::optional(KEEP, ParamKind::Bool, "keep the input").or("true"),
        Param::optional(FORCE, ParamKind::Bool, "replace an existing output").or("false"),
    ]
}

struct Compress;
struct Decompress;

impl BlockingHandler for Compress {
    fn check(&self, params: &Params, _: &Context) -> Result<(), ParamError> {
        check_paths(params, PATH)?;
        check_single(params)?;
        let most = algorithm(params).unwrap_or(Algorithm::Zstd).levels();
        match param::number(params, LEVEL) {
            Some(level) if level > most => {
                Err(ParamError::value(LEVEL, format!("this algorithm goes up to {most}")))
            }
            _ => Ok(()),
        }
    }

    fn run(&self, run: Run) -> Report {
        let algorithm = algorithm(&run.params).unwrap_or(Algorithm::Zstd);
        let codec = Codec::new(algorithm, param::number(&run.params, LEVEL));
        let suffix = algorithm.suffix();
        let convert = Convert {
            // As gzip does: what is compressed already is passed over.
            wanted: &|file| !has_suffix(&file.shown, suffix),
            target: &|path| Ok(with_suffix(path, suffix)),
            write: &|source, out, watch| pack::pack(source, out, codec, watch),
            parallel_up_to: pack::PART,
        };
        convert.run(run)
    }
}

impl BlockingHandler for Decompress {
    fn check(&self, params: &Params, _: &Context) -> Result<(), ParamError> {
        check_paths(params, PATH)?;
        check_single(params)
    }

    fn run(&self, run: Run) -> Report {
        let algorithm = algorithm(&run.params);
        let fits =
            |path: &Path| named_by(path).is_some_and(|named| algorithm.is_none_or(|a| a == named));
        let convert = Convert {
            wanted: &|file| fits(&file.shown),
            target: &without_suffix,
            write: &|source, out, watch| unpack::unpack(source, out, algorithm, watch),
            // A sequence is read in order, so only whole files can be shared out.
            parallel_up_to: u64::MAX,
        };
        convert.run(run)
    }
}

/// What both kinds do alike with each file; the rest is theirs.
struct Convert<'a> {
    /// Whether a file of a tree is to be worked on.
    wanted: &'a (dyn Fn(&Found) -> bool + Sync),
    /// The new file's path.
    target: &'a (dyn Fn(&Path) -> Result<PathBuf, FileError> + Sync),
    /// Writes the new content.
    write: &'a (dyn Fn(&Found, &mut Replacement, Watch<'_>) -> Result<Metadata, FileError> + Sync),
    /// Files up to this length are sub-jobs of their own; longer ones take their turn, and each is
    /// shared out by itself, so that the memory stays bounded.
    parallel_up_to: u64,
}

/// What the parameters say about each file.
struct Manner {
    output: Option<PathBuf>,
    keep: bool,
    force: bool,
    mark: String,
}

impl Convert<'_> {
    fn run(&self, mut run: Run) -> Report {
        let paths = param::list(&run.params, PATH);
        let cwd = &run.context.cwd;
        let (mut found, mut problems) = files::find(cwd, &paths, &run.cancel);
        // A file that was named itself is always meant.
        found.retain(|file| {
            paths.iter().any(|path| Path::new(path) == file.shown) || (self.wanted)(file)
        });
        run.progress.expect(found.iter().map(|file| file.len).sum());
        let manner = Manner {
            output: param::text(&run.params, OUTPUT).map(|path| cwd.join(path)),
            keep: param::flag(&run.params, KEEP),
            force: param::flag(&run.params, FORCE),
            mark: replace::mark(&run),
        };
        if manner.output.is_some() && found.len() > 1 {
            return Report::error(format!(
                "{OUTPUT} names one file, but there are {} to work on",
                found.len()
            ));
        }
        let watch = Watch { cancel: &run.cancel, progress: &run.progress };
        problems.extend(self.each(&found, &manner, watch));
        match note(&problems, &mut run) {
            Ok(()) => files::report(&problems),
            Err(error) => Report::error(error),
        }
    }

    fn each(&self, found: &[Found], manner: &Manner, watch: Watch<'_>) -> Vec<FileError> {
        let (short, long): (Vec<_>, Vec<_>) =
            found.iter().partition(|file| file.len <= self.parallel_up_to);
        let one = |file: &&Found| self.convert(file, manner, watch).err();
        let problems = split::map(&short, &one).into_iter().flatten();
        problems.chain(long.iter().filter_map(one)).collect()
    }

    fn convert(&self, source: &Found, manner: &Manner, watch: Watch<'_>) -> Result<(), FileError> {
        watch.advance(0)?;
        let target = match &manner.output {
            Some(output) => output.clone(),
            None => (self.target)(&source.path)?,
        };
        check_target(source, &target, manner.force)?;
        let mut replacement = Replacement::create(&target, &manner.mark)?;
        let metadata = (self.write)(source, &mut replacement, watch)?;
        inherit(&mut replacement, &metadata).map_err(FileError::io("write", &target))?;
        watch.advance(0)?;
        replacement.commit(manner.force)?;
        if manner.keep {
            return Ok(());
        }
        fs::remove_file(&source.path).map_err(FileError::io("remove", &source.shown))
    }
}

/// Asked before the work, so that nobody waits an hour for a refusal. The last word has the rename.
fn check_target(source: &Found, target: &Path, force: bool) -> Result<(), FileError> {
    let Ok(existing) = fs::symlink_metadata(target) else { return Ok(()) };
    let own = fs::metadata(&source.path).map_err(FileError::io("read", &source.shown))?;
    if (existing.dev(), existing.ino()) == (own.dev(), own.ino()) {
        return Err(FileError::SameFile { path: target.to_owned() });
    }
    if force { Ok(()) } else { Err(FileError::Exists { path: target.to_owned() }) }
}

/// The new file has the old one's rights and time of change, as with the formats' own tools.
fn inherit(replacement: &mut Replacement, source: &Metadata) -> std::io::Result<()> {
    let file = replacement.file();
    file.set_permissions(PermissionsExt::from_mode(source.mode() & 0o777))?;
    file.set_times(FileTimes::new().set_modified(source.modified()?))
}

fn algorithm(params: &Params) -> Option<Algorithm> {
    param::text(params, ALGORITHM).and_then(Algorithm::named)
}

fn check_single(params: &Params) -> Result<(), ParamError> {
    if params.contains_key(OUTPUT) && param::list(params, PATH).len() > 1 {
        return Err(ParamError::value(OUTPUT, format!("names one file, but {PATH} names several")));
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.len() > suffix.len() && name.ends_with(suffix.as_bytes())
}

/// The algorithm that a file's name speaks of.
fn named_by(path: &Path) -> Option<Algorithm> {
    [Algorithm::Zstd, Algorithm::Gzip].into_iter().find(|a| has_suffix(path, a.suffix()))
}

fn without_suffix(path: &Path) -> Result<PathBuf, FileError> {
    match named_by(path) {
        Some(_) => Ok(path.with_extension("")),
        None => Err(FileError::Content {
            path: path.to_owned(),
            problem: format!(
                "its name ends in neither .zst nor .gz: name the new file with {OUTPUT}"
            ),
        }),
    }
}
