//! The options that say how a job is to run, shared by `submit` and `run`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};

use jiff::Zoned;
use serde_json::Value;

use super::error::Error;
use super::when::{self, WhenError};
use crate::job::{
    Backoff, Class, KeyLimit, Limits, LimitsError, Params, RetryOn, SizeError, parse_duration,
    parse_size,
};
use crate::protocol::{After, AfterError, JobSpec, MAX_MESSAGE};

/// The kind whose words are a command line.
const COMMAND: &str = "command";
/// The parameter whose value can be read from a file.
const BODY: &str = "body";
/// The shell of `--shell`.
const SHELL: &str = "/bin/sh";

/// How a job is to run.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Job options")]
pub(super) struct JobOptions {
    /// What sort of work; the words are then its key=value parameters (see `twolane kinds`)
    #[arg(long, value_name = "KIND")]
    pub(super) kind: Option<String>,
    /// How it uses the machine: io, cpu, blocking or auto
    #[arg(long, value_name = "CLASS", value_parser = checked::<Class>)]
    class: Option<String>,
    /// The queue it stands in
    #[arg(short, long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Higher goes first; 0 by default
    #[arg(short, long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// A name for lists and selectors
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// Core permits it takes on the pool; 1 by default
    #[arg(short, long, value_name = "NUMBER")]
    cpus: Option<u32>,
    /// At most one of your jobs with this name runs at once; short for --limit-key NAME=1
    #[arg(long, value_name = "NAME", value_parser = mutex)]
    mutex: Vec<String>,
    /// At most N of your jobs with this key run at once; KEY alone takes the config's limit
    #[arg(long, value_name = "KEY=N", value_parser = checked::<KeyLimit>)]
    limit_key: Vec<String>,
    /// How much it takes of a named resource while it runs, such as gpu=1 (see `twolane pool show`)
    #[arg(long, value_name = "RESOURCE=N", value_parser = need)]
    need: Vec<(String, u64)>,
    /// How much memory it takes, such as 4G: jobs start only as far as it suffices; not enforced
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<String>,
    /// Runs after the first, if it fails
    #[arg(long, value_name = "NUMBER")]
    pub(super) retries: Option<u32>,
    /// The pause before each: 10s, or exp:2s..10m
    #[arg(long, value_name = "PAUSE", value_parser = checked::<Backoff>)]
    backoff: Option<String>,
    /// Only after these failures: exit codes such as 75 or 100-110, signal, timeout, error; any by default, but for
    /// a program that is not found (127) or not executable (126)
    #[arg(long, value_name = "CODES", value_parser = checked::<RetryOn>)]
    retry_on: Option<String>,
    /// The longest an attempt may run
    #[arg(short, long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<String>,
    /// The time between TERM and KILL when it is ended
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    grace: Option<String>,
    /// An environment variable; without a value, yours
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(super) env: Vec<String>,
    /// The folder it runs in
    #[arg(long, value_name = "FOLDER")]
    pub(super) cwd: Option<String>,
    /// The words are a text for the shell
    #[arg(short, long)]
    pub(super) shell: bool,
    /// A file that takes its output; may hold {id}, {index}, {name}, {attempt}
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Standard error goes where standard output goes
    #[arg(long)]
    merge: bool,
    /// Only after these jobs: ok:12 or 12 if it succeeds, any:12 however it ends, fail:12 if it fails
    #[arg(short, long, value_name = "WHEN:JOBS", value_parser = after)]
    pub(super) after: Vec<String>,
    /// Not before this time: 17:30, tomorrow 09:00, friday 8:15, 2030-01-31 09:00, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = at, conflicts_with = "delay")]
    at: Option<String>,
    /// Not before so much time has passed, as in 2h30m
    #[arg(long = "in", value_name = "DURATION", value_parser = duration)]
    delay: Option<String>,
    /// Only if no other unfinished job of yours has this key
    #[arg(long, value_name = "KEY")]
    unique: Option<String>,
    /// If one has: skip (take that one, the usual), replace (cancel it unless it runs) or fail
    #[arg(long, value_name = "WHAT", requires = "unique", value_parser = ["skip", "replace", "fail"])]
    on_conflict: Option<String>,
    /// Never run it again when it is not known whether it ended
    #[arg(long)]
    pub(super) at_most_once: bool,
}

