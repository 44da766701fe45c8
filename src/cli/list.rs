//! `twolane list`: a table of jobs.

use jiff::Timestamp;

use super::desk::{DONE, Desk};
use super::error::Error;
use super::moment;
use super::select::Select;
use super::table::{Cell, Colour, Table};
use crate::client::Client;
use crate::job::{JobId, State};
use crate::protocol::{Elements, Job, List, MAX_PAGE, Selector, call};

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
    // Programs get every job, and so does whoever names single ones.
    let names_jobs = !jobs.ids.is_empty() || !jobs.elements.is_empty();
    let collapse = !(args.expand || desk.json() || names_jobs);
    if args.all {
        return list_all(List { jobs, collapse, ..List::default() }, client, desk).await;
    }
    let list = List { newest_first: true, limit: args.limit, collapse, ..List::default() };
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
        desk.out.notice("no job matches; --all lists those that ended long ago too");
    }
    DONE
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
    let mut first = true;
    if desk.json() {
        desk.out.text("[")?;
    }
    loop {
        let reply = client.call::<call::List>(&list).await?;
        list.after = reply.jobs.last().map(|job| job.id);
        if desk.json() {
            for job in &reply.jobs {
                let text = serde_json::to_string(job).map_err(crate::client::CallError::from)?;
                desk.out.text(if first { "" } else { ",\n" })?;
                desk.out.text(&text)?;
                first = false;
            }
        } else if first || !reply.jobs.is_empty() {
            let text = table(&reply.jobs, Timestamp::now()).render(desk.out.style());
            let body = text.find('\n').map_or(0, |end| end + 1);
            desk.out.text(if first { &text } else { &text[body..] })?;
            first = false;
        }
        if !reply.more || list.after.is_none() {
            break;
        }
    }
    if desk.json() {
        desk.out.text("]\n")?;
    }
    DONE
}

/// Jobs as a table; elements of an array that follow each other and stand alike share a line.
fn table(jobs: &[Job], now: Timestamp) -> Table {
    let mut table =
        Table::new(&[">ID", "STATE", "CLASS", "QUEUE?", "NAME?", ">AGE", ">TOOK?", "WORK"]);
    let mut rest = jobs;
    while let [first, others @ ..] = rest {
        if let Some(elements) =
            first.elements.as_ref().filter(|elements| !elements.counts.is_empty())
        {
            table.row(array_row(first, elements, now));
            rest = others;
            continue;
        }
        let alike = rest.iter().zip(0..).take_while(|(job, steps)| follows(first, job, *steps));
        let count = alike.count().max(1);
        let (group, others) = rest.split_at(count);
        table.row(row(group, now));
        rest = others;
    }
    table
}

fn follows(first: &Job, job: &Job, steps: u64) -> bool {
    first.array.is_some()
        && job.array == first.array
        && job.id == first.id.after(steps)
        && state_text(job) == state_text(first)
        && !matches!(job.state, State::Running)
        || job.id == first.id
}

/// A whole array.
fn array_row(job: &Job, elements: &Elements, now: Timestamp) -> Vec<Cell> {
    let count: u64 = elements.counts.iter().map(|count| count.jobs).sum();
    let (state, colour) = match &elements.counts[..] {
        [alike] => (alike.state.to_string(), colour(alike.state)),
        counts => {
            let told = counts.iter().map(|count| format!("{} {}", count.jobs, count.state));
            (told.collect::<Vec<_>>().join(", "), None)
        }
    };
    let mut row = row(std::slice::from_ref(job), now);
    row[0] = elements_text(job, elements.first, elements.last).into();
    row[1] = Cell::coloured(state, colour);
    // How long one element took says nothing of the others.
    row[6] = moment::short(None).into();
    row[7] = format!("[{count}] {}", job.summary).into();
    row
}

fn row(group: &[Job], now: Timestamp) -> Vec<Cell> {
    let (first, last) = (&group[0], &group[group.len() - 1]);
    let queue = if first.queue == crate::job::Spec::DEFAULT_QUEUE { "" } else { &first.queue };
    let took = if group.len() > 1 { None } else { took(first, now) };
    let work = match group.len() {
        1 => first.summary.clone(),
        count => format!("[{count}] {}", first.summary),
    };
    vec![
        id_text(first, last).into(),
        Cell::coloured(state_text(first), colour(first.state)),
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
