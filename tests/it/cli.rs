//! The command line as a user types it: the real program, a daemon that it starts by itself.

use std::io::{BufRead, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A user with a home of their own and no daemon yet.
pub(crate) struct User {
    home: TempDir,
}

impl User {
    pub(crate) fn new() -> Self {
        Self { home: TempDir::new().unwrap() }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twolane"));
        command
            .args(words)
            .current_dir(self.home())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.home())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// What a command that must succeed prints.
    pub(crate) fn out(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", err(&output));
        out(&output)
    }

    pub(crate) fn code(&self, words: &[&str]) -> Option<i32> {
        self.run(words).status.code()
    }

    /// Kills the daemon; the next command starts another.
    pub(crate) fn kill_daemon(&self) {
        let pid = self.json(&["status", "--json"])["pid"].as_i64().unwrap();
        let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
        let flags = rustix::process::PidfdFlags::empty();
        let handle = rustix::process::pidfd_open(pid, flags).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let mut ended = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut ended, None).unwrap();
    }

    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.out(words)).unwrap()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // A test that failed early may have no daemon.
        let _ = self.run(&["stop", "--now"]);
    }
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_first_run_needs_no_set_up() {
    let user = User::new();
    let output = user.run(&["run", "--", "sh", "-c", "echo hi; echo oops >&2; exit 3"]);
    assert_eq!((out(&output).as_str(), output.status.code()), ("hi\n", Some(3)));
    assert!(err(&output).contains("oops"), "{}", err(&output));
    let status = user.json(&["status", "--json"]);
    assert_eq!(status["mode"], "user");
    assert_eq!(user.code(&["status"]), Some(0));
    assert_eq!(user.code(&["stop"]), Some(0));
}

