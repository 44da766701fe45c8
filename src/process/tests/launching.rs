use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::task::Poll;

use tokio::sync::oneshot;

use super::*;
use crate::process::{Child, Exit, Place, ResolveError, Signal, SpawnError, Status};

async fn run(processes: &Processes, launch: Launch) -> Exit {
    let child = within(processes.spawn(launch)).await.unwrap();
    within(child.exited()).await
}

async fn refusal(launch: Launch) -> SpawnError {
    within(start().spawn(launch)).await.unwrap_err()
}

#[tokio::test]
async fn exit_codes_come_back_unchanged() {
    let processes = start();
    for code in [0, 1, 3, 127, 255] {
        let exit = run(&processes, shell(&format!("exit {code}"))).await;
        assert_eq!(exit.status, Status::Code(code));
    }
}

#[tokio::test]
async fn a_child_that_kills_itself_reports_the_signal() {
    let exit = run(&start(), shell("kill -TERM $$")).await;
    assert_eq!(exit.status, Status::Signal(libc::SIGTERM, false));
}

#[tokio::test]
async fn a_late_and_a_second_waiter_hear_of_the_end_too() {
    let child = within(start().spawn(shell("exit 7"))).await.unwrap();
    let first = within(child.exited()).await;
    assert_eq!(within(child.clone().exited()).await, first);
    assert_eq!(child.exit(), Some(first));
    assert!(!child.stragglers());
    assert_eq!(child.start_time(), None, "a reaped child has no entry any more");
}

#[tokio::test]
async fn a_run_hands_over_the_child_and_tells_its_end() {
    let processes = start();
    let (started, child) = oneshot::channel();
    let (reader, writer) = std::io::pipe().unwrap();
    let waiting = Launch { stdin: Stdin::Fd(reader.into()), ..shell("read line; exit 2") };
    let release = async {
        let child = child.await.unwrap();
        drop(writer);
        child
    };
    let (exit, child) =
        within(async { tokio::join!(processes.run(waiting, started), release) }).await;
    assert_eq!(exit.unwrap().status, Status::Code(2));
    assert_eq!(child.exit().unwrap().status, Status::Code(2));
}

#[tokio::test]
async fn a_run_that_cannot_start_says_why() {
    let (started, child) = oneshot::channel();
    let missing = Launch { program: "/nonexistent/program".into(), ..shell("") };
    let error = within(start().run(missing, started)).await.unwrap_err();
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error}");
    assert!(child.await.is_err());
}

#[tokio::test]
async fn a_missing_program_is_127_and_leaves_no_process() {
    let missing = Launch { program: "/nonexistent/program".into(), ..shell("") };
    let error = refusal(missing).await;
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error}");
    assert_eq!((error.exit_code(), error.errno()), (Some(127), Some(libc::ENOENT)));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_file_without_the_execute_bit_is_126() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("plain");
    std::fs::write(&program, "").unwrap();
    let error = refusal(Launch { program, ..shell("") }).await;
    assert!(matches!(error, SpawnError::NotExecutable { .. }), "{error}");
    assert_eq!((error.exit_code(), error.errno()), (Some(126), Some(libc::EACCES)));
}

#[tokio::test]
async fn a_missing_interpreter_is_not_called_a_missing_program() {
    let directory = tempfile::tempdir().unwrap();
    let program = script(directory.path(), "#!/nonexistent/interpreter\n").await;
    let error = refusal(Launch { program, ..shell("") }).await;
    assert!(matches!(error, SpawnError::NoInterpreter { .. }), "{error}");
    assert_eq!(error.exit_code(), Some(126));
}

#[tokio::test]
async fn a_script_without_an_interpreter_line_runs_in_the_shell() {
    let directory = tempfile::tempdir().unwrap();
    let program = script(directory.path(), "exit $1\n").await;
    let argv = vec!["script".into(), "9".into()];
    let exit = run(&start(), Launch { program, argv, ..shell("") }).await;
    assert_eq!(exit.status, Status::Code(9));
}

