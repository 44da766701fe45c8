//! `twolane list`: a table of jobs.

use jiff::Timestamp;

use super::desk::{DONE, Desk};
use super::error::Error;
use super::moment;
use super::select::Select;
use super::table::{Cell, Colour, Table};
use crate::client::Client;
use crate::job::{JobId, State, nearest};
use crate::protocol::{Elements, Job, Kinds, List, MAX_PAGE, Queues, Schedules, Selector, call};

/// How long ago a job may have ended to be listed when nothing else is asked for.
const RECENT_SECONDS: i64 = 24 * 3600;

/// List jobs, the newest last.
///
/// Without any selection: those that are not final and those that ended within the last day.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    select: Select,
    /// Every job, however old and however many
    #[arg(short, long)]
    all: bool,
    /// Each element of an array on a line of its own, where it stands otherwise than its neighbours
    #[arg(short = 'x', long)]
    expand: bool,
    /// The newest so many
    #[arg(short = 'l', long, value_name = "NUMBER", conflicts_with = "all",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PAGE)))]
    limit: Option<u32>,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let jobs = args.select.any()?;
    let mut client = desk.connect().await?;
    // Programs get every job, and so does whoever names single elements.
    let collapse = !(args.expand || desk.json() || !jobs.elements.is_empty());
    let names_jobs = !jobs.ids.is_empty() || !jobs.elements.is_empty() || jobs.last;
    if args.all || (names_jobs && args.limit.is_none()) {
        return list_all(List { jobs, collapse, ..List::default() }, client, desk).await;
    }
    let list = List { newest_first: true, limit: args.limit, collapse, ..List::default() };
    let selector = jobs.clone();
    let (jobs, more) = if jobs.is_empty() && args.limit.is_none() {
        current(&List { jobs, ..list }, &mut client).await?
    } else {
        newest(&List { jobs, ..list }, &mut client).await?
    };
    if desk.json() {
        desk.out.json(&jobs)?;
    } else {
        desk.out.text(&table(&jobs, Timestamp::now()).render(desk.out.style()))?;
    }
    if more {
        desk.out.notice("there are more jobs: --all lists every one");
    } else if jobs.is_empty() {
        tell_none(&selector, "; --all lists those that ended long ago too", desk).await?;
    }
    DONE
}

/// Says that nothing was found, and which name may have been meant.
async fn tell_none(jobs: &Selector, more: &str, desk: &mut Desk) -> Result<(), Error> {
    let mut told = false;
    for (what, given, known) in [
        ("queue", &jobs.queues, queues(jobs, desk).await?),
        ("kind", &jobs.kinds, kinds(jobs, desk).await?),
        ("schedule", &jobs.schedules, schedules(jobs, desk).await?),
    ] {
        for name in given.iter().filter(|name| !known.contains(name)) {
            let meant = nearest(name, known.iter().map(String::as_str));
            let hint = meant.map_or_else(String::new, |meant| format!(": did you mean {meant}?"));
            desk.out.notice(format_args!("no job matches; there is no {what} {name:?}{hint}"));
            told = true;
        }
    }
    if !told {
        let more = if *jobs == Selector::default() { more } else { "" };
        desk.out.notice(format_args!("no job matches{more}"));
    }
    Ok(())
}

async fn queues(jobs: &Selector, desk: &mut Desk) -> Result<Vec<String>, Error> {
    if jobs.queues.is_empty() {
        return Ok(Vec::new());
    }
    let reply = desk.call::<call::Queues>(&Queues {}).await?;
    Ok(reply.queues.into_iter().map(|queue| queue.name).collect())
}

async fn kinds(jobs: &Selector, desk: &mut Desk) -> Result<Vec<String>, Error> {
    if jobs.kinds.is_empty() {
        return Ok(Vec::new());
    }
    let reply = desk.call::<call::Kinds>(&Kinds {}).await?;
    Ok(reply.kinds.into_iter().map(|kind| kind.name).collect())
}

