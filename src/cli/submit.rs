//! `twolane submit`: hands jobs in and prints their ids.

use std::ffi::OsString;

use serde_json::{Map, Value, json};

use super::batch::{SendError, Sender, ids_of, ranges_text};
use super::desk::{DONE, Desk};
use super::environment::{self, Disposition};
use super::error::Error;
use super::inputs::{Inputs, Lines};
use super::job_options::{JobOptions, texts};
use super::pattern::Item;
use super::schedule;
use super::table::visible;
use super::template::Template;
use super::wait;
use crate::client::Client;
use crate::protocol::{
    Array, Context, IdRange, JobSpec, MAX_ARRAY, MAX_BATCH, Selector, call, summary_of,
};

/// What stands between a command and the values that it is to be run with.
const VALUES: &str = ":::";

/// Hand jobs in and print their ids.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The command with its arguments, or the kind's key=value parameters
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    words: Vec<OsString>,
    /// One job for each line of a file (- is standard input); {} stands for the line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "array"])]
    each: Option<String>,
    /// Lines of --each end with NUL
    #[arg(short = '0', long = "null", requires = "each")]
    null: bool,
    /// One job for each index, which it finds in `$TWOLANE_INDEX`; %N lets at most N run at once
    #[arg(long, value_name = "A-B[:STEP][%N]", value_parser = array, conflicts_with = "from")]
    array: Option<Array>,
    /// One job for each line of JSON, with the fields of the API; options stand in for missing fields
    #[arg(long, value_name = "FILE")]
    from: Option<String>,
    /// Stay where they are until released
    #[arg(long)]
    hold: bool,
    /// Show what would be handed in, and have it checked
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until they are final; the exit code is then that of `twolane wait`
    #[arg(short, long)]
    wait: bool,
    /// Print the ids as a range
    #[arg(long)]
    range: bool,
    #[command(flatten)]
    schedule: schedule::Options,
    #[command(flatten)]
    job: JobOptions,
}

const EXAMPLES: &str = "\
Examples:
  twolane submit -- make -j4             one job; its id is printed
  twolane submit gzip {} ::: *.log       one job for each file
  find . -name '*.wav' | twolane submit --each - -- lame {} {.}.mp3
  twolane submit --array 1-100 -- ./simulate
  twolane submit --every '0 3 * * *' --name backup -- ./backup
  twolane submit --kind http url=https://example.org/hook method=POST body=@event.json

