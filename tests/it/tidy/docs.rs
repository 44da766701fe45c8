//! What the documents claim about the tree.

use super::tree::Breach;

/// Folders and files at the top that a document's path may begin with.
const ROOTS: [&str; 6] = ["src/", "tests/", "systemd/", "benches/", ".ci/", "config/"];

/// Paths in backticks that lead nowhere.
pub(super) fn lost_paths(file: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Breach> {
    let mut lost = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2) {
            let concrete = !quoted.contains(['*', '<', '{', ' ', '…']);
            let path = quoted.split(':').next().unwrap_or(quoted);
            if ROOTS.iter().any(|root| path.starts_with(root)) && concrete && !exists(path) {
                lost.push(Breach::new(
                    file,
                    number + 1,
                    &format!("names `{path}`, which is not there"),
                ));
            }
        }
    }
    lost
}

/// How many rows the tables have whose last column says what shows them, and those rows that name no
/// test or one that is not there.
pub(super) fn unshown_cases(
    file: &str,
    text: &str,
    is_there: &dyn Fn(&str) -> bool,
) -> (usize, Vec<Breach>) {
    let mut inside = false;
    let (mut rows, mut breaches) = (0, Vec::new());
    for (number, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let last = cells.last().copied().unwrap_or_default();
        if !line.starts_with('|') || last == "shown by" {
            inside = last == "shown by";
            continue;
        }
        if !inside || last.starts_with("---") {
            continue;
        }
        rows += 1;
        let names: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            breaches.push(Breach::new(file, number + 1, "is shown by no test"));
        }
        let gone = names.into_iter().filter(|name| !is_there(name));
        breaches.extend(gone.map(|name| {
            let what = format!("names the test {name}, which is not there");
            Breach::new(file, number + 1, &what)
        }));
    }
    (rows, breaches)
}

/// Modules that the map does not list, and lines of the map without a module.
pub(super) fn map_gaps(file: &str, text: &str) -> Vec<Breach> {
    let mut gaps = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let module = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'));
        let listed = line.strip_prefix("//! | [`").and_then(|rest| rest.split('`').next());
        if module.is_some_and(|name| text.matches(&format!("//! | [`{name}`] |")).count() != 1) {
            gaps.push(Breach::new(file, number + 1, "is not in the map above, or twice"));
        }
        if listed.is_some_and(|name| !text.contains(&format!("\npub mod {name};"))) {
            gaps.push(Breach::new(file, number + 1, "lists a module that is not there"));
        }
    }
    gaps
}

/// The command that runs all tests: the first line of a code block that begins with `cargo test`.
pub(super) fn test_command(readme: &str) -> Option<String> {
    let mut inside = false;
    for line in readme.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside && line.trim_start().starts_with("cargo test") {
            let command = line.split('#').next().unwrap_or(line);
            return Some(command.trim().to_owned());
        }
    }
    None
}

#[test]
fn a_path_that_is_gone_is_noticed() {
    let text = "see `src/here.rs` and\n`src/gone.rs:12`, `src/*.rs`, `config`, src/gone.rs";
    let lost = lost_paths("A.md", text, &|path| path == "src/here.rs");
    assert_eq!(lost, [Breach::new("A.md", 2, "names `src/gone.rs`, which is not there")]);
}

#[test]
fn a_case_without_its_test_is_noticed() {
    let text = "| a | shown by |\n|---|---|\n| x | `here` |\n| y | `gone`, `here` |\n| z | |\n\n| a | b |\n|---|---|\n| c | `d` |\n";
    let (rows, lost) = unshown_cases("A.md", text, &|name| name == "here");
    let gone = Breach::new("A.md", 4, "names the test gone, which is not there");
    assert_eq!((rows, lost), (3, vec![gone, Breach::new("A.md", 5, "is shown by no test")]));
}

#[test]
fn a_gap_in_the_map_is_noticed() {
    let good = "//! | [`a`] | x |\npub mod a;\n";
    assert_eq!(map_gaps("lib.rs", good), []);
    assert_eq!(map_gaps("lib.rs", &format!("{good}pub mod b;\n")).len(), 1);
    assert_eq!(map_gaps("lib.rs", &format!("//! | [`c`] | y |\n{good}")).len(), 1);
}

#[test]
fn the_test_command_is_the_one_in_a_code_block() {
    let readme = "run cargo test\n```sh\ncargo run -- x\ncargo test --locked  # all\n```\n";
    assert_eq!(test_command(readme), Some("cargo test --locked".to_owned()));
    assert_eq!(test_command("cargo test"), None);
}