async fn schedules(jobs: &Selector, desk: &mut Desk) -> Result<Vec<String>, Error> {
    if jobs.schedules.is_empty() {
        return Ok(Vec::new());
    }
    let all = Schedules { all_users: jobs.all_users };
    let reply = desk.call::<call::Schedules>(&all).await?;
    Ok(reply.schedules.into_iter().map(|schedule| schedule.name).collect())
}

/// The newest jobs of a selection, oldest first, and whether there are more.
async fn newest(list: &List, client: &mut Client) -> Result<(Vec<Job>, bool), Error> {
    let mut reply = client.call::<call::List>(list).await?;
    reply.jobs.reverse();
    Ok((reply.jobs, reply.more && list.limit.is_none()))
}

/// What is not final, and what ended of late.
async fn current(list: &List, client: &mut Client) -> Result<(Vec<Job>, bool), Error> {
    let states = |wanted: fn(State) -> bool| Selector {
        states: State::ALL.into_iter().filter(|&s| wanted(s)).map(|s| s.to_string()).collect(),
        ..list.jobs.clone()
    };
    let unfinished = List { jobs: states(|state| !state.is_final()), ..list.clone() };
    let (mut found, more) = newest(&unfinished, client).await?;
    let recent = Timestamp::now() - jiff::SignedDuration::from_secs(RECENT_SECONDS);
    let finished_since = Some(recent.to_string());
    let ended = List { jobs: states(State::is_final), finished_since, ..list.clone() };
    let (ended, more_ended) = newest(&ended, client).await?;
    found.extend(ended);
    // Stable: of an array in both, the element that is not final stays.
    found.sort_by_key(|job| line_of(job, list.collapse));
    found.dedup_by_key(|job| line_of(job, list.collapse));
    Ok((found, more || more_ended))
}

/// What a line is about: a job, or a whole array.
fn line_of(job: &Job, collapse: bool) -> JobId {
    job.array.filter(|_| collapse).unwrap_or(job.id)
}

/// Every job of a selection, a page at a time.
async fn list_all(mut list: List, mut client: Client, desk: &mut Desk) -> Result<i32, Error> {
    let (mut first, mut none) = (true, true);
    let mut open: Option<Run> = None;
    if desk.json() {
        desk.out.text("[")?;
    }
    loop {
        let reply = client.call::<call::List>(&list).await?;
        list.after = reply.jobs.last().map(|job| job.id);
        let is_last = !reply.more || list.after.is_none();
        none &= reply.jobs.is_empty();
        if desk.json() {
            for job in &reply.jobs {
                let text = serde_json::to_string(job).map_err(crate::client::CallError::from)?;
                desk.out.text(if first { "" } else { ",\n" })?;
                desk.out.text(&text)?;
                first = false;
            }
        } else {
            let mut runs = runs(open.take(), reply.jobs);
            // The last line of a page may go on in the next one.
            open = if is_last { None } else { runs.pop() };
            if first || !runs.is_empty() {
                let text = rows(&runs, Timestamp::now()).render(desk.out.style());
                let body = text.find('\n').map_or(0, |end| end + 1);
                desk.out.text(if first { &text } else { &text[body..] })?;
                first = false;
            }
        }
        if is_last {
            break;
        }
    }
    if desk.json() {
        desk.out.text("]\n")?;
    }
    if none {
        tell_none(&list.jobs, "", desk).await?;
    }
    DONE
}

/// Elements of an array that follow each other and stand alike, or one job.
struct Run {
    first: Job,
    last: Option<Job>,
    count: u64,
}

impl Run {
    const fn of(job: Job) -> Self {
        Self { first: job, last: None, count: 1 }
    }

    fn goes_on_with(&self, job: &Job) -> bool {
        let Self { first, count, .. } = self;
        first.array.is_some()
            && !is_whole_array(first)
            && job.array == first.array
            && job.id == first.id.after(*count)
            && state_text(job) == state_text(first)
            && job.state != State::Running
    }
}

