//! What a supervised child costs beside a bare one: `/bin/true` started and waited for by two
//! workers, and by one at a time, through `twolane::process`, a bare `posix_spawn` + `waitpid` loop and
//! `std::process::Command`. Rounds are interleaved, since the machine's own speed drifts; what counts
//! is the ratio within a round.
//!
//! ```text
//! cargo bench --bench spawn
//! ```
#![allow(unsafe_code, missing_docs)]

use std::ffi::CString;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use twolane::process::{Launch, Options, Processes, Stdin};

const PROGRAM: &str = "/bin/true";
const ROUNDS: usize = 9;
const CHILDREN: usize = 400;
const WORKERS: [usize; 2] = [2, 1];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let processes = Processes::start(Options::default()).expect("spawners");
    for workers in WORKERS {
        let mut times: [Vec<Duration>; 3] = Default::default();
        for _ in 0..ROUNDS {
            times[0].push(timed(|| on_threads(workers, posix_spawn)));
            times[1].push(timed(|| on_threads(workers, command)));
            times[2].push(timed(|| runtime.block_on(ours(&processes, workers))));
        }
        report(workers, &times);
    }
}

fn report(workers: usize, times: &[Vec<Duration>; 3]) {
    println!("{CHILDREN} x {PROGRAM}, {workers} at a time, median of {ROUNDS} interleaved rounds:");
    for (name, own) in ["posix_spawn", "std Command", "twolane"].iter().zip(times) {
        let rates = own.iter().map(|time| CHILDREN as f64 / time.as_secs_f64());
        let ratios =
            own.iter().zip(&times[0]).map(|(own, bare)| bare.as_secs_f64() / own.as_secs_f64());
        let (rate, ratio) = (median(rates.collect()), median(ratios.collect()));
        println!("  {name:<12} {rate:7.0} /s   {ratio:5.2} x posix_spawn");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn on_threads(workers: usize, one: fn()) {
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| (0..CHILDREN / workers).for_each(|_| one()));
        }
    });
}

fn posix_spawn() {
    let program = CString::new(PROGRAM).expect("no NUL");
    let argv = [program.as_ptr().cast_mut(), ptr::null_mut()];
    let envp = [ptr::null_mut()];
    let (mut pid, mut status) = (0, 0);
    // SAFETY: the strings and null-terminated tables outlive the call, the out-pointers are valid.
    let code = unsafe {
        let (actions, attributes) = (ptr::null(), ptr::null());
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            actions,
            attributes,
            argv.as_ptr(),
            envp.as_ptr(),
        )
    };
    assert_eq!(code, 0);
    // SAFETY: waits for the child just made.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
}

fn command() {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    assert!(command.status().expect("a child").success());
}

async fn ours(processes: &Processes, workers: usize) {
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let processes = processes.clone();
        running.spawn(async move {
            for _ in 0..CHILDREN / workers {
                let (started, _child) = oneshot::channel();
                let exit = processes.run(launch(), started).await.expect("a child");
                assert!(exit.status.is_success());
            }
        });
    }
    running.join_all().await;
}

fn launch() -> Launch {
    Launch {
        program: PROGRAM.into(),
        argv: vec![PROGRAM.into()],
        env: Vec::new(),
        cwd: None,
        umask: None,
        stdin: Stdin::Null,
        stdout: null(),
        stderr: null(),
    }
}

fn null() -> OwnedFd {
    OpenOptions::new().write(true).open("/dev/null").expect("/dev/null").into()
}
