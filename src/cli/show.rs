//! `twolane show`: everything about a job.

use serde_json::Value;

use super::desk::{DONE, Desk};
use super::error::Error;
use super::graph;
use super::list::{colour, state_text};
use super::moment;
use super::select;
use super::table::{Cell, Table, painted, visible};
use crate::job::{Limits, Suspicion, format_size};
use crate::protocol::{Attempt, Details, Graph, Job, Required, Selector, Show, call};

/// The width of the names on the left.
const LEFT: usize = 14;

/// Show everything about a job.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The job
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Draw who waits for whom, from these jobs on in both directions
    #[arg(long)]
    graph: bool,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    if args.graph {
        return draw(&args.ids, desk).await;
    }
    let ids = select::named(&args.ids, desk).await?;
    let mut client = desk.connect().await?;
    for (place, id) in ids.into_iter().enumerate() {
        let job = client.call::<call::Show>(&Show { id }).await?.job;
        if desk.json() {
            desk.out.json(&job)?;
            continue;
        }
        if place > 0 {
            desk.out.line("")?;
        }
        tell(&job, desk)?;
    }
    DONE
}

async fn draw(words: &[String], desk: &mut Desk) -> Result<i32, Error> {
    let mut jobs = Selector::default();
    for word in words {
        jobs.add(word).map_err(|error| Error::Usage(error.to_string()))?;
    }
    let reply = desk.call::<call::Graph>(&Graph { jobs }).await?;
    if desk.json() {
        desk.out.json(&reply)?;
        return DONE;
    }
    for line in graph::drawn(&reply, desk.out.style()) {
        desk.out.line(line)?;
    }
    if reply.more {
        desk.out.notice("there are more jobs than can be drawn: begin with fewer");
    }
    DONE
}

fn tell(job: &Job, desk: &mut Desk) -> Result<(), Error> {
    let style = desk.out.style();
    for (name, value) in facts(job) {
        let value = match name {
            "state" => painted(&visible(&value), colour(job.state).filter(|_| style.colour)),
            _ => visible(&value),
        };
        desk.out.line(format_args!("{name:<LEFT$}{value}"))?;
    }
    if let Some(details) = job.details.as_ref().filter(|details| !details.attempts.is_empty()) {
        desk.out.line("")?;
        desk.out.text(&attempts(&details.attempts).render(style))?;
    }
    Ok(())
}

fn facts(job: &Job) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("job", job.id.to_string()),
        ("work", job.summary.clone()),
        ("state", state_text(job)),
    ];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("because", job.message.clone().or_else(|| job.reason.clone()));
    add("name", job.name.clone());
    add(
        "element",
        job.array.zip(job.index).map(|(array, index)| format!("{index} of array {array}")),
    );
    add("schedule", job.schedule.clone());
    add("run of", job.slot.as_deref().map(moment::local));
    add("kind", Some(job.kind.clone()));
    add("class", Some(class(job)));
    add("queue", Some(job.queue.clone()));
    add("priority", (job.priority != 0).then(|| job.priority.to_string()));
    add("cpus", (job.cpus != 1).then(|| job.cpus.to_string()));
    add("keys", (!job.keys.is_empty()).then(|| job.keys.join(", ")));
    let needs: Vec<String> = job
        .needs
        .iter()
        .map(|(name, amount)| format!("{name}={}", amount_of(name, *amount)))
        .collect();
    add("needs", (!needs.is_empty()).then(|| needs.join(", ")));
    add("at once", job.array_at_once.map(|most| format!("at most {most} elements of the array")));
    add("owner", Some(format!("uid {}", job.owner_uid)));
    add("submitted", Some(moment::local(&job.submitted_at)));
    add("not before", job.not_before.as_deref().map(moment::local));
    add("started", job.started_at.as_deref().map(moment::local));
    add("finished", job.finished_at.as_deref().map(moment::local));
    add("retries", (job.retries > 0).then(|| retries(job)));
    if let Some(details) = &job.details {
        facts.extend(more(details));
    }
    facts
}

/// Memory in bytes as people write them, everything else as a number.
pub(super) fn amount_of(resource: &str, amount: u64) -> String {
    if resource == Limits::MEMORY { format_size(amount) } else { amount.to_string() }
}

fn class(job: &Job) -> String {
    match job.lane {
        Some(lane) => format!("{}, on the {lane} lane", job.class),
        None => job.class.to_string(),
    }
}

fn retries(job: &Job) -> String {
    let details = job.details.as_ref();
    let backoff = details.map_or("", |details| &details.backoff);
    let on = details.and_then(|details| details.retry_on.as_deref());
    let on = on.map_or_else(String::new, |on| format!(" on {on} alone"));
    format!("{}{on} with back-off {backoff}, {} attempts so far", job.retries, job.attempt_count)
}

fn more(details: &Details) -> Vec<(&'static str, String)> {
    let mut facts: Vec<(&'static str, String)> =
        details.after.iter().map(|other| ("after", required(other))).collect();
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    let params = details.params.iter().filter(|(name, _)| *name != "argv");
    for (name, value) in params {
        add("parameter", Some(format!("{name}={}", plain(value))));
    }
    add("suspected", (details.crashes > 0).then(|| suspicion(details)));
    add("timeout", details.timeout_seconds.map(moment::seconds));
    add("at most once", details.at_most_once.then(|| "yes".to_owned()));
    add("unique", details.unique.clone());
    add("folder", Some(details.cwd.clone()));
    add("variables", (!details.env_names.is_empty()).then(|| details.env_names.join(" ")));
    add("output", details.output.clone().or_else(|| details.output_path.clone()));
    facts
}

fn suspicion(details: &Details) -> String {
    let told = Suspicion { crashes: details.crashes, alone: details.crashes_alone };
    if told.condemns() { told.to_string() } else { format!("{told}, so it runs alone") }
}

fn required(other: &Required) -> String {
    let Required { job, on, standing, ended } = other;
    match ended {
        Some(ended) => format!("{on}:{job} ({standing}: it {ended})"),
        None => format!("{on}:{job} ({standing})"),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn attempts(attempts: &[Attempt]) -> Table {
    let heads = [">ATTEMPT", "LANE", "STARTED", ">TOOK", ">CPU", ">MEMORY?", "OUTCOME"];
    let mut table = Table::new(&heads);
    for attempt in attempts {
        let seconds = |seconds: Option<f64>| seconds.map(moment::seconds).unwrap_or_default();
        table.row(vec![
            attempt.number.to_string().into(),
            attempt.lane.name().into(),
            moment::local(&attempt.started_at).into(),
            seconds(attempt.wall_seconds).into(),
            seconds(attempt.cpu_seconds).into(),
            attempt.max_rss_bytes.map(format_size).unwrap_or_default().into(),
            Cell::from(outcome(attempt)),
        ]);
    }
    table
}

fn outcome(attempt: &Attempt) -> String {
    let word =
        attempt.outcome.as_deref().map_or_else(|| "running".to_owned(), |w| w.replace('_', " "));
    match (&attempt.message, attempt.signal, attempt.exit_code) {
        (Some(message), _, _) => format!("{word}: {message}"),
        (None, Some(signal), _) => format!("{word} {signal}"),
        (None, None, Some(code)) if code != 0 && word == "exit" => format!("{word} {code}"),
        _ => word,
    }
}
