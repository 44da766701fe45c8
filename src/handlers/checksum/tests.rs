//! Digests against the plain hashers, and whole jobs on small trees.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio_util::sync::CancellationToken;

use super::digest::Source;
use super::*;
use crate::handlers::Progress;
use crate::handlers::tests::{run_in, written};
use crate::job::Outcome;

fn work(folder: &TempDir, params: Value) -> Report {
    let mut run = run_in(folder.path(), params);
    kind().check(&mut run.params, &Context::default()).unwrap();
    Checksum.run(run)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

fn blake3_in_parts(content: &[u8], leaf: u64) -> Digest {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("f"), content).unwrap();
    let cancel = CancellationToken::new();
    let progress = Progress::default();
    let (found, _) = files::find(folder.path(), &["f"], &cancel);
    let file = File::open(&found[0].path).unwrap();
    let watch = Watch { cancel: &cancel, progress: &progress };
    let digest = Source { file: &file, found: &found[0], watch }.blake3(leaf).unwrap();
    assert_eq!(progress.read().0, content.len() as u64);
    digest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_digest_does_not_depend_on_how_the_file_was_split(
        content in prop::collection::vec(any::<u8>(), 0..200_000),
        power in 10..18,
    ) {
        let whole = blake3::hash(&content);
        prop_assert_eq!(blake3_in_parts(&content, 1u64 << power), *whole.as_bytes());
    }
}

#[test]
fn lengths_at_the_edges_of_the_tree_are_digested_right() {
    for len in [0, 1, 1023, 1024, 1025, 2048, 2049, 3072, 4096, 4097, (3 << 20) + 1] {
        let content = bytes(len);
        assert_eq!(blake3_in_parts(&content, 1024), *blake3::hash(&content).as_bytes(), "{len}");
    }
}

#[test]
fn a_tree_s_lines_are_in_order_and_relative_as_given() {
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("tree")).unwrap();
    for name in ["b", "a", "c"] {
        fs::write(folder.path().join("tree").join(name), name).unwrap();
    }
    let report = work(&folder, json!({"path": ["tree"]}));
    assert_eq!(report, Report::succeeded());
    let line = |name: &str| format!("{}  tree/{name}\n", blake3::hash(name.as_bytes()).to_hex());
    assert_eq!(written(&folder).0, ["a", "b", "c"].map(line).concat());
}

#[test]
fn the_system_s_own_tool_checks_the_lines() {
    let folder = tempdir().unwrap();
    let names = ["plain", "with space", "back\\slash", "line\nbreak", "empty"];
    for (len, name) in [300_000, 1, 2, 3, 0].into_iter().zip(names) {
        fs::write(folder.path().join(name), bytes(len)).unwrap();
    }
    let params = json!({"path": names, "algorithm": "sha256", "output": "SUMS"});
    assert_eq!(work(&folder, params), Report::succeeded());
    assert_eq!(written(&folder), (String::new(), String::new()));
    let mut tool = Command::new("sha256sum");
    let tool = tool.args(["--check", "--strict", "SUMS"]).current_dir(&folder);
    assert!(tool.stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path().join("SUMS")).unwrap().lines().count(), 5);
}

#[test]
fn what_can_t_be_read_is_named_and_the_rest_is_done() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("here"), "x").unwrap();
    let report = work(&folder, json!({"path": ["gone", "here"]}));
    let text = report.outcome.message().unwrap();
    assert!(text.starts_with("cannot read gone: No such file"), "{text}");
    let (out, err) = written(&folder);
    assert!(out.ends_with("  here\n"), "{out}");
    assert!(err.starts_with("cannot read gone"), "{err}");
}

#[test]
fn progress_is_told_in_bytes() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("f"), bytes(300_000)).unwrap();
    for algorithm in Algorithm::NAMES {
        let run = run_in(folder.path(), json!({"path": ["f"], "algorithm": algorithm}));
        let progress = Arc::clone(&run.progress);
        assert_eq!(Checksum.run(run), Report::succeeded());
        assert_eq!(progress.read(), (300_000, Some(300_000)));
    }
}

#[test]
fn a_cancelled_job_stops_and_leaves_no_list() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("f"), bytes(300_000)).unwrap();
    let run = run_in(folder.path(), json!({"path": ["f"], "output": "SUMS"}));
    run.cancel.cancel();
    assert_eq!(Checksum.run(run).outcome, Outcome::Cancelled);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn a_piece_of_work_sees_the_cancellation() {
    let cancel = CancellationToken::new();
    let progress = Progress::default();
    let watch = Watch { cancel: &cancel, progress: &progress };
    assert!(watch.advance(1).is_ok());
    cancel.cancel();
    assert!(matches!(watch.advance(1), Err(FileError::Cancelled)));
}

#[test]
fn nothing_to_digest_is_refused_at_submit() {
    for bad in [json!({"path": []}), json!({"path": ""}), json!({"path": "a\0"}), json!({})] {
        let mut params = bad.as_object().cloned().unwrap();
        assert!(kind().check(&mut params, &Context::default()).is_err(), "{bad}");
    }
}
