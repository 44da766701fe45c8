//! Round trips, the formats' own tools, and what must never be left behind.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::handlers::Progress;
use crate::handlers::tests::{run_in, written};
use crate::job::Outcome;

fn prepared(folder: &TempDir, kind: &Kind, params: Value) -> Run {
    let mut run = run_in(folder.path(), params);
    kind.check(&mut run.params, &Context::default()).unwrap();
    run
}

fn pack_job(folder: &TempDir, params: Value) -> Report {
    Compress.run(prepared(folder, &compress(), params))
}

fn unpack_job(folder: &TempDir, params: Value) -> Report {
    Decompress.run(prepared(folder, &decompress(), params))
}

fn listing(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Some megabytes that compress, but not to nothing.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + (at * at / 7 % 23) as u8).collect()
}

/// Packs in small parts, unpacks, and gives what came out.
fn round_trip(content: &[u8], algorithm: Algorithm, part: u64, window: usize) -> Vec<u8> {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("in"), content).unwrap();
    let (cancel, progress) = (CancellationToken::new(), Progress::default());
    let watch = Watch { cancel: &cancel, progress: &progress };
    let find = |name| files::find(folder.path(), &[name], &cancel).0.remove(0);
    let mut packed = Replacement::create(&folder.path().join("packed"), "1").unwrap();
    let codec = Codec::new(algorithm, Some(1));
    pack::pack_parts(&find("in"), &mut packed, codec, watch, part, window).unwrap();
    packed.commit(false).unwrap();
    assert_eq!(progress.read().0, content.len() as u64);
    let mut out = Replacement::create(&folder.path().join("out"), "1").unwrap();
    unpack::unpack(&find("packed"), &mut out, None, watch).unwrap();
    out.commit(false).unwrap();
    fs::read(folder.path().join("out")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_was_packed_in_parts_unpacks_to_the_same(
        content in prop::collection::vec(any::<u8>(), 0..50_000),
        part in 1000u64..20_000,
        window in 1usize..5,
    ) {
        for algorithm in [Algorithm::Zstd, Algorithm::Gzip] {
            prop_assert_eq!(&round_trip(&content, algorithm, part, window), &content);
        }
    }
}

#[test]
fn an_empty_file_is_packed_to_one_that_the_tools_accept() {
    for algorithm in [Algorithm::Zstd, Algorithm::Gzip] {
        assert_eq!(round_trip(b"", algorithm, 1000, 2), b"");
    }
}

#[test]
fn gzip_itself_reads_what_is_made_of_several_parts() {
    let folder = tempdir().unwrap();
    let content = text(9 << 20);
    fs::write(folder.path().join("f"), &content).unwrap();
    let params = json!({"path": "f", "algorithm": "gzip", "level": 1});
    assert_eq!(pack_job(&folder, params), Report::succeeded());
    let out = Command::new("gzip").args(["-dc", "f.gz"]).current_dir(&folder).output().unwrap();
    assert!(out.status.success());
    assert!(out.stdout == content);
}

#[test]
fn a_job_there_and_back_keeps_content_rights_and_time() {
    let folder = tempdir().unwrap();
    let (path, content) = (folder.path().join("f"), text(5 << 20));
    fs::write(&path, &content).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let before = fs::metadata(&path).unwrap();
    let run = prepared(&folder, &compress(), json!({"path": "f", "keep": "no"}));
    let progress = Arc::clone(&run.progress);
    assert_eq!(Compress.run(run), Report::succeeded());
    assert_eq!(progress.read(), (5 << 20, Some(5 << 20)));
    assert_eq!(listing(&folder), ["f.zst"]);
    assert_eq!(unpack_job(&folder, json!({"path": "f.zst"})), Report::succeeded());
    assert_eq!(listing(&folder), ["f", "f.zst"]);
    let after = fs::metadata(&path).unwrap();
    assert!(fs::read(&path).unwrap() == content);
    assert_eq!(after.mode(), before.mode());
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
}