In the words, --name, --output, --cwd, --unique and --env: {} is the value, {.} the value without its file
ending, {/} its last part, {//} the folder before that, {/.} the last part without ending, {#} its
number. Without any of them the value is the last argument.

A command finds in its environment: $TWOLANE_JOB its id, $TWOLANE_INDEX its index in an array,
$TWOLANE_NAME its name, $TWOLANE_CPUS the cores it holds, $TWOLANE_ATTEMPT a token that no
other attempt ever had.";

/// Where the jobs come from.
enum Work {
    One(Box<JobSpec>),
    Each(Box<Template>, Inputs),
    Json(Box<JobSpec>, Inputs),
}

pub(super) async fn run(mut args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let words = texts(std::mem::take(&mut args.words))?;
    let mut work = work(&args, words)?;
    let umask = Disposition::of_this_process().umask;
    let mut client = desk.connect().await?;
    let context = context(&args.job, umask, desk, &mut client).await?;
    if args.schedule.every.is_some() {
        return add_schedule(work, &args, context, client, desk).await;
    }
    let mut sender = Sender::new(client, context, args.array, args.dry_run)?;
    let sent = send_all(&mut work, &mut sender, &args, desk).await;
    let accepted = sender.accepted().to_vec();
    if desk.json() && !args.dry_run {
        print_json(&accepted, &args, desk)?;
    } else if args.range && !accepted.is_empty() {
        desk.out.line(ranges_text(&accepted))?;
    }
    sent?;
    desk.out.flush()?;
    if args.wait && !accepted.is_empty() {
        let jobs = Selector { ids: accepted, ..Selector::default() };
        return wait::until_final(jobs, sender.into_client(), desk).await;
    }
    DONE
}

/// Makes a schedule of the one job.
async fn add_schedule(
    work: Work,
    args: &Args,
    context: Context,
    mut client: Client,
    desk: &mut Desk,
) -> Result<i32, Error> {
    let Work::One(job) = work else {
        return Err(Error::usage(
            "a schedule has one job: make one of each with a --name of its own",
        ));
    };
    match schedule::of_job(&args.schedule, *job, context, args.dry_run, desk) {
        None => DONE,
        Some(add) => {
            let reply = client.call::<call::AddSchedule>(&add).await?;
            schedule::tell_made(&reply.schedule, args.dry_run, desk)
        }
    }
}

/// The surroundings for the jobs of a call; says what they do not get.
pub(super) async fn context(
    options: &JobOptions,
    umask: Option<u32>,
    desk: &mut Desk,
    client: &mut Client,
) -> Result<Context, Error> {
    let mode = desk.mode(client).await?;
    let chosen = environment::choose(desk.surroundings.variables(), mode, &options.env)?;
    for notice in chosen.notices() {
        desk.out.notice(notice);
    }
    let cwd = environment::current_folder()?;
    Ok(Context { cwd, umask, env: chosen.env })
}

fn work(args: &Args, mut words: Vec<String>) -> Result<Work, Error> {
    let values = words.iter().position(|word| word == VALUES).map(|place| words.split_off(place));
    if let Some(file) = &args.from {
        if !words.is_empty() || values.is_some() {
            return Err(Error::usage("with --from the lines say what to run: leave the words out"));
        }
        let mut spec = args.job.options();
        spec.hold = args.hold;
        spec.cwd.clone_from(&args.job.cwd);
        return Ok(Work::Json(Box::new(spec), Inputs::Lines(Lines::open(file, false)?)));
    }
    let mut spec = args.job.spec(words)?;
    spec.hold = args.hold;
    spec.cwd.clone_from(&args.job.cwd);
    let inputs = match (values, &args.each) {
        (None, None) => {
            absolute_folder(&mut spec)?;
            return Ok(Work::One(Box::new(spec)));
        }
        (Some(_), Some(_)) => {
            return Err(Error::usage("values come from ::: or from --each, not from both"));
        }
        (Some(_), None) if args.array.is_some() => {
            return Err(Error::usage("values of ::: and an array do not go together: take one"));
        }
        (Some(values), None) => Inputs::words(values.into_iter().skip(1).collect()),
        (None, Some(file)) => Inputs::Lines(Lines::open(file, args.null)?),
    };
    let mut with_env = spec;
    with_env.env = placeholder_env(&args.job.env);
    Ok(Work::Each(Box::new(Template::new(with_env, args.job.shell)?), inputs))
}

/// The variables of `--env` whose value has a placeholder: they differ from job to job.
fn placeholder_env(wanted: &[String]) -> std::collections::BTreeMap<String, String> {
    wanted
        .iter()
        .filter_map(|text| text.split_once('='))
        .filter(|(_, value)| super::pattern::Pattern::parse(value).has_any())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A folder of `--cwd` is told to the daemon from the root.
pub(super) fn absolute_folder(spec: &mut JobSpec) -> Result<(), Error> {
    if let Some(folder) = spec.cwd.as_mut().filter(|folder| !folder.starts_with('/')) {
        *folder = format!("{}/{folder}", environment::current_folder()?);
    }
    Ok(())
}

async fn send_all(
    work: &mut Work,
    sender: &mut Sender,
    args: &Args,
    desk: &mut Desk,
) -> Result<(), Error> {
    let mut number = 0;
    while let Some((job, line)) = work.next(&mut number)? {
        if args.dry_run {
            show(&job, desk)?;
            if let Some(array) = args.array.filter(|_| !desk.json()) {
                desk.out.line(format_args!("  {:<14}{}", "array", written(array)))?;
            }
        }
        let sent = sender.add(job, line).await;
        report(sent, work, sender, args, desk)?;
    }
    let sent = sender.send().await;
    report(sent, work, sender, args, desk)?;
    if sender.calls() == 0 {
        desk.out.notice("there is no value, so there is no job");
    }
    Ok(())
}

impl Work {
    /// The next job and where it came from.
    fn next(&mut self, number: &mut u64) -> Result<Option<(JobSpec, u64)>, Error> {
        *number += 1;
        match self {
            Self::One(spec) if *number == 1 => Ok(Some((std::mem::take(spec), 1))),
            Self::One(_) => Ok(None),
            Self::Each(template, inputs) => {
                let Some(line) = inputs.next()? else { return Ok(None) };
                let mut spec = template.fill(Item { value: &line.text, number: *number });
                absolute_folder(&mut spec)?;
                Ok(Some((spec, line.number)))
            }
            Self::Json(defaults, inputs) => {
                let Some(line) = inputs.next()? else { return Ok(None) };
                let spec = from_json(defaults, &line.text).map_err(|problem| {
                    Error::usage(format!("{}: {problem}", inputs.name_of(line.number)))
                })?;
                Ok(Some((spec, line.number)))
            }
        }
    }

    fn name_of(&self, line: u64) -> Option<String> {
        match self {
            Self::One(_) => None,
            Self::Each(_, inputs) | Self::Json(_, inputs) => Some(inputs.name_of(line)),
        }
    }
}

/// A job of one line of JSON; what the line does not say, the options say.
fn from_json(defaults: &JobSpec, line: &str) -> Result<JobSpec, String> {
    let own: Map<String, Value> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let mut fields = match serde_json::to_value(defaults) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields.extend(own.into_iter().filter(|(_, value)| !value.is_null()));
    let mut spec: JobSpec =
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    absolute_folder(&mut spec).map_err(|error| error.to_string())?;
    Ok(spec)
}

fn report(
    sent: Result<Vec<IdRange>, SendError>,
    work: &Work,
    sender: &mut Sender,
    args: &Args,
    desk: &mut Desk,
) -> Result<(), Error> {
    for warning in sender.take_warnings() {
        desk.out.notice(warning);
    }
    let ranges = match sent {
        Ok(ranges) => ranges,
        Err(SendError { line, error }) => {
            return Err(match line.and_then(|line| work.name_of(line)) {
                Some(about) => Error::CallAbout { about, error },
                None => error.into(),
            });
        }
    };
    let Some(first) = ranges.first().map(|range| range.first) else { return Ok(()) };
    let several = args.array.is_none() && ids_of(&ranges).count() >= MAX_BATCH;
    if sender.calls() == 1 && several {
        desk.out.notice(format_args!(
            "more than {MAX_BATCH} jobs are handed in by several calls, each all or nothing"
        ));
    }
    if desk.json() || args.range {
        return Ok(());
    }
    if args.array.is_some() {
        return desk.out.line(first);
    }
    for id in ids_of(&ranges) {
        desk.out.line(id)?;
    }
    desk.out.flush()
}

/// Shows a job that is not handed in.
fn show(job: &JobSpec, desk: &mut Desk) -> Result<(), Error> {
    if desk.json() {
        return desk.out.json(job);
    }
    desk.out.line(summary_of(job))?;
    let Ok(Value::Object(fields)) = serde_json::to_value(job) else { return Ok(()) };
    let nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(given) => !given,
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        _ => false,
    };
    // The command stands in the line above.
    let told = fields.iter().filter(|(name, value)| *name != "argv" && !nothing(value));
    for (name, value) in told {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        desk.out.line(format_args!("  {:<14}{}", name.replace('_', " "), visible(&text)))?;
    }
    Ok(())
}

fn print_json(accepted: &[IdRange], args: &Args, desk: &mut Desk) -> Result<(), Error> {
    let (first, last) = (accepted.first().map(|r| r.first), accepted.last().map(|r| r.last));
    let mut ids = ids_of(accepted);
    if args.array.is_some() {
        let ids: Vec<_> = ids.by_ref().take(1).collect();
        return desk.out.json(&json!({ "ids": ids, "first": first, "last": last }));
    }
    desk.out.text("{\"ids\":[")?;
    for (place, id) in ids.enumerate() {
        if place > 0 {
            desk.out.text(",")?;
        }
        desk.out.text(&id.to_string())?;
    }
    desk.out.line(format_args!("],\"first\":{},\"last\":{}}}", json!(first), json!(last)))
}

/// Reads `A-B` or `A-B:STEP`, one index, or a list of some that are equally far apart; each with `%N`.
fn array(text: &str) -> Result<Array, String> {
    let wrong = || {
        format!(
            "{text:?} is no array: write FIRST-LAST or FIRST-LAST:STEP, as in 1-100, one index, or a list as in 1,3,5, and %N for at most N at once"
        )
    };
    let (text, at_once) = match text.split_once('%') {
        Some((text, most)) => {
            let most = most.parse().ok().filter(|most| *most > 0);
            (text, Some(most.ok_or_else(wrong)?))
        }
        None => (text, None),
    };
    if !text.contains(['-', ':']) {
        let indexes = text.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>();
        return listed(&indexes.map_err(|_| wrong())?, at_once);
    }
    let (range, step) = match text.split_once(':') {
        Some((range, step)) => (range, step.parse().map_err(|_| wrong())?),
        None => (text, 1),
    };
    let (first, last) = range.split_once('-').ok_or_else(wrong)?;
    let (first, last): (u64, u64) =
        (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if first > last || step == 0 {
        return Err(wrong());
    }
    let count = (last - first) / step;
    if count >= MAX_ARRAY {
        return Err(format!("{text} has more than {MAX_ARRAY} elements, the most of one array"));
    }
    Ok(Array { first, last, step, at_once })
}

/// An array as it may be written.
fn written(array: Array) -> String {
    let Array { first, last, step, at_once } = array;
    let step = if step == 1 { String::new() } else { format!(":{step}") };
    let at_once = at_once.map_or_else(String::new, |most| format!("%{most}"));
    format!("{first}-{last}{step}{at_once}")
}

/// The array that has these indexes.
fn listed(indexes: &[u64], at_once: Option<u32>) -> Result<Array, String> {
    let [first, .., last] = *indexes else {
        let only = indexes.first().copied().unwrap_or_default();
        return Ok(Array { first: only, last: only, step: 1, at_once });
    };
    let step = indexes[1].saturating_sub(first);
    let even = |pair: &[u64]| step > 0 && pair[1].checked_sub(pair[0]) == Some(step);
    if !indexes.windows(2).all(even) {
        return Err(format!(
            "the indexes {} are not equally far apart: write FIRST-LAST:STEP, or hand them in as jobs of their own with ::: {}",
            indexes.iter().map(u64::to_string).collect::<Vec<_>>().join(","),
            indexes.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
        ));
    }
    Ok(Array { first, last, step, at_once })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_and_bounded() {
        assert_eq!(array("1-100"), Ok(Array { first: 1, last: 100, step: 1, at_once: None }));
        assert_eq!(array("0-10:5"), Ok(Array { first: 0, last: 10, step: 5, at_once: None }));
        let most = Array { first: 1, last: 9, step: 2, at_once: Some(50) };
        assert_eq!(array("1-9:2%50"), Ok(most));
        let index = Array { first: 3, last: 3, step: 1, at_once: None };
        assert_eq!(array("3"), Ok(index));
        let odd = Array { first: 1, last: 5, step: 2, at_once: Some(2) };
        assert_eq!(array("1,3,5%2"), Ok(odd));
        assert_eq!(written(odd), "1-5:2%2");
        assert!(array("1-10000000").is_ok());
        for text in [
            "",
            "1,2,4",
            "3,2,1",
            "2,2",
            "1,",
            "1-5,7",
            "9-1",
            "1-5:0",
            "1-10000001",
            "a-b",
            "1-18446744073709551615",
            "-1-5",
            "1-5%0",
            "1-5%",
        ] {
            assert!(array(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_line_of_json_overrules_the_options() {
        let defaults =
            JobSpec { queue: Some("gpu".into()), priority: Some(3), ..JobSpec::default() };
        let spec = from_json(&defaults, r#"{"argv":["x"],"priority":-1,"name":null}"#).unwrap();
        assert_eq!((spec.queue.as_deref(), spec.priority), (Some("gpu"), Some(-1)));
        let problem = from_json(&defaults, r#"{"argv":["x"],"prio":1}"#).unwrap_err();
        assert!(problem.contains("`prio`"), "{problem}");
        assert!(from_json(&defaults, "[1]").is_err());
    }

    #[test]
    fn values_come_from_one_place() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let each = Args { each: Some("/dev/null".into()), ..Args::default() };
        assert!(matches!(work(&each, words("x ::: a")), Err(Error::Usage(_))));
        let from = Args { from: Some("/dev/null".into()), ..Args::default() };
        assert!(matches!(work(&from, words("x")), Err(Error::Usage(_))));
        assert!(matches!(work(&Args::default(), words("x ::: a")), Ok(Work::Each(..))));
        assert!(matches!(work(&Args::default(), words("x a")), Ok(Work::One(_))));
    }
}