/// An executable file, written by another process: a descriptor of ours that is open for writing
/// would be in the hands of any child made at that moment, and the kernel executes no such file.
async fn script(directory: &Path, text: &str) -> std::path::PathBuf {
    let path = directory.join("script");
    let words = ["sh", "-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""];
    let mut writing = launch(&words);
    writing.argv.extend([path.clone().into_os_string(), OsString::from(text)]);
    assert_eq!(run(&start(), writing).await.status, Status::Code(0));
    path
}

#[tokio::test]
async fn a_nul_byte_anywhere_is_refused_by_its_place() {
    let nul = || OsString::from("a\0b");
    let argument = Launch { argv: vec!["sh".into(), nul()], ..shell("") };
    let variable = Launch { env: vec![("A".into(), nul())], ..shell("") };
    let directory = Launch { cwd: Some(nul().into()), ..shell("") };
    let program = Launch { program: nul().into(), ..shell("") };
    let expected = [
        (argument, Place::Argument(1)),
        (variable, Place::Environment(0)),
        (directory, Place::WorkingDirectory),
        (program, Place::Program),
    ];
    for (launch, expected) in expected {
        match refusal(launch).await {
            SpawnError::Nul { place } => assert_eq!(place, expected),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_missing_working_directory_is_named() {
    let cwd = Some("/nonexistent/directory".into());
    let error = refusal(Launch { cwd, ..shell("") }).await;
    assert!(matches!(error, SpawnError::WorkingDirectory { .. }), "{error}");
    assert!(error.to_string().contains("/nonexistent/directory"), "{error}");
    assert_eq!((error.exit_code(), error.errno()), (None, Some(libc::ENOENT)));
}

#[tokio::test]
async fn the_working_directory_and_the_mask_are_the_launch_s() {
    let directory = tempfile::tempdir().unwrap();
    let cwd = directory.path().canonicalize().unwrap();
    let of = Launch { cwd: Some(cwd.clone()), umask: Some(0o137), ..shell("pwd; umask; : > made") };
    let text = output_of(&start(), of).await;
    assert_eq!(text, format!("{}\n0137\n", cwd.display()));
    let mode = cwd.join("made").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[tokio::test]
async fn the_environment_is_exactly_what_was_given() {
    let env = vec![("B".into(), "two words".into()), ("A".into(), OsString::new())];
    let text = output_of(&start(), Launch { env, ..launch(&["env"]) }).await;
    assert_eq!(text, "B=two words\nA=\n");
}

#[tokio::test]
async fn standard_input_is_empty_or_the_given_descriptor() {
    let processes = start();
    assert_eq!(output_of(&processes, launch(&["cat"])).await, "");
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"typed").unwrap();
    drop(writer);
    let of = Launch { stdin: Stdin::Fd(reader.into()), ..launch(&["cat"]) };
    assert_eq!(output_of(&processes, of).await, "typed");
}

#[tokio::test]
async fn a_child_inherits_three_descriptors_and_no_more() {
    // Descriptors that close-on-exec does not cover, as a daemon gets them from a careless parent.
    let leaky: Vec<_> = (0..40)
        .map(|_| {
            let file = OpenOptions::new().read(true).custom_flags(0).open("/dev/null").unwrap();
            rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
            file
        })
        .collect();
    let text = output_of(&start(), shell("echo /proc/$$/fd/*")).await;
    drop(leaky);
    let numbers: Vec<_> =
        text.split_whitespace().filter_map(|path| path.rsplit('/').next()).collect();
    // The shell that expands the pattern holds the directory open itself, at 3 or, as dash, at 10+.
    let inherited: Vec<_> = numbers.iter().take(3).collect();
    assert_eq!(inherited, [&"0", &"1", &"2"], "{text}");
    assert!(numbers.len() <= 4, "{text}");
}

#[tokio::test]
async fn signals_are_at_their_defaults_and_none_is_blocked() {
    // SIGPIPE is ignored in every Rust program; a spawner has everything blocked.
    let text = output_of(&start(), launch(&["cat", "/proc/self/status"])).await;
    for name in ["SigBlk", "SigIgn", "SigCgt"] {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.ends_with("\t0000000000000000"), "{line}");
    }
}

#[tokio::test]
async fn a_child_leads_its_own_group() {
    let (launch, reader) = piped(shell("cut -d' ' -f1,5 /proc/$$/stat"));
    let child = within(start().spawn(launch)).await.unwrap();
    assert_eq!(read_all(reader).await, format!("{0} {0}\n", child.pid()));
    within(child.exited()).await;
}

#[tokio::test]
async fn children_get_the_descriptor_limit_they_are_meant_to_have() {
    let options = Options { nofile: Some(123), ..Options::default() };
    let processes = Processes::start(options).unwrap();
    assert_eq!(output_of(&processes, shell("ulimit -Sn")).await, "123\n");
}

#[tokio::test]
async fn a_burner_s_cpu_time_is_counted() {
    let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let exit = run(&start(), shell(script)).await;
    assert_eq!(exit.status, Status::Code(0));
    assert!(exit.rusage.user > std::time::Duration::ZERO, "{exit:?}");
    assert!(exit.rusage.cpu() <= exit.wall * 2, "{exit:?}");
}

#[tokio::test]
async fn memory_is_reported_only_where_it_can_be_seen() {
    let processes = start();
    let small = run(&processes, launch(&["true"])).await;
    assert_eq!(small.rusage.max_rss_bytes, None, "it shows only our own mark");
    let large =
        run(&processes, launch(&["dd", "if=/dev/zero", "of=/dev/null", "bs=400M", "count=1"]));
    let peak = large.await.rusage.max_rss_bytes.unwrap();
    assert!((400 << 20..500 << 20).contains(&peak), "{peak}");
}

#[tokio::test]
async fn five_hundred_short_children_are_each_reported_once_with_their_own_code() {
    let processes = start();
    let mut spawning = tokio::task::JoinSet::new();
    for number in 0..500 {
        let processes = processes.clone();
        spawning.spawn(async move {
            let child = processes.spawn(shell(&format!("exit {}", number % 256))).await.unwrap();
            (number, child.clone(), child.exited().await)
        });
    }
    let ended = within(spawning.join_all()).await;
    let numbers: HashSet<_> = ended.iter().map(|(number, ..)| *number).collect();
    assert_eq!((ended.len(), numbers.len()), (500, 500));
    for (number, _, exit) in ended {
        assert_eq!(exit.status, Status::Code(number % 256));
    }
}

#[tokio::test]
async fn a_child_of_other_code_is_left_to_whom_it_belongs() {
    let processes = start();
    let mut other = std::process::Command::new("sh").args(["-c", "exit 5"]).spawn().unwrap();
    for _ in 0..20 {
        run(&processes, launch(&["true"])).await;
    }
    assert_eq!(other.wait().unwrap().code(), Some(5));
}

#[tokio::test]
async fn a_spawn_given_up_after_it_began_leaves_no_process_running() {
    let processes = start();
    let reader = loop {
        let (of, reader) = piped(launch(&["sleep", "600"]));
        let mut spawning = Box::pin(processes.spawn(of));
        match std::future::poll_fn(|context| Poll::Ready(spawning.as_mut().poll(context))).await {
            Poll::Pending => break reader,
            // A spawner was done before this thread could look: nothing is left to give up.
            Poll::Ready(child) => drop(child.unwrap().end_tree(Signal::KILL)),
        }
    };
    // The pipe ends when no process holds it: neither a queued launch nor a running child.
    assert_eq!(read_all(reader).await, "");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let none = Options { spawners: 0, ..Options::default() };
    assert!(Processes::start(none).is_err());
    let none = Options { queue: 0, ..Options::default() };
    assert!(Processes::start(none).is_err());
}

#[tokio::test]
async fn children_outlive_the_handle_and_are_still_waited_for() {
    let processes = start();
    let (reader, writer) = std::io::pipe().unwrap();
    let waiting = Launch { stdin: Stdin::Fd(reader.into()), ..launch(&["cat"]) };
    let child: Child = within(processes.spawn(waiting)).await.unwrap();
    drop(processes);
    drop(writer);
    assert_eq!(within(child.exited()).await.status, Status::Code(0));
}

#[test]
fn a_name_is_looked_for_as_the_shell_does() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for (name, mode) in [("first/tool", 0o644), ("second/tool", 0o755), ("here", 0o755)] {
        let file = root.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let look = |program: &str, path: &str| resolve(OsStr::new(program), OsStr::new(path), root);
    assert_eq!(look("tool", "first:second"), Ok(root.join("second/tool")));
    assert_eq!(look("./here", ""), Ok(root.join("./here")));
    assert_eq!(look("here", "first:"), Ok(root.join("here")), "an empty entry is the directory");
    let blocked = look("tool", "first").unwrap_err();
    assert_eq!(blocked, ResolveError::NotExecutable { path: root.join("first/tool") });
    assert_eq!(blocked.exit_code(), 126);
    assert_eq!(look("first/", "").unwrap_err().exit_code(), 126, "a directory");
    for (program, path) in [("absent", "first:second"), ("", "first"), ("./absent", "")] {
        let absent = look(program, path).unwrap_err();
        assert_eq!(absent, ResolveError::NotFound { program: program.into() });
        assert_eq!(absent.exit_code(), 127);
    }
}
