//! The layers together: who wins, what is refused, what lasts.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::load::values;
use super::*;
use crate::scheduler::Options;

/// A host of its own: `etc`, a home and a state directory.
struct Host {
    root: TempDir,
}

impl Host {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        for folder in ["etc/conf.d", "home/.config/twolane", "state"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.root.path().join(name), text).unwrap();
        self
    }

    fn state(&self) -> std::path::PathBuf {
        self.root.path().join("state")
    }

    fn sources(&self, mode: Mode) -> Sources {
        let home = self.root.path().join("home").display().to_string();
        Sources {
            etc: self.root.path().join("etc"),
            env: vec![("HOME".to_owned(), home)],
            ..Sources::new(mode, self.state())
        }
    }

    fn load(&self) -> Loaded {
        load(&self.sources(Mode::System)).unwrap()
    }

    fn refused(&self) -> String {
        let text = load(&self.sources(Mode::System)).unwrap_err().to_string();
        text.replace(&self.root.path().display().to_string(), "")
    }
}

fn origin(loaded: &Loaded, key: &str) -> String {
    loaded.entries.iter().find(|entry| entry.key == key).unwrap().origin.clone()
}

#[test]
fn without_any_layer_the_defaults_are_in_force_and_every_setting_is_told() {
    let loaded = Host::new().load();
    assert_eq!(loaded.settings, Settings::default());
    assert!(loaded.files.is_empty());
    assert!(loaded.entries.iter().all(|entry| entry.origin == "default"));
    let told: Vec<&str> = loaded.entries.iter().map(|entry| entry.key.as_str()).collect();
    let with_default = |key: &&Key| values(&Settings::default()).contains_key(key.name);
    let known: Vec<&str> = KEYS.iter().filter(with_default).map(|key| key.name).collect();
    assert_eq!(told, known);
}

#[test]
fn every_field_of_the_settings_has_its_key() {
    let queue = QueueSettings { max: Some(1), weight: 1, rate: "1/1s".parse().ok() };
    let mut full = Settings::default();
    full.queues.insert("*".to_owned(), queue);
    full.resources.insert("*".to_owned(), ResourceSettings::default());
    let key = KeySettings { max: Some(1), rate: "1/1s".parse().ok() };
    full.limits.keys.insert("*".to_owned(), key);
    full.scheduler.max_running = Some(1);
    full.command.env = Some(EnvPolicy::List);
    let fields = values(&full);
    let mut keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    keys.sort_unstable();
    assert_eq!(fields.keys().map(String::as_str).collect::<Vec<_>>(), keys);
}

#[test]
fn the_ageing_is_spelled_as_the_scheduler_means_it() {
    let scheduler = Settings::default().scheduler;
    let spelled = Options { aging: scheduler.aging.parse().unwrap(), ..Options::default() };
    assert_eq!(spelled, Options::default());
}

#[test]
fn later_layers_win_and_each_value_knows_its_place() {
    let host = Host::new();
    host.write(
        "etc/twolane.toml",
        "[lanes]\ncpu = 1\nio = 1\nblocking = 1\n[daemon]\nlog = \"warn\"",
    )
    .write("etc/conf.d/20.toml", "\nlanes.io = 3")
    .write("etc/conf.d/10.toml", "lanes.io = 2")
    .write("etc/conf.d/30.txt", "not read")
    .write("state/settings.toml", "[lanes]\nblocking = 4\n");
    let mut sources = host.sources(Mode::System);
    sources.env.push(("TWOLANE_CFG__DAEMON__DRAIN_TIMEOUT".to_owned(), "5".to_owned()));
    sources.env.push(("TWOLANE_SOCKET".to_owned(), "/elsewhere".to_owned()));
    sources.flags.push(("daemon.log".to_owned(), "debug".to_owned()));
    let loaded = load(&sources).unwrap();
    let lanes = loaded.settings.lanes;
    assert_eq!((lanes.cpu, lanes.io, lanes.blocking), (1, 3, 4));
    assert_eq!(loaded.settings.daemon.drain_timeout, Duration::from_secs(5));
    assert_eq!(loaded.settings.daemon.log, "debug");
    for (key, end) in [
        ("lanes.cpu", "/etc/twolane.toml:2"),
        ("lanes.io", "/etc/conf.d/20.toml:2"),
        ("lanes.blocking", "/state/settings.toml:2"),
        ("daemon.drain_timeout", "environment TWOLANE_CFG__DAEMON__DRAIN_TIMEOUT"),
        ("daemon.log", "command line daemon.log"),
        ("pool.nice", "default"),
    ] {
        assert!(origin(&loaded, key).ends_with(end), "{key}: {}", origin(&loaded, key));
    }
    assert_eq!(loaded.files.len(), 4);
}