#[test]
fn a_tree_is_done_file_by_file_and_what_is_packed_is_passed_over() {
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("tree")).unwrap();
    for name in ["tree/a", "tree/b", "tree/c.zst", ".zst"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    assert_eq!(pack_job(&folder, json!({"path": "tree", "keep": false})), Report::succeeded());
    let in_tree = || {
        let mut names: Vec<_> =
            fs::read_dir(folder.path().join("tree")).unwrap().flatten().collect();
        names.sort_by_key(fs::DirEntry::file_name);
        names.into_iter().map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(in_tree(), ["a.zst", "b.zst", "c.zst"]);
    fs::remove_file(folder.path().join("tree/c.zst")).unwrap();
    assert_eq!(unpack_job(&folder, json!({"path": "tree", "keep": false})), Report::succeeded());
    assert_eq!(in_tree(), ["a", "b"]);
}

#[test]
fn an_existing_output_is_refused_unless_forced() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("f"), "new").unwrap();
    fs::write(folder.path().join("f.zst"), "old").unwrap();
    let refused = pack_job(&folder, json!({"path": "f"}));
    assert!(refused.outcome.message().unwrap().contains("exists already"), "{refused:?}");
    assert!(written(&folder).1.contains("f.zst: exists already"));
    assert_eq!(fs::read(folder.path().join("f.zst")).unwrap(), b"old");
    assert_eq!(pack_job(&folder, json!({"path": "f", "force": true})), Report::succeeded());
    assert_ne!(fs::read(folder.path().join("f.zst")).unwrap(), b"old");
}

#[test]
fn an_output_that_is_the_input_is_refused_even_when_forced() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("f"), "content").unwrap();
    fs::create_dir(folder.path().join("d")).unwrap();
    let params = json!({"path": "f", "output": "d/../f", "force": true, "keep": false});
    let refused = pack_job(&folder, params);
    assert!(refused.outcome.message().unwrap().contains("same file"), "{refused:?}");
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"content");
}

#[test]
fn a_cancelled_job_leaves_neither_output_nor_hidden_files() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("f"), text(1 << 20)).unwrap();
    let run = prepared(&folder, &compress(), json!({"path": "f", "keep": false}));
    run.cancel.cancel();
    assert_eq!(Compress.run(run).outcome, Outcome::Cancelled);
    assert_eq!(listing(&folder), ["f"]);
}

#[test]
fn a_cancellation_in_the_middle_of_a_file_leaves_nothing() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("f"), text(1 << 20)).unwrap();
    let cancel = CancellationToken::new();
    let (found, _) = files::find(folder.path(), &["f"], &cancel);
    let progress = Progress::default();
    let watch = Watch { cancel: &cancel, progress: &progress };
    let mut out = Replacement::create(&folder.path().join("f.zst"), "1").unwrap();
    cancel.cancel();
    let codec = Codec::new(Algorithm::Zstd, None);
    let stopped = pack::pack_parts(&found[0], &mut out, codec, watch, 1000, 2);
    assert!(matches!(stopped, Err(FileError::Cancelled)), "{stopped:?}");
    drop(out);
    assert_eq!(listing(&folder), ["f"]);
}

#[test]
fn cut_and_foreign_content_is_refused_and_leaves_nothing() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("f"), text(100_000)).unwrap();
    for algorithm in ["zstd", "gzip"] {
        let packed =
            json!({"path": "f", "algorithm": algorithm, "output": "packed", "force": true});
        assert_eq!(pack_job(&folder, packed), Report::succeeded());
        let whole = fs::read(folder.path().join("packed")).unwrap();
        fs::write(folder.path().join("packed"), &whole[..whole.len() - 5]).unwrap();
        let report = unpack_job(&folder, json!({"path": "packed", "output": "out"}));
        assert!(report.outcome.message().unwrap().contains("cannot be decompressed"), "{report:?}");
    }
    let report = unpack_job(&folder, json!({"path": "f", "output": "out"}));
    assert!(report.outcome.message().unwrap().contains("neither zstd nor gzip"), "{report:?}");
    assert_eq!(listing(&folder), ["1.err", "f", "packed"]);
}

#[test]
fn a_file_without_a_suffix_needs_a_named_output() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("f"), "x").unwrap();
    let report = unpack_job(&folder, json!({"path": "f"}));
    assert!(report.outcome.message().unwrap().contains("output"), "{report:?}");
}

#[test]
fn what_does_not_fit_together_is_refused_at_submit() {
    let refused = |kind: Kind, params: Value| {
        let mut params = params.as_object().cloned().unwrap();
        kind.check(&mut params, &Context::default()).is_err()
    };
    for bad in [
        json!({"path": "f", "algorithm": "lz4"}),
        json!({"path": "f", "algorithm": "gzip", "level": 10}),
        json!({"path": "f", "level": 23}),
        json!({"path": ["f", "g"], "output": "one"}),
        json!({"path": []}),
    ] {
        assert!(refused(compress(), bad.clone()), "{bad}");
    }
    assert!(!refused(compress(), json!({"path": "f", "algorithm": "gzip", "level": "9"})));
    assert!(refused(decompress(), json!({"path": "f", "level": 1})));
}