#[test]
fn exit_codes_are_those_of_the_job_and_of_the_shell() {
    let user = User::new();
    for (words, code) in [
        (&["run", "--", "sh", "-c", "kill -9 $$"][..], 137),
        (&["run", "--", "no-such-program"], 127),
        (&["run", "-t", "50ms", "--", "sleep", "600"], 124),
        (&["run", "--no-such-option"], 2),
        (&["show", "999"], 121),
        (&["submit", "--kind", "slep", "for=1s"], 121),
        (&["--no-start", "--socket", "/nowhere/x.sock", "status"], 120),
    ] {
        let output = user.run(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", err(&output));
        assert!(code == 137 || !output.stderr.is_empty(), "{words:?} says nothing");
    }
}

#[test]
fn ids_alone_are_printed_and_can_be_waited_for() {
    let user = User::new();
    let id = user.out(&["submit", "--", "sh", "-c", "exit 4"]);
    assert_eq!(id, "1\n");
    assert_eq!(user.code(&["wait", id.trim()]), Some(4));
    let ids = user.out(&["submit", "echo", "{}", ":::", "a", "b c"]);
    assert_eq!(ids, "2\n3\n");
    assert_eq!(user.code(&["wait", "2-3"]), Some(0));
    assert_eq!(user.out(&["logs", "3"]), "b c\n");
    let reply = user.json(&["submit", "--json", "--array", "1-3", "true"]);
    assert_eq!(reply["ids"], serde_json::json!([4]));
    assert_eq!(user.code(&["wait", "4_1-3"]), Some(0));
    let jobs = user.json(&["list", "--all", "--json"]);
    assert_eq!(jobs.as_array().map(Vec::len), Some(6));
}

#[test]
fn lines_become_jobs_and_lines_of_json_too() {
    let user = User::new();
    let feed = |words: &[&str], text: &str| {
        let mut child = user
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = feed(&["submit", "--each", "-", "--wait", "echo", "<{}>"], "one two\n\nthree\n");
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(user.out(&["logs", "1"]), "<one two>\n");
    assert_eq!(user.out(&["logs", "2"]), "<three>\n");
    let lines = "{\"argv\":[\"echo\",\"json\"],\"name\":\"n\"}\n";
    assert!(feed(&["submit", "--from", "-", "--wait"], lines).status.success());
    assert_eq!(user.out(&["logs", "3"]), "json\n");
    let bad = feed(&["submit", "--from", "-"], "{\"argv\":[\"true\"]}\n{\"argw\":1}\n");
    assert_eq!(bad.status.code(), Some(2), "{}", err(&bad));
    assert!(err(&bad).contains('2') && err(&bad).contains("argw"), "{}", err(&bad));
    let piped = feed(&["run", "--", "cat"], "through a pipe");
    assert_eq!(out(&piped), "through a pipe");
}

#[test]
fn jobs_are_held_released_cancelled_retried_and_removed() {
    let user = User::new();
    let id = user.out(&["submit", "--hold", "--", "true"]);
    let id = id.trim();
    assert_eq!(user.json(&["show", id, "--json"])["state"], "held");
    user.out(&["release", id]);
    assert_eq!(user.code(&["wait", id]), Some(0));
    let failing = user.out(&["submit", "--hold", "--", "sh", "-c", "exit 1"]);
    let failing = failing.trim();
    user.out(&["cancel", failing]);
    assert_eq!(user.code(&["wait", failing]), Some(123));
    user.out(&["retry", failing]);
    assert_eq!(user.code(&["wait", failing]), Some(1));
    user.out(&["rm", id]);
    assert_eq!(user.code(&["show", id]), Some(121));
    user.out(&["prune", "all"]);
    assert_eq!(user.json(&["list", "--all", "--json"]), serde_json::json!([]));
}

#[test]
fn a_pause_and_a_drain_hold_after_a_kill_with_their_reasons_and_so_do_their_ends() {
    let user = User::new();
    user.out(&["queue", "set", "gpu", "max=4"]);
    user.out(&["queue", "pause", "gpu", "--reason", "new driver"]);
    user.out(&["drain", "--reason", "kernel update"]);
    let id = user.out(&["submit", "-q", "gpu", "--", "true"]);
    let id = id.trim();
    user.kill_daemon();
    let told = user.out(&["explain", id]);
    assert!(told.contains("queue gpu is paused (new driver)"), "{told}");
    assert!(told.contains("the daemon is drained (kernel update)"), "{told}");
    let gates = &user.json(&["explain", id, "--json"])["gates"];
    let names: Vec<_> = gates.as_array().unwrap().iter().map(|gate| &gate["gate"]).collect();
    assert_eq!(names, ["drained", "queue_paused"]);
    assert!(user.out(&["queue", "list"]).contains("paused: new driver"));
    let status = user.json(&["status", "--json"]);
    assert_eq!(status["health"], "draining");
    assert!(status["problem"].as_str().unwrap().contains("kernel update"), "{status}");
    user.out(&["queue", "resume", "gpu"]);
    user.kill_daemon();
    let gates = &user.json(&["explain", id, "--json"])["gates"];
    assert_eq!(gates.as_array().unwrap().len(), 1, "the drain alone: {gates}");
    user.out(&["drain", "--off"]);
    assert_eq!(user.code(&["wait", id]), Some(0));
    user.kill_daemon();
    let next = user.out(&["submit", "-q", "gpu", "--", "true"]);
    assert_eq!(user.code(&["wait", next.trim()]), Some(0), "and neither comes back");
    assert_eq!(user.code(&["drain", "--off", "--reason", "x"]), Some(2));
}

#[test]
fn queues_and_pools_are_managed() {
    let user = User::new();
    user.out(&["submit", "--hold", "--", "true"]);
    user.out(&["queue", "set", "gpu", "max=1"]);
    user.out(&["queue", "pause", "gpu"]);
    let queues = user.json(&["queue", "list", "--json"]);
    let gpu =
        queues.as_array().and_then(|queues| queues.iter().find(|queue| queue["name"] == "gpu"));
    assert_eq!(gpu.map(|gpu| (&gpu["max"], &gpu["paused"])), Some((&1.into(), &true.into())));
    user.out(&["queue", "resume", "gpu"]);
    user.out(&["queue", "remove", "gpu"]);
    user.out(&["pool", "set", "cpu=3", "io=50"]);
    let pool = user.json(&["pool", "show", "--json"]);
    assert_eq!((&pool["cpu"], &pool["io"]), (&3.into(), &50.into()));
    assert!(user.out(&["explain", "1"]).contains("held"));
    for verb in ["stats", "kinds", "config", "status", "reload", "list", "pool"] {
        assert_eq!(
            user.code(&if verb == "pool" { vec!["pool", "show"] } else { vec![verb] }),
            Some(0),
            "{verb}"
        );
    }
}

#[test]
fn files_are_hashed_and_compressed_by_the_daemon_itself() {
    let user = User::new();
    std::fs::write(user.home().join("text"), "hello\n".repeat(100_000)).unwrap();
    let sum = user.out(&["run", "--kind", "checksum", "path=text", "algorithm=sha256"]);
    let theirs = Command::new("sha256sum").arg("text").current_dir(user.home()).output().unwrap();
    assert_eq!(sum.split_whitespace().next(), out(&theirs).split_whitespace().next());
    user.out(&["run", "--kind", "compress", "path=text", "algorithm=gzip"]);
    let unpacked = Command::new("gzip").args(["-dc", "text.gz"]).current_dir(user.home()).output();
    assert_eq!(unpacked.unwrap().stdout.len(), 600_000);
}

#[test]
fn jobs_wait_for_others_and_say_why_they_were_skipped() {
    let user = User::new();
    let first = user.out(&["submit", "--", "sh", "-c", "exit 3"]);
    let first = first.trim();
    assert_eq!(user.code(&["wait", first]), Some(3));
    let output = user.run(&["run", "--after", first, "--", "true"]);
    assert_eq!(output.status.code(), Some(122), "{}", err(&output));
    assert!(err(&output).contains("job 1 had to succeed, and it failed (exit code 3)"));
    assert_eq!(user.out(&["run", "-a", &format!("fail:{first}"), "--", "echo", "so"]), "so\n");
    assert_eq!(user.code(&["run", "-a", "any:last", "--", "true"]), Some(0));
    let show = user.out(&["show", "2"]);
    assert!(show.contains("ok:1 (lost: it failed (exit code 3))"), "{show}");
    assert!(user.out(&["explain", "2"]).contains("had to succeed"));
    let waiting = user.out(&["submit", "--hold", "--", "true"]);
    let next = user.out(&["submit", "--after", waiting.trim(), "--", "true"]);
    let told = user.out(&["explain", next.trim()]);
    assert!(told.contains("- dependency: job 5 has to succeed; it is held"), "{told}");
    assert_eq!(user.code(&["submit", "--after", "99", "true"]), Some(121));
    assert_eq!(user.code(&["submit", "--after", "never:1", "true"]), Some(2));
}

#[test]
fn a_run_that_has_to_wait_says_why() {
    let user = User::new();
    user.out(&["queue", "pause", "default", "--reason", "new driver"]);
    let mut waiting = user.command(&["run", "--", "true"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    std::io::BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("job 1 has not started: queue default is paused (new driver)"), "{said}");
    let logs = user.run(&["logs", "1", "--json"]);
    let told: serde_json::Value = serde_json::from_str(err(&logs).trim()).unwrap();
    assert!(told["notice"].as_str().unwrap().contains("has not started"), "{told}");
    user.out(&["queue", "resume", "default"]);
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn what_was_asked_for_twice_or_wrongly_is_understood() {
    let user = User::new();
    user.out(&["queue", "pause", "default"]);
    user.out(&["submit", "--array", "1,3,5", "--", "true"]);
    user.out(&["submit", "--", "true"]);
    user.out(&["edit", "4", "--before", "1_3"]);
    assert_eq!(user.json(&["explain", "4", "--json"])["place"], 2);
    user.out(&["drain", "--reason", "kernel"]);
    user.out(&["drain"]);
    let explained = user.out(&["explain", "4"]);
    assert!(explained.contains("the daemon is drained (kernel)"), "{explained}");
    let number = user.run(&["submit", "--retries", "x", "true"]);
    assert_eq!(number.status.code(), Some(2));
    assert!(err(&number).contains("write a whole number, as in 4"), "{}", err(&number));
    let pattern = user.run(&["submit", "--every", "61 * * * *", "true"]);
    assert!(
        err(&pattern).contains("the minute \"61\" is none: it is 0 to 59"),
        "{}",
        err(&pattern)
    );
}

#[test]
fn a_reload_tells_what_does_not_run_as_the_file_says() {
    let user = User::new();
    let folder = user.home().join(".config/twolane");
    std::fs::create_dir_all(&folder).unwrap();
    user.out(&["queue", "list"]);
    std::fs::write(folder.join("twolane.toml"), "[pool]\nnice = 7\n").unwrap();
    for _ in 0..2 {
        assert_eq!(user.out(&["reload"]), "needs a restart: pool.nice\n");
    }
    std::fs::write(folder.join("twolane.toml"), "[limits.keys.\"host:*\"]\nmax = 2\n").unwrap();
    assert_eq!(user.out(&["reload"]), "in force: limits.keys.host:*.max\n");
    std::fs::write(folder.join("twolane.toml"), "").unwrap();
    assert_eq!(user.out(&["reload"]), "no longer set: limits.keys.host:*.max\n");
}