/// Jobs as the lines they take, the first of which may have begun before.
fn runs(open: Option<Run>, jobs: Vec<Job>) -> Vec<Run> {
    let mut runs: Vec<Run> = open.into_iter().collect();
    for job in jobs {
        match runs.last_mut() {
            Some(run) if run.goes_on_with(&job) => {
                run.count += 1;
                run.last = Some(job);
            }
            _ => runs.push(Run::of(job)),
        }
    }
    runs
}

fn is_whole_array(job: &Job) -> bool {
    job.elements.as_ref().is_some_and(|elements| !elements.counts.is_empty())
}

/// Jobs as a table; elements of an array that follow each other and stand alike share a line.
fn table(jobs: &[Job], now: Timestamp) -> Table {
    rows(&runs(None, jobs.to_vec()), now)
}

fn rows(runs: &[Run], now: Timestamp) -> Table {
    let mut table =
        Table::new(&[">ID", "STATE", "CLASS", "QUEUE?", "NAME?", ">AGE", ">TOOK?", "WORK"]);
    for run in runs {
        let elements = run.first.elements.as_ref();
        table.row(match elements.filter(|elements| !elements.counts.is_empty()) {
            Some(elements) => array_row(&run.first, elements, now),
            None => row(run, now),
        });
    }
    table
}

/// A whole array.
fn array_row(job: &Job, elements: &Elements, now: Timestamp) -> Vec<Cell> {
    let count: u64 = elements.counts.iter().map(|count| count.jobs).sum();
    let (state, colour) = elements_state(elements);
    let mut row = row(&Run::of(job.clone()), now);
    row[0] = elements_text(job, elements.first, elements.last).into();
    row[1] = Cell::coloured(state, colour);
    // How long one element took says nothing of the others.
    row[6] = moment::short(None).into();
    row[7] = format!("[{count}] {}", job.summary).into();
    row
}

/// How the elements of an array stand, and the colour if they stand alike.
pub(super) fn elements_state(elements: &Elements) -> (String, Option<Colour>) {
    match &elements.counts[..] {
        [alike] => (alike.state.to_string(), colour(alike.state)),
        counts => {
            let told = counts.iter().map(|count| format!("{} {}", count.jobs, count.state));
            (told.collect::<Vec<_>>().join(", "), None)
        }
    }
}

fn row(run: &Run, now: Timestamp) -> Vec<Cell> {
    let first = &run.first;
    let last = run.last.as_ref().unwrap_or(first);
    let queue = if first.queue == crate::job::Spec::DEFAULT_QUEUE { "" } else { &first.queue };
    let took = if run.count > 1 { None } else { took(first, now) };
    let work = match run.count {
        1 => first.summary.clone(),
        count => format!("[{count}] {}", first.summary),
    };
    vec![
        id_text(first, last).into(),
        Cell::coloured(standing(first, now), colour(first.state)),
        first.class.name().into(),
        queue.into(),
        first.name.clone().unwrap_or_default().into(),
        moment::short(moment::between(&first.submitted_at, None, now)).into(),
        moment::short(took).into(),
        work.into(),
    ]
}

fn took(job: &Job, now: Timestamp) -> Option<std::time::Duration> {
    let started = job.started_at.as_deref()?;
    match (job.state, job.finished_at.as_deref()) {
        (State::Running, _) => moment::between(started, None, now),
        (_, Some(finished)) => moment::between(started, Some(finished), now),
        _ => None,
    }
}

fn id_text(first: &Job, last: &Job) -> String {
    match (first.index, last.index) {
        (Some(from), Some(to)) => elements_text(first, from, to),
        _ => first.id.to_string(),
    }
}

/// Elements of the job's array, by their indexes.
fn elements_text(job: &Job, from: u64, to: u64) -> String {
    let Some(array) = job.array else { return job.id.to_string() };
    if from == to {
        return format!("{array}_{from}");
    }
    let at_once = job.array_at_once.map(|most| format!("%{most}"));
    format!("{array}_{from}-{to}{}", at_once.unwrap_or_default())
}