fn checked<T: std::str::FromStr>(text: &str) -> Result<String, T::Err> {
    text.parse::<T>().map(|_| text.to_owned())
}

fn after(text: &str) -> Result<String, AfterError> {
    After::parse(text).map(|_| text.to_owned())
}

fn at(text: &str) -> Result<String, WhenError> {
    when::moment(text, &Zoned::now())
}

/// A name of which there is one at a time, as the limit that it is.
fn mutex(name: &str) -> Result<String, LimitsError> {
    let limit: KeyLimit = format!("{name}=1").parse()?;
    Ok(limit.to_string())
}

/// Reads `RESOURCE=N`.
fn need(text: &str) -> Result<(String, u64), String> {
    let pair = text.split_once('=').and_then(|(name, amount)| {
        let amount =
            if name == Limits::MEMORY { parse_size(amount).ok()? } else { amount.parse().ok()? };
        Some((name.to_owned(), amount))
    });
    pair.ok_or_else(|| format!("{text:?} is no need: write RESOURCE=N, as in gpu=1"))
}

fn size(text: &str) -> Result<String, SizeError> {
    parse_size(text).map(|_| text.to_owned())
}

fn duration(text: &str) -> Result<String, crate::job::DurationError> {
    parse_duration(text).map(|_| text.to_owned())
}

impl JobOptions {
    /// The job that these options and words describe, without its environment.
    pub(super) fn spec(&self, words: Vec<String>) -> Result<JobSpec, Error> {
        let mut spec = self.options();
        match self.kind.as_deref() {
            None | Some(COMMAND) => spec.argv = Some(self.argv(words)?),
            Some(kind) if self.shell => {
                let text = format!("--shell is for commands, not for kind {kind}: leave it out");
                return Err(Error::Usage(text));
            }
            Some(kind) => spec.params = params(kind, &words)?,
        }
        Ok(spec)
    }

    /// A job of these options that has no work yet.
    pub(super) fn options(&self) -> JobSpec {
        JobSpec {
            kind: self.kind.clone(),
            class: self.class.clone(),
            queue: self.queue.clone(),
            priority: self.priority,
            name: self.name.clone(),
            cpus: self.cpus,
            keys: self.mutex.iter().chain(&self.limit_key).cloned().collect(),
            needs: self.need.iter().cloned().collect(),
            memory: self.memory.clone(),
            retries: self.retries,
            backoff: self.backoff.clone(),
            retry_on: self.retry_on.clone(),
            timeout: self.timeout.clone(),
            grace: self.grace.clone(),
            at_most_once: self.at_most_once,
            after: self.after.clone(),
            at: self.at.clone(),
            delay: self.delay.clone(),
            unique: self.unique.clone(),
            on_conflict: self.on_conflict.clone(),
            output: self.output.clone(),
            merge: self.merge,
            ..JobSpec::default()
        }
    }

    fn argv(&self, words: Vec<String>) -> Result<Vec<String>, Error> {
        match words.first().map(String::as_str) {
            None => Err(Error::usage(
                "there is no command: write it after the options, as in `twolane submit -- make -j4`",
            )),
            Some("") => Err(Error::usage("the command is an empty word: name a program")),
            // Options of the command are taken as they are, so a misspelt option of ours ends up here.
            Some(word) if word.starts_with('-') => Err(Error::Usage(format!(
                "there is no option {word}: `{} submit --help` lists them, and no program's name begins with -",
                crate::NAME
            ))),
            Some(_) if self.shell => Ok(vec![SHELL.to_owned(), "-c".to_owned(), words.join(" ")]),
            Some(_) => Ok(words),
        }
    }
}

