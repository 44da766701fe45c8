//! Reads what `/proc` says about one process.
//!
//! Every answer may be out of date when it arrives: who acts on it holds a pidfd opened before.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::thread;
use std::time::Duration;

use super::launch::ATTEMPT_VARIABLE;

/// How often, and how far apart, a process in the middle of `execve` is looked at. Reading the
/// program's first pages from a slow disk is what takes this long.
const EXEC_LOOKS: usize = 100;
const EXEC_PAUSE: Duration = Duration::from_millis(1);

/// The part of `/proc/PID/stat` that is used here.
pub(super) struct Stat {
    /// In clock ticks since boot.
    pub(super) start_time: u64,
}

/// What the kernel says of a process, zombies included; nothing if there is none of this pid.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&text)
}

/// The program's name stands in parentheses and may hold any byte, so fields count from the last one.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    // After the name comes the state; the start time is the 20th of the rest.
    let start_time = fields.nth(19)?.parse().ok()?;
    Some(Stat { start_time })
}

/// The attempt token in a process's environment as it was when its program started. Nothing for
/// those without one, for zombies, and for processes whose environment may not be read.
pub(super) fn attempt(pid: i32) -> Option<OsString> {
    let environment = environment(pid)?;
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| {
        variable.strip_prefix(ATTEMPT_VARIABLE.as_bytes())?.strip_prefix(b"=")
    })?;
    Some(OsString::from_vec(value.to_vec()))
}

/// In the middle of `execve` a process has its new memory already and its environment not yet. Such
/// a one is read again: a pass that takes it for a stranger would let it go.
fn environment(pid: i32) -> Option<Vec<u8>> {
    for _ in 0..EXEC_LOOKS {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        if !environment.is_empty() || !executing(pid) {
            return Some(environment);
        }
        thread::sleep(EXEC_PAUSE);
    }
    None
}

/// Whether a process without an environment has no arguments either but memory of its own. Kernel
/// threads and zombies have no memory; programs started with no environment have arguments, the odd
/// one started with neither costs the looks above.
fn executing(pid: i32) -> bool {
    let empty = |name| fs::read(format!("/proc/{pid}/{name}")).is_ok_and(|text| text.is_empty());
    let memory =
        || fs::read(format!("/proc/{pid}/statm")).is_ok_and(|text| !text.starts_with(b"0"));
    empty("cmdline") && memory()
}

/// The pids of this process's children now, whichever thread made or inherited them. Empty on the
/// rare kernel that does not list them.
pub(super) fn own_children() -> Vec<i32> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("children")));
    let parse = |list: String| {
        list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
    };
    lists.flatten().flat_map(parse).collect()
}

/// The pids of all processes now.
pub(super) fn pids() -> std::io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_and_spaces_hides_no_field() {
        let text = b"12 (a) R 1 (b c)) S 7 42 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1 1";
        let stat = parse_stat(text).unwrap();
        assert_eq!(stat.start_time, 777);
    }

    #[test]
    fn a_cut_line_gives_nothing() {
        assert!(parse_stat(b"12 (a) S 7 42 9").is_none());
        assert!(parse_stat(b"").is_none());
    }
}
