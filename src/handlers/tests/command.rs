//! Commands run for real, through the spawner and the reaper.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::handlers::{Handler, Kind, Output, ParamError, Registry, Report, Run, Trades};
use crate::job::{Class, Context, Failure, Outcome, Spec};

use super::{bounded, run_in, written};

fn kind() -> Kind {
    Registry::builtin(&Trades::for_tests()).get("command").unwrap().clone()
}

async fn execute(run: Run) -> Report {
    let Some(Handler::Async(handler)) = kind().handler(Class::Io) else { panic!("not async") };
    bounded(handler.run(run)).await
}

async fn outcome_of(folder: &TempDir, params: Value) -> Outcome {
    execute(run_in(folder.path(), params)).await.outcome
}

/// Waits until the command has made this file.
async fn made(path: &Path) {
    bounded(async {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn output_and_exit_code_come_through() {
    let folder = tempdir().unwrap();
    let argv = json!({"argv": ["sh", "-c", "echo hi; echo oh >&2; exit 3"]});
    let report = execute(run_in(folder.path(), argv)).await;
    assert_eq!(report.outcome, Outcome::Failed(Failure::Exit(3)));
    assert!(report.usage.unwrap().wall > Duration::ZERO);
    assert_eq!(written(&folder), ("hi\n".to_owned(), "oh\n".to_owned()));
}

#[tokio::test]
async fn a_command_knows_what_it_is_part_of_and_no_more_than_it_was_given() {
    let folder = tempdir().unwrap();
    let mut run = run_in(folder.path(), json!({"argv": ["env"]}));
    (run.index, run.name, run.cpus) = (Some(4), Some("encode".to_owned()), 2);
    let mut context = Context::clone(&run.context);
    context.env.insert("TWOLANE_JOB".to_owned(), "forged".to_owned());
    context.env.insert("COLOUR".to_owned(), "blue".to_owned());
    run.context = Arc::new(context);
    assert_eq!(execute(run).await.outcome, Outcome::Succeeded);
    let mut lines: Vec<String> = written(&folder).0.lines().map(str::to_owned).collect();
    lines.retain(|line| !line.starts_with("PATH="));
    lines.sort();
    assert_eq!(
        lines,
        [
            "COLOUR=blue",
            "TWOLANE_ATTEMPT=00000000000000ab-3-7",
            "TWOLANE_CPUS=2",
            "TWOLANE_INDEX=4",
            "TWOLANE_JOB=12",
            "TWOLANE_NAME=encode",
        ]
    );
}

#[tokio::test]
async fn the_shell_is_used_only_when_asked_for() {
    let folder = tempdir().unwrap();
    let plain = json!({"argv": ["echo", "$((1+1))", "|", "cat"]});
    assert_eq!(outcome_of(&folder, plain).await, Outcome::Succeeded);
    let shell = json!({"argv": ["echo", "$((1+1))", "|", "cat"], "shell": true});
    assert_eq!(outcome_of(&folder, shell).await, Outcome::Succeeded);
    assert_eq!(written(&folder).0, "$((1+1)) | cat\n2\n");
}

#[tokio::test]
async fn a_missing_program_is_not_found_and_makes_no_output() {
    let folder = tempdir().unwrap();
    let outcome = outcome_of(&folder, json!({"argv": ["no-such-program-of-ours"]})).await;
    assert!(
        matches!(&outcome, Outcome::Failed(Failure::NotFound(text)) if text.contains("no-such"))
    );
    assert_eq!(outcome.exit_code(), 127);
    assert!(!folder.path().join("1.out").exists());
}

#[tokio::test]
async fn what_can_t_be_executed_is_told_apart_from_what_is_missing() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("data"), "no program").unwrap();
    let outcome = outcome_of(&folder, json!({"argv": ["./data"]})).await;
    assert_eq!(outcome.exit_code(), 126, "{outcome:?}");
    let script = folder.path().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let outcome = outcome_of(&folder, json!({"argv": ["./script"]})).await;
    assert_eq!(outcome.exit_code(), 126, "{outcome:?}");
}

#[tokio::test]
async fn a_directory_that_has_gone_is_named() {
    let folder = tempdir().unwrap();
    let gone = folder.path().join("gone");
    for program in ["true", "./true"] {
        let mut run = run_in(folder.path(), json!({"argv": [program]}));
        run.context = Arc::new(Context { cwd: gone.clone(), ..Context::clone(&run.context) });
        let outcome = execute(run).await.outcome;
        let named = |text: &str| text.contains(gone.to_str().unwrap());
        assert!(
            matches!(&outcome, Outcome::Failed(Failure::Error(text)) if named(text)),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn an_output_file_that_can_t_be_made_is_named() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("missing/out");
    let mut run = run_in(folder.path(), json!({"argv": ["true"]}));
    run.output = Output::users(path.clone(), None, 1, None);
    let outcome = execute(run).await.outcome;
    assert!(outcome.message().unwrap().contains(path.to_str().unwrap()), "{outcome:?}");
}

#[tokio::test]
async fn standard_input_is_empty_unless_a_file_is_named() {
    let folder = tempdir().unwrap();
    assert_eq!(outcome_of(&folder, json!({"argv": ["cat"]})).await, Outcome::Succeeded);
    fs::write(folder.path().join("in"), "spooled").unwrap();
    let named = json!({"argv": ["cat"], "stdin": "in"});
    assert_eq!(outcome_of(&folder, named).await, Outcome::Succeeded);
    assert_eq!(written(&folder).0, "spooled");
    let missing = outcome_of(&folder, json!({"argv": ["cat"], "stdin": "nowhere"})).await;
    assert!(missing.message().unwrap().contains("nowhere"), "{missing:?}");
}

#[tokio::test]
async fn a_cancelled_command_that_ignores_term_is_killed_after_its_grace() {
    let folder = tempdir().unwrap();
    let script = "trap '' TERM; : > ready; while :; do sleep 1000; done";
    let mut run = run_in(folder.path(), json!({"argv": [script], "shell": true}));
    run.grace = Duration::from_millis(1);
    let cancel = run.cancel.clone();
    let running = tokio::spawn(execute(run));
    made(&folder.path().join("ready")).await;
    cancel.cancel();
    let outcome = bounded(running).await.unwrap().outcome;
    assert_eq!(outcome, Outcome::Failed(Failure::Signal(9)));
}

#[tokio::test]
async fn a_cancelled_command_that_heeds_term_has_its_grace() {
    let folder = tempdir().unwrap();
    let script = "trap 'echo bye; exit 0' TERM; : > ready; while :; do sleep 0.01; done";
    let run = run_in(folder.path(), json!({"argv": [script], "shell": true}));
    let cancel = run.cancel.clone();
    let running = tokio::spawn(execute(run));
    made(&folder.path().join("ready")).await;
    cancel.cancel();
    assert_eq!(bounded(running).await.unwrap().outcome, Outcome::Succeeded);
    assert_eq!(written(&folder).0, "bye\n");
}

#[tokio::test]
async fn children_left_behind_are_ended_when_the_command_exits() {
    let folder = tempdir().unwrap();
    let params = json!({"argv": ["sleep 1000 & echo $!"], "shell": true});
    assert_eq!(outcome_of(&folder, params).await, Outcome::Succeeded);
    let pid = written(&folder).0.trim().to_owned();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie that nobody has collected yet runs nothing any more.
    assert!(stat.is_empty() || stat.contains(") Z"), "{stat}");
}

#[tokio::test]
async fn a_cancelled_attempt_that_has_not_begun_starts_nothing() {
    let folder = tempdir().unwrap();
    let run = run_in(folder.path(), json!({"argv": ["touch", "ran"]}));
    run.cancel.cancel();
    assert_eq!(execute(run).await, Report::cancelled());
    assert!(!folder.path().join("ran").exists());
}

#[tokio::test]
async fn an_attempt_that_is_dropped_takes_its_command_with_it() {
    let folder = tempdir().unwrap();
    let fifo = folder.path().join("held");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let script = "exec 3<>held; exec 4>held; exec 3>&-; : > ready; sleep 1000";
    let running =
        tokio::spawn(execute(run_in(folder.path(), json!({"argv": [script], "shell": true}))));
    made(&folder.path().join("ready")).await;
    let ended = tokio::task::spawn_blocking(move || fs::read(fifo).unwrap());
    running.abort();
    // The pipe ends when the last process that holds it is gone.
    assert_eq!(bounded(ended).await.unwrap(), b"");
}

#[test]
fn what_no_command_line_can_carry_is_refused_at_submit() {
    let registry = Registry::builtin(&Trades::for_tests());
    let check = |argv: Value| {
        let params = json!({"argv": argv}).as_object().cloned().unwrap();
        let mut spec = Spec { kind: "command".to_owned(), params, ..Spec::default() };
        registry.check(&mut spec, &Context::default())
    };
    assert!(check(json!(["echo", "a b"])).is_ok());
    for bad in [json!(["echo", "a\0b"]), json!([]), json!([""]), json!([1]), json!({"a": 1})] {
        let refused = check(bad.clone()).unwrap_err();
        let value = matches!(refused, crate::handlers::CheckError::Param(ParamError::Value { .. }));
        assert!(value, "{bad}: {refused}");
    }
}