/// The words of a command line as text.
pub(super) fn texts(words: Vec<OsString>) -> Result<Vec<String>, Error> {
    let text = |word: OsString| {
        word.into_string().map_err(|word| {
            Error::usage(format!(
                "the word {:?} is not UTF-8, which jobs can't have: give the file another name, or a shell pattern that matches it with --shell",
                word.to_string_lossy()
            ))
        })
    };
    words.into_iter().map(text).collect()
}

/// The parameters of a kind from `key=value` words; a key that comes twice makes a list.
fn params(kind: &str, words: &[String]) -> Result<Params, Error> {
    let mut params = Params::new();
    for word in words {
        let (key, value) = pair(kind, word)?;
        let value = Value::String(read_body(key, value)?);
        match params.get_mut(key) {
            None => drop(params.insert(key.to_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Ok(params)
}

fn pair<'a>(kind: &str, word: &'a str) -> Result<(&'a str, &'a str), Error> {
    let pair = word.split_once('=').filter(|(key, _)| !key.is_empty() && !key.starts_with('-'));
    pair.ok_or_else(|| {
        let hint = if word.starts_with('-') {
            "options of twolane come before the parameters".to_owned()
        } else {
            format!("`twolane kinds {kind}` lists its parameters")
        };
        Error::usage(format!("{word:?} is not a key=value parameter of kind {kind}: {hint}"))
    })
}

/// The value of a parameter; that of a body may be `@FILE`, or `@-` for standard input.
fn read_body(key: &str, value: &str) -> Result<String, Error> {
    let Some(file) = value.strip_prefix('@').filter(|_| key == BODY) else {
        return Ok(value.to_owned());
    };
    let name = if file == "-" { "standard input" } else { file };
    let input = |source| Error::Input { name: name.to_owned(), source };
    let mut text = String::new();
    let limit = MAX_MESSAGE as u64 / 2;
    let read = if file == "-" {
        io::stdin().take(limit).read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    let length = read.map_err(input)?;
    if length as u64 == limit {
        let problem = format!("it is longer than {limit} bytes, the most that a body can have");
        return Err(input(io::Error::other(problem)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn of_kind(kind: &str, words: &[&str]) -> Result<JobSpec, Error> {
        let kind = Some(kind.to_owned());
        JobOptions { kind, ..JobOptions::default() }.spec(owned(words))
    }

    #[test]
    fn words_are_parameters_of_their_kind() {
        let spec = of_kind("checksum", &["path=a", "path=b", "path=c", "algorithm=x=y"]).unwrap();
        assert_eq!(spec.params["path"], serde_json::json!(["a", "b", "c"]));
        assert_eq!(spec.params["algorithm"], "x=y");
        for word in ["url", "=x", "-q=x", "-q"] {
            let error = of_kind("http", &[word]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
        }
    }

    #[test]
    fn a_body_comes_from_a_file_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.json");
        fs::write(&file, "{\"a\": 1}").unwrap();
        let from = format!("@{}", file.display());
        let spec =
            of_kind("http", &[&format!("body={from}"), &format!("header.x={from}")]).unwrap();
        assert_eq!(spec.params["body"], "{\"a\": 1}");
        assert_eq!(spec.params["header.x"], from);
        assert!(matches!(of_kind("http", &["body=@/absent"]), Err(Error::Input { .. })));
    }

    #[test]
    fn a_shell_takes_its_words_as_one_text() {
        let options = JobOptions { shell: true, ..JobOptions::default() };
        let spec = options.spec(owned(&["ls", "|", "wc -l"])).unwrap();
        assert_eq!(spec.argv.unwrap(), ["/bin/sh", "-c", "ls | wc -l"]);
        let options = JobOptions { kind: Some("sleep".to_owned()), ..options };
        assert!(matches!(options.spec(owned(&["for=1s"])), Err(Error::Usage(_))));
    }

    #[test]
    fn a_job_without_words_is_refused() {
        for words in [&[][..], &[""][..], &["--retrys", "2", "make"]] {
            let error = JobOptions::default().spec(owned(words)).unwrap_err();
            assert!(matches!(error, Error::Usage(_)), "{error}");
        }
    }
}
