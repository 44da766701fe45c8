//! The files of the repository, and how a breach of a rule is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A text file, by its name from the top.
pub(super) struct TextFile {
    pub(super) name: String,
    pub(super) text: String,
}

/// Where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breach {
    file: String,
    line: usize,
    what: String,
}

impl Breach {
    pub(super) fn new(file: &str, line: usize, what: &str) -> Self {
        Self { file: file.to_owned(), line, what: what.to_owned() }
    }
}

/// Fails with every breach on a line of its own.
pub(super) fn report(breaches: impl IntoIterator<Item = Breach>) {
    let lines: Vec<String> = breaches
        .into_iter()
        .map(|breach| format!("{}:{}: {}", breach.file, breach.line, breach.what))
        .collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether there is a file or folder of this name.
pub(super) fn exists(name: &str) -> bool {
    top().join(name).exists()
}

pub(super) fn executable(name: &str) -> bool {
    fs::metadata(top().join(name)).is_ok_and(|found| found.permissions().mode() & 0o111 == 0o111)
}

/// The text of one file.
pub(super) fn source(name: &str) -> String {
    fs::read_to_string(top().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text files below some places whose names end so, by name; files that are not text are left out.
pub(super) fn files(places: &[&str], end: &str) -> Vec<TextFile> {
    let mut paths = Vec::new();
    for place in places {
        gather(&top().join(place), &mut paths);
    }
    paths.sort();
    let named = paths.into_iter().filter_map(|path| {
        let name = path.strip_prefix(top()).ok()?.to_str()?.to_owned();
        let text = fs::read_to_string(&path).ok()?;
        name.ends_with(end).then_some(TextFile { name, text })
    });
    named.collect()
}

fn gather(path: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(path) else {
        if path.is_file() {
            paths.push(path.to_owned());
        }
        return;
    };
    for entry in entries.flatten() {
        gather(&entry.path(), paths);
    }
}

/// What stands at the top, without what git never keeps.
pub(super) fn top_level() -> Vec<String> {
    let entries = fs::read_dir(top()).expect("the repository can be listed");
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name != ".git" && name != "target").collect();
    names.sort();
    names
}
