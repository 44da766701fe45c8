//! Python's `varlink` package, which knows nothing of this program, drives the daemon through the
//! interface that the daemon describes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::fixture::Fixture;

/// The client's version that this was tried with; another one could change its API.
const PACKAGE: &str = "varlink==31.0.0";

#[tokio::test(flavor = "multi_thread")]
async fn python_s_varlink_client_introspects_submits_waits_follows_and_cancels() {
    let Some(python) = found_python() else { return };
    let fixture = Fixture::start().await;
    let socket = fixture.socket().to_owned();
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/varlink/client.py");
    let run = move || {
        let python = venv(&python);
        output(Command::new(python).arg(client).arg(socket))
    };
    let ended = tokio::task::spawn_blocking(run).await.expect("the client was run");
    assert!(ended.status.success(), "{}", told(&ended));
    assert_eq!(String::from_utf8_lossy(&ended.stdout).trim(), "all good");
}

/// The interpreter. Without one there is nothing to try, except where the whole suite is promised.
fn found_python() -> Option<PathBuf> {
    let found = Command::new("python3").arg("--version").output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some("python3".into());
    }
    let promised = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!promised, "CI=true, and python3 is missing: install it");
    // Past the harness, which keeps what the macros print to itself.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: python3 is missing, so Python's client was not tried"
    );
    None
}

/// A private environment that has the package, made once below the target directory.
fn venv(python: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("varlink-venv");
    let inner = folder.join("bin/python");
    let ready = folder.join(PACKAGE);
    if ready.exists() {
        return inner;
    }
    let made = output(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder));
    assert!(made.status.success(), "a private Python environment: {}", told(&made));
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
    let installed = output(Command::new(&inner).args(pip));
    assert!(installed.status.success(), "pip install {PACKAGE}: {}", told(&installed));
    std::fs::write(&ready, "").expect("the environment can be marked as ready");
    inner
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn told(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}
