//! The import law: which room may use which, arrows only down.

use super::code::{PathUse, masked, paths};
use super::tree::Breach;

/// A room and those it may use. `config` is bound further: of most rooms it takes the options alone.
const LAW: [(&str, &[&str]); 14] = [
    ("bin", &["daemon", "cli"]),
    (
        "daemon",
        &[
            "config",
            "lanes",
            "handlers",
            "store",
            "scheduler",
            "protocol",
            "process",
            "job",
            "pool",
        ],
    ),
    ("cli", &["tui", "client", "protocol", "job"]),
    ("tui", &["client", "protocol", "job"]),
    ("client", &["protocol", "job"]),
    ("config", &["scheduler", "store", "handlers", "lanes", "pool", "process", "job"]),
    ("lanes", &["handlers", "pool", "job"]),
    ("handlers", &["process", "pool", "job"]),
    ("scheduler", &["job"]),
    ("protocol", &["job"]),
    ("store", &["job"]),
    ("process", &["job"]),
    ("pool", &[]),
    ("job", &[]),
];

/// What a file of `src/` uses against the law.
pub(super) fn breaches(file: &str, text: &str) -> Vec<Breach> {
    let Some(room) = room_of(file) else { return Vec::new() };
    let Some((_, allowed)) = LAW.iter().find(|(name, _)| *name == room) else {
        return vec![Breach::new(file, 1, &format!("`{room}` has no place in the import law"))];
    };
    let found = paths(&masked(text));
    let judged = found.iter().filter_map(|path| {
        let what = judge(room, allowed, module_depth(file), path)?;
        Some(Breach::new(file, path.line, &what))
    });
    judged.collect()
}

/// `src/store/sqlite/mod.rs` is in the room `store`; the map itself is in none.
fn room_of(file: &str) -> Option<&str> {
    let inner = file.strip_prefix("src/")?;
    if inner == "lib.rs" {
        return None;
    }
    Some(inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs"))
}

/// How many modules a file stands below the crate's root.
fn module_depth(file: &str) -> usize {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inner.split('/').count()
}

fn judge(room: &str, allowed: &[&str], depth: usize, path: &PathUse) -> Option<String> {
    let other = target(room, depth, path)?;
    if other == room || !LAW.iter().any(|(name, _)| *name == other) {
        return None;
    }
    let used = path.parts.join("::");
    if !allowed.contains(&other) {
        return Some(format!("`{room}` must not use `{other}` ({used})"));
    }
    let last = path.parts.last().map_or("", String::as_str);
    let wishes = room == "config" && other != "job";
    (wishes && !path.parts.iter().any(|part| part.ends_with("Options")) && last != "options")
        .then(|| format!("`config` may use the Options of `{other}` alone ({used})"))
}

/// The room that a path leads to from the crate's root, if it begins there.
fn target<'a>(room: &str, depth: usize, path: &'a PathUse) -> Option<&'a str> {
    let parts = &path.parts;
    let begin = match parts[0].as_str() {
        "crate" => 1,
        "twolane" if room == "bin" => 1,
        "super" => {
            let ups = parts.iter().take_while(|part| *part == "super").count();
            if ups < depth + path.depth {
                return None;
            }
            ups
        }
        _ => return None,
    };
    parts.get(begin).map(String::as_str)
}

#[test]
fn the_law_has_no_circles() {
    for (place, (room, allowed)) in LAW.iter().enumerate() {
        for other in *allowed {
            let below = LAW.iter().position(|(name, _)| name == other);
            assert!(below > Some(place), "{room} -> {other} does not lead down");
        }
    }
}

#[test]
fn an_import_upwards_is_noticed() {
    for (file, text) in [
        ("src/scheduler/mod.rs", "use crate::store::Store;"),
        ("src/job/id.rs", "use crate::{NAME, pool::Pool};"),
        ("src/pool/mod.rs", "fn f() -> crate::job::JobId { todo() }"),
        ("src/pool/mod.rs", "use super::job::JobId;"),
        ("src/pool/a.rs", "mod tests { use super::super::super::job::JobId; }"),
        ("src/lanes/a.rs", "\n\nuse crate::job::Job;\nuse crate::daemon::Daemon;"),
        ("src/config/load.rs", "use crate::pool::Pool;"),
        ("src/bin/twolane.rs", "fn main() { twolane::store::open() }"),
        ("src/shed/mod.rs", ""),
    ] {
        assert_eq!(breaches(file, text).len(), 1, "{file} {text}");
    }
    let line = breaches("src/lanes/a.rs", "\n\nuse crate::daemon::Daemon;");
    assert_eq!(
        line,
        [Breach::new("src/lanes/a.rs", 3, "`lanes` must not use `daemon` (crate::daemon::Daemon)")]
    );
}

#[test]
fn what_the_law_allows_passes() {
    for (file, text) in [
        ("src/scheduler/mod.rs", "use crate::job::{Job, JobId}; use super::scheduler::x;"),
        ("src/pool/a.rs", "use super::job::Work; use crate::pool::cell; // crate::daemon::x"),
        ("src/pool/mod.rs", "mod tests { use super::job::Work; }"),
        ("src/config/load.rs", "use crate::pool::{Options, PoolOptions as O}; use crate::NAME;"),
        ("src/config/load.rs", "use crate::store::sqlite::Options; use crate::job::parse_size;"),
        ("src/bin/twolane.rs", "fn main() { twolane::cli::main() }"),
        ("src/lib.rs", "pub use crate::daemon::main;"),
    ] {
        assert_eq!(breaches(file, text), [], "{file} {text}");
    }
}
