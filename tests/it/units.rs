//! The systemd units: every directive has its reason, and what they claim about the daemon is true.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use twolane::config::Settings;
use twolane::job::parse_duration;

const SYSTEM: &str = include_str!("../../systemd/twolaned.service");
const USER: &str = include_str!("../../systemd/user/twolaned.service");
const SYSUSERS: &str = include_str!("../../systemd/sysusers.d/twolane.conf");
const UNITS: [(&str, &str); 2] =
    [("systemd/twolaned.service", SYSTEM), ("systemd/user/twolaned.service", USER)];

/// The lines that say something, with their numbers, as `(number, name, value)`.
fn directives(unit: &str) -> Vec<(usize, &str, &str)> {
    let lines = unit.lines().enumerate();
    let said = lines.filter(|(_, line)| !line.starts_with(['#', '[']));
    said.filter_map(|(at, line)| line.split_once('=').map(|(name, value)| (at + 1, name, value)))
        .collect()
}

fn value<'a>(unit: &'a str, wanted: &str) -> Option<&'a str> {
    directives(unit).into_iter().find(|(_, name, _)| *name == wanted).map(|(_, _, value)| value)
}

/// Directives without a comment right above.
fn unexplained(unit: &str) -> Vec<usize> {
    let lines: Vec<&str> = unit.lines().collect();
    let bare = |number: &usize| *number < 2 || !lines[number - 2].starts_with("# ");
    directives(unit).into_iter().map(|(number, _, _)| number).filter(bare).collect()
}

#[test]
fn each_directive_has_its_reason_above() {
    for (name, unit) in UNITS {
        assert_eq!(unexplained(unit), [0; 0], "{name}: lines without a comment above");
    }
    assert_eq!(unexplained("[Unit]\n# why\nA=1\nB=2\n"), [4]);
}

#[test]
fn each_line_of_a_unit_is_a_comment_a_section_or_a_directive() {
    for (name, unit) in UNITS {
        let strange = unit
            .lines()
            .find(|line| !line.is_empty() && !line.starts_with(['#', '[']) && !line.contains('='));
        assert_eq!(strange, None, "{name}");
    }
}

#[test]
fn the_daemon_knows_the_flags_that_its_units_give() {
    let help = Command::new(env!("CARGO_BIN_EXE_twolaned")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for (name, unit) in UNITS {
        let start = value(unit, "ExecStart").expect("a unit starts something");
        let mut words = start.split_whitespace();
        let program = Path::new(words.next().unwrap());
        assert_eq!(program.file_name().unwrap(), twolane::DAEMON_NAME, "{name}");
        for flag in words.filter(|word| word.starts_with("--")) {
            let known = help.split_whitespace().any(|word| word.trim_matches(',') == flag);
            assert!(known, "{name}: {flag} is no flag of the daemon:\n{help}");
        }
    }
}

#[test]
fn systemd_waits_longer_than_the_daemon_needs_to_stop() {
    let defaults = Settings::default();
    let needed = defaults.daemon.drain_timeout + defaults.command.grace;
    for (name, unit) in UNITS {
        let granted = parse_duration(value(unit, "TimeoutStopSec").unwrap()).unwrap();
        assert!(
            granted >= needed + Duration::from_secs(10),
            "{name}: {granted:?}, {needed:?} needed"
        );
    }
}

#[test]
fn the_system_unit_s_folders_and_user_are_the_product_s() {
    for name in ["StateDirectory", "RuntimeDirectory", "User", "Group"] {
        assert_eq!(value(SYSTEM, name), Some(twolane::NAME), "{name}");
    }
    let folder = Path::new("/run").join(twolane::NAME);
    assert_eq!(Path::new(twolane::protocol::SYSTEM_SOCKET).parent(), Some(folder.as_path()));
    let user = SYSUSERS.lines().find(|line| line.starts_with("u ")).unwrap();
    assert_eq!(user.split_whitespace().nth(1), Some(twolane::NAME));
}

#[test]
fn systemd_itself_finds_nothing_wrong() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        // Past the harness, which keeps what the macros print to itself.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no systemd-analyze, so the units were not verified"
        );
        return;
    }
    for (scope, unit) in [("--system", SYSTEM), ("--user", USER)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("twolaned.service");
        // The program stands where the tests built it, not where a package puts it.
        let unit = unit.replace("/usr/bin/twolaned", env!("CARGO_BIN_EXE_twolaned"));
        std::fs::write(&file, unit).unwrap();
        let verified = Command::new("systemd-analyze")
            .args([scope, "--man=no", "verify"])
            .arg(&file)
            .env("XDG_RUNTIME_DIR", folder.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&verified.stderr);
        let ours: Vec<&str> =
            told.lines().filter(|line| line.contains("twolaned.service")).collect();
        assert!(verified.status.success() && ours.is_empty(), "{scope}: {told}");
    }
}
