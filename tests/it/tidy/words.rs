//! What must not be mentioned: in pure rooms, and anywhere.

use super::code::{PathUse, is_word, line_of, masked, paths, without_tests};
use super::tree::{Breach, TextFile};

/// Beginnings of paths that a pure room must not use.
const IMPURE: [&str; 17] = [
    "tokio",
    "tokio_util",
    "futures_util",
    "rand",
    "getrandom",
    "rustix",
    "libc",
    "std::fs",
    "std::net",
    "std::os::unix",
    "std::thread",
    "std::env",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::sync::Mutex",
    "std::io::stdin",
];

/// What a pure file uses of the world outside, its tests left out.
pub(super) fn impure(file: &str, text: &str) -> Vec<Breach> {
    let found = paths(&without_tests(&masked(text)));
    let bad = found.iter().filter_map(|path| {
        let used = path.parts.join("::");
        let clock = path.parts.iter().any(|part| part == "Instant" || part == "SystemTime");
        let outside = IMPURE.iter().any(|begin| begins(&used, begin));
        let what = format!("a pure room must not know {used}");
        (clock || outside).then(|| Breach::new(file, path.line, &what))
    });
    bad.collect()
}

fn begins(used: &str, begin: &str) -> bool {
    used.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The files and folders that are compiled for tests alone, by the beginning of their names.
pub(super) fn test_files(files: &[TextFile]) -> Vec<String> {
    files.iter().flat_map(|file| declared_for_tests(&file.name, &file.text)).collect()
}

fn declared_for_tests(file: &str, text: &str) -> Vec<String> {
    let code = masked(text);
    let folder = match file.strip_suffix("/mod.rs").or_else(|| file.strip_suffix("/lib.rs")) {
        Some(folder) => folder,
        None => file.trim_end_matches(".rs"),
    };
    let declared = code.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let rest = rest.trim_start();
        let name = rest[rest.find("mod ")? + 4..].split(';').next()?.trim();
        let plain = rest.starts_with("mod") || rest.starts_with("pub");
        (plain && name.chars().all(is_word)).then_some(name.to_owned())
    });
    declared.flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/")]).collect()
}

/// Channels that can grow for ever. A channel of the standard library without a bound is made by
/// `mpsc::channel()`; tokio's function of that name takes one.
pub(super) fn endless(file: &str, text: &str) -> Vec<Breach> {
    let code = without_tests(&masked(text));
    let names = ["unbounded_channel", "UnboundedSender", "UnboundedReceiver", "unbounded"];
    let mentioned = names.iter().flat_map(|name| word(file, &code, name));
    let found = paths(&code);
    let made = found.iter().filter(|path| is_endless(path)).map(|path| {
        Breach::new(file, path.line, "a channel without a bound: take `sync_channel` or tokio's")
    });
    mentioned.chain(made).collect()
}

fn is_endless(path: &PathUse) -> bool {
    let used = path.parts.join("::");
    let imported = used == "std::sync::mpsc::channel" || used == "std::sync::mpsc::Sender";
    let call = path.next.split_once("::<").map_or(path.next.as_str(), |(before, generic)| {
        if before.trim().is_empty() {
            generic.split_once('>').map_or("", |(_, rest)| rest)
        } else {
            before
        }
    });
    imported || used.ends_with("mpsc::channel") && call.trim_start().starts_with("()")
}

/// Marks of work that someone meant to come back to.
pub(super) fn half_done(file: &str, text: &str) -> Vec<Breach> {
    let code = masked(text);
    let marks = [["todo", "!"], ["unimplemented", "!"], ["dbg", "!"], ["#[", "ignore"]];
    let marks = marks.map(|halves| halves.concat());
    let found = marks.iter().flat_map(|mark| {
        let code = &code;
        code.match_indices(mark.as_str())
            .filter(move |(at, _)| mark.starts_with('#') || stands_alone(code, *at, mark.len()))
            .map(move |(at, _)| Breach::new(file, line_of(code, at), &format!("leaves a {mark}")))
    });
    found.collect()
}

/// Every place where a word stands in the code.
pub(super) fn word(file: &str, text: &str, word: &str) -> Vec<Breach> {
    let code = masked(text);
    let found = code.match_indices(word).filter(|(at, _)| stands_alone(&code, *at, word.len()));
    found
        .map(|(at, _)| {
            Breach::new(file, line_of(&code, at), &format!("`{word}` has no place here"))
        })
        .collect()
}

fn stands_alone(code: &str, at: usize, length: usize) -> bool {
    let before = code[..at].chars().next_back();
    let after = code[at + length..].chars().next();
    !before.is_some_and(is_word)
        && (!after.is_some_and(is_word) || code[..at + length].ends_with('!'))
}

#[test]
fn a_clock_in_a_pure_room_is_noticed() {
    for text in [
        "use std::time::{Duration, Instant};",
        "use std::time; fn f() { time::SystemTime::now() }",
        "use tokio::sync::mpsc;",
        "use std::{cmp, fs::File};",
        "fn f() { std::env::var(x) }",
    ] {
        assert_eq!(impure("a.rs", text).len(), 1, "{text}");
    }
    for text in [
        "use std::time::Duration; // tokio::spawn",
        "use crate::job::tokio;",
        "#[cfg(test)]\nmod tests { use std::fs; }",
    ] {
        assert_eq!(impure("a.rs", text), [], "{text}");
    }
}

#[test]
fn test_files_are_found_by_their_declaration() {
    let text = "#[cfg(test)]\nmod simulation;\n#[cfg(test)]\nmod tests { mod x; }\nmod live;";
    let found = declared_for_tests("src/scheduler/mod.rs", text);
    assert_eq!(found, ["src/scheduler/simulation.rs", "src/scheduler/simulation/"]);
    let below = declared_for_tests("src/scheduler/step.rs", "#[cfg(test)]\nmod tests;");
    assert_eq!(below[0], "src/scheduler/step/tests.rs");
}

#[test]
fn an_endless_channel_is_noticed() {
    for text in [
        "let (a, b) = mpsc::unbounded_channel();",
        "let (a, b) = std::sync::mpsc::channel::<u8>();",
        "use std::sync::mpsc; fn f() { mpsc::channel() }",
        "use std::sync::mpsc::{Receiver, channel};",
        "crossbeam_channel::unbounded()",
    ] {
        assert!(!endless("a.rs", text).is_empty(), "{text}");
    }
    for text in
        ["tokio::sync::mpsc::channel::<u8>(4)", "oneshot::channel()", "mpsc::channel(LIMIT)"]
    {
        assert_eq!(endless("a.rs", text), [], "{text}");
    }
}

#[test]
fn half_done_work_is_noticed() {
    let text =
        ["fn f() { tod", "o!() }\n#[igno", "re = \"later\"] fn g() { x.unimplemente", "d!() }"];
    assert_eq!(half_done("a.rs", &text.concat()).len(), 3);
    assert_eq!(half_done("a.rs", "fn f() { my_dbg!(); } // todo! later"), []);
}

#[test]
fn a_word_is_more_than_letters_in_a_row() {
    assert_eq!(word("a.rs", "#![allow(unsafe_code)] // unsafe", "unsafe"), []);
    assert_eq!(word("a.rs", "\nunsafe { }", "unsafe").len(), 1);
}