#[test]
fn a_user_s_daemon_reads_the_host_s_file_for_users_and_then_the_user_s_own() {
    let host = Host::new();
    host.write("etc/twolane.toml", "lanes.io = 1")
        .write("etc/user.toml", "lanes.io = 2\nlanes.blocking = 2")
        .write("home/.config/twolane/twolane.toml", "lanes.io = 3");
    let lanes = load(&host.sources(Mode::User)).unwrap().settings.lanes;
    assert_eq!((lanes.io, lanes.blocking), (3, 2));
}

#[test]
fn a_named_file_takes_the_place_of_the_others_and_must_be_there() {
    let host = Host::new();
    host.write("etc/twolane.toml", "lanes.io = 1").write("mine.toml", "lanes.cpu = 7");
    let mut sources = host.sources(Mode::System);
    sources.file = Some(host.root.path().join("mine.toml"));
    let settings = load(&sources).unwrap().settings;
    assert_eq!((settings.lanes.cpu, settings.lanes.io), (7, LaneSettings::default().io));
    sources.file = Some(host.root.path().join("none.toml"));
    assert!(load(&sources).unwrap_err().to_string().contains("none.toml: can't be read"));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_was_meant() {
    for (text, told) in [
        ("[lanes]\ncpu = 1\niop = 2", ":3: unknown setting `lanes.iop`: did you mean `lanes.io`?"),
        ("\n[lane]\ncpu = 1", ":2: unknown setting `lane`: did you mean `lanes`?"),
        ("nice = 3", ":1: unknown setting `nice`: did you mean `pool.nice`?"),
        ("xyzzy = 3", ":1: unknown setting `xyzzy`: `twolane config` lists all"),
        (
            "[queues.gpu]\nmaxx = 1",
            ":2: unknown setting `queues.gpu.maxx`: did you mean `queues.gpu.max`?",
        ),
        ("lanes = 4", ":1: `lanes` is a section, written as [lanes], not 4"),
        ("[lanes.cpu]\nx = 1", ":1: `lanes.cpu` is a whole number from 0 to 4096, not a table"),
        ("[[queues]]", ":1: `queues` is a section, written as [queues], not a list of tables"),
        ("lanes.io = \"3\"", ":1: `lanes.io` is a whole number from 1 to 1000000, not \"3\""),
        ("lanes.io = 0", ":1: `lanes.io` can't be 0: give 1 to 1000000"),
        ("pool.watch = 1 # yes", ":1: `pool.watch` is true or false, not 1"),
        ("daemon.log = \"\"", ":1: `daemon.log` can't be \"\": \"\" is no level: give off, error,"),
        ("daemon.log = \"wran\"", ":1: `daemon.log` can't be \"wran\": \"wran\" is no level"),
        ("daemon.log = \"info,twolane=loud\"", ":1: `daemon.log` can't be \"info,twolane=loud\": "),
        ("command.env = \"all\"", ":1: `command.env` can't be \"all\": give inherit or list"),
        ("command.grace = [1]", ":1: `command.grace` is a duration such as \"30s\", not a list"),
        ("command.grace = \"1x\"", ":1: `command.grace` can't be \"1x\": \"1x\" is not a duration"),
        ("store.wal_limit = \"1K\"", ":1: `store.wal_limit` can't be \"1K\": the least is 1M"),
        ("[queues.\"a b\"]\nmax = 1", ":2: `queues` can't be \"a b\": queue \"a b\" is not a name"),
        (
            "[limits.keys.\"a*b\"]\nmax = 1",
            ":2: `limits.keys` can't be \"a*b\": key \"a*b\" is not a name",
        ),
        (
            "[limits.keys.db]\nrate = \"5000/1h\"",
            ":2: `limits.keys.db.rate` can't be \"5000/1h\": a key starts 1000 jobs at most",
        ),
        (
            "[limits.keys.db]\nmaxx = 1",
            ":2: unknown setting `limits.keys.db.maxx`: did you mean `limits.keys.db.max`?",
        ),
        ("a = 1\n[lanes\n", ":2: not TOML: "),
        ("lanes.io = 1\nlanes.io = 1", ":2: not TOML: duplicate key"),
    ] {
        let host = Host::new();
        let refused = host.write("etc/twolane.toml", text).refused();
        let wanted = format!("/etc/twolane.toml{told}");
        assert!(refused.starts_with(&wanted), "{text:?}\n gave {refused}\n not {wanted}");
    }
}

#[test]
fn all_problems_of_all_layers_are_told_at_once() {
    let host = Host::new();
    host.write("etc/twolane.toml", "a = 1\nlanes.io = 0").write("state/settings.toml", "b = 1");
    let mut sources = host.sources(Mode::System);
    sources.env.push(("TWOLANE_CFG__LANES__CPUS".to_owned(), "1".to_owned()));
    sources.flags.push(("lanes.cpu".to_owned(), "many".to_owned()));
    let problems = load(&sources).unwrap_err().problems;
    assert_eq!(problems.len(), 5);
    assert_eq!(
        problems[3].to_string(),
        "environment TWOLANE_CFG__LANES__CPUS: unknown setting `lanes.cpus`: did you mean `lanes.cpu`?"
    );
    assert_eq!(
        problems[4].to_string(),
        "command line lanes.cpu: `lanes.cpu` is a whole number from 0 to 4096, not \"many\""
    );
}

#[test]
fn a_file_that_can_t_be_read_is_no_reason_to_go_on_without_it() {
    let host = Host::new();
    fs::create_dir(host.root.path().join("etc/twolane.toml")).unwrap();
    host.write("etc/conf.d/10.toml", "");
    fs::write(host.root.path().join("etc/conf.d/20.toml"), [0xff, 0xfe]).unwrap();
    let refused = host.refused();
    assert_eq!(
        refused.lines().filter(|line| line.contains("can't be read")).count(),
        2,
        "{refused}"
    );
}

#[test]
fn queues_keep_their_names_as_written() {
    let host = Host::new();
    host.write(
        "etc/twolane.toml",
        "[queues.GPU]\nmax = 1\n[queues.\"team/a.b\"]\nweight = 5\n[queues.open]\nmax = 0",
    );
    let loaded = host.load();
    let records: Vec<_> =
        loaded.settings.queues.iter().map(|(name, queue)| queue.record(name)).collect();
    let told: Vec<_> =
        records.iter().map(|queue| (queue.name.as_str(), queue.max, queue.weight)).collect();
    assert_eq!(told, [("GPU", Some(1), 100), ("open", None, 100), ("team/a.b", None, 5)]);
    assert!(origin(&loaded, "queues.team/a.b.weight").ends_with("twolane.toml:4"));
}

#[test]
fn a_reload_tells_what_changes_now_and_what_needs_a_restart() {
    let host = Host::new();
    let old = host.load();
    assert_eq!(diff(&old, &old), Difference::default());
    host.write(
        "etc/twolane.toml",
        "lanes.io = 5\npool.nice = 3\ncommand.grace = 10\nqueues.\"a.b\".max = 1",
    );
    let difference = diff(&old, &host.load());
    assert_eq!(difference.needs_restart, ["pool.nice"]);
    let live = ["lanes.io", "queues.a.b.max", "queues.a.b.weight"];
    assert_eq!(difference.changed, live, "a grace of 10 is the default of 10s");
}

#[test]
fn persisted_settings_last_and_leave_everything_else_in_the_file() {
    let host = Host::new();
    let state = host.state();
    persist(&state, &[("lanes.io", "9"), ("command.grace", "3s")]).unwrap();
    assert_eq!(host.load().settings.lanes.io, 9);
    assert_eq!(host.load().settings.command.grace, Duration::from_secs(3));
    host.write("state/settings.toml", "# mine\n[lanes]\nio = 9 # many\ncpu = 2\n");
    persist(&state, &[("lanes.io", "10"), ("queues.a.b.max", "4")]).unwrap();
    let text = fs::read_to_string(state.join(SETTINGS_FILE)).unwrap();
    assert!(text.starts_with("# mine\n[lanes]\nio = 10 # many\ncpu = 2\n"), "{text}");
    assert_eq!(host.load().settings.queues["a.b"].max, Some(4));
    forget(&state, &["lanes.io", "queues.a.b.max"]).unwrap();
    let text = fs::read_to_string(state.join(SETTINGS_FILE)).unwrap();
    assert_eq!(text, "# mine\n[lanes]\ncpu = 2\n");
}

#[test]
fn settings_that_would_stop_the_next_start_are_not_persisted() {
    let host = Host::new();
    let state = host.state();
    let refused = persist(&state, &[("lanes.cpu", "2"), ("lanes.io", "0")]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "command line lanes.io: `lanes.io` can't be 0: give 1 to 1000000"
    );
    assert!(persist(&state, &[("lanes.ios", "1")]).is_err());
    assert!(!state.join(SETTINGS_FILE).exists());
    host.write("state/settings.toml", "[lanes");
    assert!(persist(&state, &[("lanes.io", "1")]).is_err());
    assert_eq!(fs::read_to_string(state.join(SETTINGS_FILE)).unwrap(), "[lanes");
    let gone = Path::new("/nonexistent/state");
    assert!(matches!(persist(gone, &[("lanes.io", "1")]), Err(PersistError::Write { .. })));
}

/// The documented file with every setting made active: `#name = value` holds a default, and lines
/// with five spaces behind the `#` are examples.
fn documented(marker: &str) -> String {
    let text = include_str!("../../config/twolane.toml");
    let active = |line: &str| {
        let body = line.strip_prefix(marker).filter(|body| !body.starts_with(' '));
        body.map_or_else(|| if line.starts_with('[') { line } else { "" }.to_owned(), str::to_owned)
    };
    text.lines().map(active).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_documented_file_shows_the_compiled_defaults() {
    let host = Host::new();
    host.write("etc/twolane.toml", &documented("#"));
    let loaded = host.load();
    assert_eq!(loaded.settings, Settings::default());
    let missing: Vec<_> = loaded.entries.iter().filter(|entry| entry.origin == "default").collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
}

#[test]
fn the_documented_file_s_examples_cover_what_has_no_default_and_are_good() {
    let host = Host::new();
    host.write("etc/twolane.toml", &documented("#     "));
    let loaded = host.load();
    let defaults = values(&Settings::default());
    for key in KEYS.iter().filter(|key| !defaults.contains_key(key.name)) {
        let (head, tail) = key.name.split_once('*').unwrap_or((key.name, ""));
        let shown = loaded.entries.iter().any(|entry| {
            entry.origin != "default" && entry.key.starts_with(head) && entry.key.ends_with(tail)
        });
        assert!(shown, "no example of {}", key.name);
    }
}

#[test]
fn each_documented_setting_has_its_reason_above() {
    let text = include_str!("../../config/twolane.toml");
    let lines: Vec<&str> = text.lines().collect();
    for (above, line) in lines.iter().zip(&lines[1..]) {
        let setting = line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
        assert!(!setting || above.starts_with("# "), "{line}");
    }
}
