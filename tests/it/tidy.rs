//! The rules of the house, each a test that names the file and line that breaks it.
//!
//! Length of functions is clippy's (`too_many_lines`, with the threshold of `.clippy.toml`); what
//! stands here no lint knows. The import law holds for test code too. What a pure room must not mention
//! is allowed in its tests, which may need a seed from the environment or a file of cases; so are
//! channels without a bound, whose senders a test counts.

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/law.rs"]
mod law;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

use tree::{Breach, TextFile, files, report, source};

/// The longest file, in lines: what a reader can hold in mind.
const LONGEST_FILE: usize = 500;
/// A binary this long has begun to do something itself.
const LONGEST_BINARY: usize = 60;

#[test]
fn rooms_import_only_what_the_law_allows() {
    let files = files(&["src"], ".rs");
    report(files.iter().flat_map(|file| law::breaches(&file.name, &file.text)));
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold_in_mind() {
    let files = files(&["src", "tests", "benches"], ".rs");
    report(files.iter().filter_map(|file| too_long(&file.name, &file.text, LONGEST_FILE)));
}

#[test]
fn binaries_only_call_the_library() {
    let files = files(&["src/bin"], ".rs");
    assert!(!files.is_empty());
    let limit = LONGEST_BINARY - 1;
    report(files.iter().filter_map(|file| too_long(&file.name, &file.text, limit)));
}

#[test]
fn the_brain_and_the_words_know_no_clock_no_file_no_socket_and_no_thread() {
    let rooms = ["src/job/", "src/scheduler/", "src/protocol/"];
    let mut files = live_source();
    files.retain(|file| rooms.iter().any(|room| file.name.starts_with(room)));
    assert!(files.len() >= rooms.len());
    report(files.iter().flat_map(|file| words::impure(&file.name, &file.text)));
}

#[test]
fn channels_are_bounded() {
    report(live_source().iter().flat_map(|file| words::endless(&file.name, &file.text)));
}

#[test]
fn unsafe_code_lives_in_two_rooms() {
    let files = files(&["src", "tests"], ".rs");
    let elsewhere = files.iter().filter(|file| {
        !["src/pool/", "src/process/"].iter().any(|room| file.name.starts_with(room))
    });
    report(elsewhere.flat_map(|file| words::word(&file.name, &file.text, "unsafe")));
}

#[test]
fn nothing_is_left_half_done() {
    let files = files(&["src", "tests", "benches"], ".rs");
    report(files.iter().flat_map(|file| words::half_done(&file.name, &file.text)));
}

#[test]
fn every_module_says_what_it_is() {
    let mut files = live_source();
    files.retain(|file| !file.text.starts_with("//!"));
    report(files.iter().map(|file| Breach::new(&file.name, 1, "begins without a module doc")));
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    const ALLOWED: [&str; 18] = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "benches",
        "config",
        "src",
        "systemd",
        "tests",
        ".ci",
        ".clippy.toml",
        ".editorconfig",
        ".gitattributes",
        ".gitignore",
        ".rustfmt.toml",
    ];
    let found = tree::top_level();
    let strange = found.iter().filter(|name| !ALLOWED.contains(&name.as_str()));
    report(strange.map(|name| Breach::new(name, 1, "does not belong at the top level")));
}

#[test]
fn paths_that_the_documents_name_exist() {
    let documents = files(&["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "src"], ".md");
    assert!(documents.len() >= 3, "the documents at the top are there");
    report(
        documents.iter().flat_map(|file| docs::lost_paths(&file.name, &file.text, &tree::exists)),
    );
}

#[test]
fn each_case_of_the_clocks_names_a_test_that_is_there() {
    let code = files(&["src", "tests"], ".rs");
    let is_there = |name: &str| {
        let head = format!("fn {name}(");
        code.iter().any(|file| file.text.contains(&head))
    };
    let text = source("ARCHITECTURE.md");
    let (rows, breaches) = docs::unshown_cases("ARCHITECTURE.md", &text, &is_there);
    assert!(rows >= 20, "the table of clock cases has gone");
    report(breaches);
}

#[test]
fn the_map_in_the_library_lists_every_room_once() {
    report(docs::map_gaps("src/lib.rs", &source("src/lib.rs")));
}

#[test]
fn scripts_can_be_executed() {
    let scripts = files(&[".ci", "tests"], "");
    let scripts: Vec<_> = scripts.iter().filter(|file| file.text.starts_with("#!")).collect();
    assert!(scripts.iter().any(|file| file.name == ".ci/run"));
    let idle = scripts.iter().filter(|file| !tree::executable(&file.name));
    report(idle.map(|file| Breach::new(&file.name, 1, "is a script that can't be run")));
}

#[test]
fn the_continuous_check_runs_the_test_command_of_the_readme() {
    let readme = source("README.md");
    let command = docs::test_command(&readme).expect("README.md shows how to run all tests");
    let script = source(".ci/run");
    assert!(
        script.lines().any(|line| line.trim() == command),
        ".ci/run has no line `{command}`, which README.md names as the test command"
    );
}

/// The source without the files that are compiled for tests alone.
fn live_source() -> Vec<TextFile> {
    let mut files = files(&["src"], ".rs");
    let tests = words::test_files(&files);
    files.retain(|file| !tests.iter().any(|test| file.name.starts_with(test)));
    files
}

fn too_long(name: &str, text: &str, limit: usize) -> Option<Breach> {
    let lines = text.lines().count();
    let what = format!("is {lines} lines long, {limit} are allowed: split it by subject");
    (lines > limit).then(|| Breach::new(name, limit + 1, &what))
}

#[test]
fn a_long_file_is_noticed() {
    assert!(too_long("a.rs", &"\n".repeat(500), LONGEST_FILE).is_none());
    assert!(too_long("a.rs", &"\n".repeat(501), LONGEST_FILE).is_some());
}
