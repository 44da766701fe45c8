//! The caller's surroundings as a job gets them: folder, file mode mask and environment variables.
//!
//! Pure rules for the variables: what belongs to one session or looks secret stays behind unless the
//! caller names it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;

use super::error::Error;
use crate::client::Mode;

/// Names that mean something in one terminal, login or service only.
const SESSION_NAMES: [&str; 25] = [
    "_",
    "COLUMNS",
    "DISPLAY",
    "GPG_AGENT_INFO",
    "GPG_TTY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LINES",
    "MANAGERPID",
    "NOTIFY_SOCKET",
    "OLDPWD",
    "PS1",
    "PS2",
    "SHLVL",
    "STY",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TMUX",
    "TMUX_PANE",
    "WAYLAND_DISPLAY",
    "WINDOWID",
    "XAUTHORITY",
    "XDG_VTNR",
];
/// Beginnings of such names; those of twolane itself are set anew for each job.
const SESSION_STEMS: [&str; 8] = [
    "LISTEN_",
    "MEMORY_PRESSURE_",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "TWOLANE_",
    "WATCHDOG_",
    "XDG_S",
];
/// What a system daemon's jobs get of the caller's environment.
const SYSTEM_NAMES: [&str; 7] =
    ["HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TZ", "VIRTUAL_ENV"];
/// Beginnings of such names.
const SYSTEM_STEMS: [&str; 4] = ["CONDA_", "CUDA_", "LC_", "OMP_"];

/// What becomes of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passed,
    Left,
    Secret,
}

/// The variables for a job, and those that the caller should know to be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// What the job gets.
    pub(super) env: BTreeMap<String, String>,
    /// Names that look secret.
    pub(super) secret: Vec<String>,
    /// Names whose value or name is not UTF-8.
    pub(super) unreadable: Vec<String>,
}

impl Chosen {
    /// What the caller should know, in a sentence each.
    pub(super) fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if let [first, ..] = self.secret.as_slice() {
            notices.push(format!(
                "the job does not get what looks secret: {}; `--env {first}` would pass it",
                self.secret.join(", ")
            ));
        }
        if !self.unreadable.is_empty() {
            let names = self.unreadable.join(", ");
            notices.push(format!("the job does not get what is not UTF-8: {names}"));
        }
        notices
    }
}

/// Chooses from the caller's variables; `wanted` are the values of `--env`.
pub(super) fn choose(
    variables: &[(OsString, OsString)],
    mode: Mode,
    wanted: &[String],
) -> Result<Chosen, Error> {
    let mut chosen = Chosen::default();
    for (name, value) in variables {
        match fate(&name.to_string_lossy(), mode) {
            Fate::Left => {}
            Fate::Secret => chosen.secret.push(name.to_string_lossy().into_owned()),
            Fate::Passed => match (name.to_str(), value.to_str()) {
                (Some(name), Some(value)) => {
                    chosen.env.insert(name.to_owned(), value.to_owned());
                }
                _ => chosen.unreadable.push(name.to_string_lossy().into_owned()),
            },
        }
    }
    for text in wanted {
        let (name, value) = wanted_value(text, variables)?;
        chosen.secret.retain(|known| *known != name);
        chosen.unreadable.retain(|known| *known != name);
        chosen.env.insert(name, value);
    }
    chosen.secret.sort();
    Ok(chosen)
}

pub(super) fn wanted_value(
    text: &str,
    variables: &[(OsString, OsString)],
) -> Result<(String, String), Error> {
    if let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) {
        return Ok((name.to_owned(), value.to_owned()));
    }
    let found = variables.iter().find(|(name, _)| name == text);
    let (_, value) = found.filter(|_| !text.is_empty()).ok_or_else(|| {
        Error::usage(format!(
            "--env {text}: there is no such variable; write NAME=VALUE to make one"
        ))
    })?;
    let value = value.to_str().ok_or_else(|| {
        Error::usage(format!("--env {text}: its value is not UTF-8, which jobs can't have"))
    })?;
    Ok((text.to_owned(), value.to_owned()))
}

fn fate(name: &str, mode: Mode) -> Fate {
    match mode {
        Mode::System if is_for_the_system(name) => Fate::Passed,
        Mode::System => Fate::Left,
        Mode::User if is_of_a_session(name) => Fate::Left,
        Mode::User if looks_secret(name) => Fate::Secret,
        Mode::User => Fate::Passed,
    }
}

/// Whether a variable means something in one terminal, login, service or job only.
pub(super) fn is_of_a_session(name: impl AsRef<OsStr>) -> bool {
    let name = name.as_ref().to_string_lossy();
    SESSION_NAMES.contains(&name.as_ref())
        || SESSION_STEMS.iter().any(|stem| name.starts_with(stem)) && name != "XDG_STATE_HOME"
}

fn is_for_the_system(name: &str) -> bool {
    SYSTEM_NAMES.contains(&name) || SYSTEM_STEMS.iter().any(|stem| name.starts_with(stem))
}

fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name == "SSH_AUTH_SOCK"
        || ["TOKEN", "SECRET", "PASSWORD"].iter().any(|part| name.contains(part))
        || name.ends_with("_KEY")
}

/// The folder that the caller is in.
pub(super) fn current_folder() -> Result<String, Error> {
    let folder = std::env::current_dir().map_err(|source| Error::System {
        what: "the current folder is not known (has it been removed?)",
        source,
    })?;
    folder.into_os_string().into_string().map_err(|folder| {
        let folder = folder.to_string_lossy().into_owned();
        Error::Surroundings(format!(
            "the current folder {folder:?} is not UTF-8: go to another, or name one with --cwd"
        ))
    })
}

/// What the kernel tells of this process that jobs inherit or signals depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    /// The file mode mask.
    pub(super) umask: Option<u32>,
    /// The ignored signals, number N as bit N - 1.
    ignored: u64,
}

impl Disposition {
    /// That of this process. It is read, not set and set back: no other thread can see it changed.
    pub(super) fn of_this_process() -> Self {
        // What is looked for stands far before the end of this; one read is enough.
        let mut bytes = [0; 4096];
        let read = File::open("/proc/self/status").and_then(|mut file| file.read(&mut bytes));
        let length = read.unwrap_or(0);
        Self::read(&String::from_utf8_lossy(&bytes[..length]))
    }

    fn read(status: &str) -> Self {
        let field = |name| {
            let mut lines = status.lines();
            lines.find_map(|line| line.strip_prefix(name)).map(str::trim)
        };
        Self {
            umask: field("Umask:").and_then(|text| u32::from_str_radix(text, 8).ok()),
            ignored: field("SigIgn:")
                .and_then(|text| u64::from_str_radix(text, 16).ok())
                .unwrap_or(0),
        }
    }

    /// Whether the process was started with this signal ignored.
    pub(super) const fn ignores(&self, signal: i32) -> bool {
        self.ignored >> (signal - 1) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn names(chosen: &Chosen) -> Vec<&str> {
        chosen.env.keys().map(String::as_str).collect()
    }

    const PAIRS: [(&str, &str); 9] = [
        ("PATH", "/bin"),
        ("EDITOR", "vi"),
        ("TERM", "xterm"),
        ("XDG_SESSION_ID", "3"),
        ("XDG_STATE_HOME", "/s"),
        ("TWOLANE_ATTEMPT", "x-1-1"),
        ("github_token", "s"),
        ("API_KEY", "s"),
        ("SSH_AUTH_SOCK", "/s"),
    ];

    #[test]
    fn a_user_s_job_gets_all_but_the_session_and_secrets() {
        let chosen = choose(&variables(&PAIRS), Mode::User, &[]).unwrap();
        assert_eq!(names(&chosen), ["EDITOR", "PATH", "XDG_STATE_HOME"]);
        assert_eq!(chosen.secret, ["API_KEY", "SSH_AUTH_SOCK", "github_token"]);
        assert!(chosen.notices()[0].contains("`--env API_KEY`"), "{:?}", chosen.notices());
    }

    #[test]
    fn a_system_daemon_s_job_gets_a_list() {
        let pairs = [("LC_ALL", "C"), ("CUDA_HOME", "/c"), ("EDITOR", "vi"), ("API_KEY", "s")];
        let chosen = choose(&variables(&pairs), Mode::System, &[]).unwrap();
        assert_eq!(names(&chosen), ["CUDA_HOME", "LC_ALL"]);
        assert!(chosen.notices().is_empty());
    }

    #[test]
    fn what_the_caller_names_is_passed_and_not_complained_about() {
        let wanted = ["API_KEY", "TERM", "NEW=a=b"].map(str::to_owned);
        let chosen = choose(&variables(&PAIRS), Mode::User, &wanted).unwrap();
        assert_eq!(chosen.env["API_KEY"], "s");
        assert_eq!(chosen.env["TERM"], "xterm");
        assert_eq!(chosen.env["NEW"], "a=b");
        assert_eq!(chosen.secret, ["SSH_AUTH_SOCK", "github_token"]);
        for wrong in ["ABSENT", "", "=x"] {
            assert!(
                choose(&variables(&PAIRS), Mode::User, &[wrong.to_owned()]).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_is_not_utf8_is_left_out_and_named() {
        let bytes = OsString::from_vec(vec![0xff]);
        let chosen = choose(&[("ODD".into(), bytes)], Mode::User, &[]).unwrap();
        assert_eq!(
            (names(&chosen).len(), chosen.unreadable.as_slice()),
            (0, &["ODD".to_owned()][..])
        );
    }

    #[test]
    fn the_kernel_tells_mask_and_ignored_signals() {
        let disposition = Disposition::read("Name:\tx\nUmask:\t0027\nSigIgn:\t0000000000000006\n");
        assert_eq!(disposition.umask, Some(0o27));
        assert!(disposition.ignores(2) && disposition.ignores(3) && !disposition.ignores(15));
        assert!(Disposition::of_this_process().umask.is_some());
    }
}