/// Where a job stands, and how soon it comes if it waits for a time.
fn standing(job: &Job, now: Timestamp) -> String {
    let text = state_text(job);
    let Some(moment) = job.not_before.as_deref().filter(|_| job.state == State::Scheduled) else {
        return text;
    };
    match moment::between(&now.to_string(), Some(moment), now) {
        Some(left) => format!("{text} in {}", moment::short(Some(left))),
        None => text,
    }
}

/// Where a job stands, with what is worth knowing about how it ended or how far it is.
pub(super) fn state_text(job: &Job) -> String {
    let word = job.outcome.as_deref();
    match (job.state, word) {
        (State::Failed, Some("exit")) => format!("failed {}", job.exit_code.unwrap_or(1)),
        (State::Failed, Some("signal")) => format!("failed sig {}", job.signal.unwrap_or(0)),
        (State::Failed, Some(other)) if other != "error" => other.replace('_', " "),
        (State::Running, _) => match (job.progress_done, job.progress_total) {
            (Some(done), Some(total)) if total > 0 => {
                format!("running {}%", u128::from(done) * 100 / u128::from(total))
            }
            _ => "running".to_owned(),
        },
        (state, _) => state.to_string(),
    }
}

pub(super) const fn colour(state: State) -> Option<Colour> {
    match state {
        State::Succeeded => Some(Colour::Green),
        State::Failed | State::Skipped => Some(Colour::Red),
        State::Running => Some(Colour::Cyan),
        State::Held | State::Cancelled => Some(Colour::Yellow),
        State::Scheduled | State::Waiting | State::Queued => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::output::Style;
    use crate::cli::tests::job;

    fn now() -> Timestamp {
        "2024-01-01T00:01:00Z".parse().unwrap()
    }

    #[test]
    fn elements_that_stand_alike_share_a_line() {
        let element = |id: u64, state: &str| {
            job(id, state, json!({ "array": 5, "index": id - 4, "attempt_count": 0 }))
        };
        let mut jobs: Vec<Job> = (5..8).map(|id| element(id, "queued")).collect();
        jobs.push(element(8, "running"));
        jobs.push(element(9, "running"));
        jobs.push(job(10, "queued", json!({})));
        let text = table(&jobs, now()).render(Style::default());
        let ids: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(ids, ["5_1-3", "5_4", "5_5", "10"], "{text}");
        assert!(text.contains("[3] true"), "{text}");
    }

    #[test]
    fn a_line_goes_on_from_page_to_page() {
        let page = |ids: std::ops::Range<u64>| {
            let element = |id| job(id, "queued", json!({ "array": 5, "index": id - 4 }));
            ids.map(element).collect::<Vec<Job>>()
        };
        let mut open = runs(None, page(5..10));
        let all = runs(open.pop(), page(10..12));
        let text = rows(&all, now()).render(Style::default());
        assert!(open.is_empty() && text.contains("5_1-7") && text.contains("[7] true"), "{text}");
    }

    #[test]
    fn a_job_that_waits_for_a_time_says_how_long() {
        let waits = job(1, "scheduled", json!({ "not_before": "2024-01-01T00:03:30Z" }));
        assert_eq!(standing(&waits, now()), "scheduled in 2m30s");
        assert_eq!(standing(&job(1, "scheduled", json!({})), now()), "scheduled");
    }

    #[test]
    fn a_state_says_how_it_ended() {
        let text = |state: &str, fields| state_text(&job(1, state, fields));
        assert_eq!(text("failed", json!({ "outcome": "exit", "exit_code": 3 })), "failed 3");
        assert_eq!(text("failed", json!({ "outcome": "signal", "signal": 9 })), "failed sig 9");
        assert_eq!(text("failed", json!({ "outcome": "timed_out" })), "timed out");
        assert_eq!(text("failed", json!({ "outcome": "error" })), "failed");
        let half = json!({ "progress_done": 1, "progress_total": 2 });
        assert_eq!(text("running", half), "running 50%");
        assert_eq!(text("queued", json!({ "outcome": "exit", "exit_code": 3 })), "queued");
    }
}
