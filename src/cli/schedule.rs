//! `twolane schedule`: the same work again and again; and `submit --every`, which makes such a schedule.

use jiff::tz::TimeZone;

use super::desk::{DONE, Desk};
use super::error::Error;
use super::list::colour;
use super::moment;
use super::table::{Cell, Colour, Table, visible};
use crate::job::{Every, EveryError, Missed, Overlap, UnknownName};
use crate::protocol::{
    AddSchedule, Context, Empty, JobSpec, PauseSchedule, RemoveSchedule, ResumeSchedule, Schedule,
    Schedules, ShowSchedule, call,
};

/// The width of the names on the left.
const LEFT: usize = 14;
/// The zone of those whose own has no name.
const UTC: &str = "UTC";

/// List, show, pause, resume and remove schedules; `submit --every` makes one.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = RULES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const RULES: &str = "\
Examples:
  twolane submit --every '0 3 * * *' --name backup -- ./backup
  twolane submit --every 15m --overlap replace -- ./poll
  twolane list --schedule backup

A schedule is named by its name or its number, and each of its runs is a job. Where clocks change,
a local time that is left out comes once, right after the gap, and one that is there twice comes
once, the first time; what runs in every hour runs through. Fields follow the calendar of the
schedule's time zone; spans follow the time that passes, whatever the clock is set to.";

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// List the schedules, each with its next run
    #[command(visible_alias = "ls")]
    List {
        /// Those of other users too
        #[arg(long)]
        all_users: bool,
    },
    /// Show everything about a schedule, with its next runs
    Show {
        /// The schedule
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Run it no more until it is resumed; what comes meanwhile is left out
    Pause {
        /// The schedule
        #[arg(value_name = "NAME")]
        name: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Let a paused schedule go on with its first run from now
    Resume {
        /// The schedule
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Drop a schedule; the jobs of its runs stay
    #[command(visible_alias = "rm")]
    Remove {
        /// The schedule
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What makes a schedule of a job.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Schedule options")]
pub(super) struct Options {
    /// Again and again: five fields as in "0 3 * * *" (minute, hour, day, month, weekday), @hourly, @daily,
    /// @weekly, @monthly, @yearly, or a span such as 15m. Prints the schedule's name, which is --name
    #[arg(long, value_name = "WHEN", value_parser = every, conflicts_with_all = [
        "each", "from", "array", "hold", "wait", "range", "at", "delay", "after", "unique"])]
    pub(super) every: Option<String>,
    /// The time zone whose calendar counts, such as Europe/Berlin; yours by default
    #[arg(long, value_name = "ZONE", requires = "every")]
    zone: Option<String>,
    /// If an earlier run has not ended: skip (leave this one out, the usual), queue (wait for it; behind
    /// 100 that have not ended, runs are left out and counted as skipped) or replace (cancel it)
    #[arg(long, value_name = "WHAT", requires = "every", value_parser = overlap)]
    overlap: Option<String>,
    /// If the time of runs passed while the daemon or the machine was away: run-once (one for all of them,
    /// the usual) or skip
    #[arg(long, value_name = "WHAT", requires = "every", value_parser = missed)]
    missed: Option<String>,
}

fn every(text: &str) -> Result<String, EveryError> {
    text.parse::<Every>().map(|_| text.to_owned())
}

fn overlap(text: &str) -> Result<String, UnknownName> {
    text.parse::<Overlap>().map(|_| text.to_owned())
}

fn missed(text: &str) -> Result<String, UnknownName> {
    text.parse::<Missed>().map(|_| text.to_owned())
}

/// The schedule of a job, if these options make one.
pub(super) fn of_job(
    options: &Options,
    job: JobSpec,
    context: Context,
    dry_run: bool,
    desk: &mut Desk,
) -> Option<AddSchedule> {
    let every = options.every.clone()?;
    Some(AddSchedule {
        job: Box::new(job),
        every,
        zone: Some(options.zone.clone().unwrap_or_else(|| own_zone(desk))),
        overlap: options.overlap.clone(),
        missed: options.missed.clone(),
        context: Some(context),
        dry_run,
    })
}

/// The caller's time zone by its name.
fn own_zone(desk: &mut Desk) -> String {
    let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
    if let Some(name) = zone.iana_name() {
        return name.to_owned();
    }
    desk.out
        .notice(format_args!("your time zone has no name, so {UTC} counts; --zone says another"));
    UTC.to_owned()
}

/// Tells of a schedule that was made, or that would be.
pub(super) fn tell_made(schedule: &Schedule, dry_run: bool, desk: &mut Desk) -> Result<i32, Error> {
    if desk.json() {
        desk.out.json(schedule)?;
        return DONE;
    }
    if dry_run {
        for next in &schedule.next {
            desk.out.line(moment::in_zone(next, &schedule.zone))?;
        }
        return DONE;
    }
    desk.out.line(&schedule.name)?;
    if let Some(next) = schedule.next.first() {
        let next = moment::in_zone(next, &schedule.zone);
        let name = &schedule.name;
        desk.out.notice(format_args!(
            "schedule {name} runs next at {next}; `{program} schedule show {name}` tells more",
            program = crate::NAME
        ));
    }
    DONE
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    match args.verb {
        Verb::List { all_users } => return list(all_users, desk).await,
        Verb::Show { name } => return show(name, desk).await,
        Verb::Pause { name, reason } => {
            let pause = PauseSchedule { schedule: name, reason };
            desk.call::<call::PauseSchedule>(&pause).await?;
        }
        Verb::Resume { name } => {
            desk.call::<call::ResumeSchedule>(&ResumeSchedule { schedule: name }).await?;
        }
        Verb::Remove { name } => {
            desk.call::<call::RemoveSchedule>(&RemoveSchedule { schedule: name }).await?;
        }
    }
    if desk.json() {
        desk.out.json(&Empty {})?;
    }
    DONE
}

async fn list(all_users: bool, desk: &mut Desk) -> Result<i32, Error> {
    let reply = desk.call::<call::Schedules>(&Schedules { all_users }).await?;
    if desk.json() {
        desk.out.json(&reply.schedules)?;
        return DONE;
    }
    let heads =
        ["SCHEDULE", "EVERY", "NEXT", "LAST", ">RUNS", ">SKIPPED?", ">MISSED?", "STATE", "WORK"];
    let mut table = Table::new(&heads);
    reply.schedules.iter().for_each(|schedule| table.row(row(schedule)));
    desk.out.text(&table.render(desk.out.style()))?;
    if reply.schedules.is_empty() {
        desk.out.notice(format_args!(
            "there is no schedule; `{} submit --every` makes one",
            crate::NAME
        ));
    }
    DONE
}

fn row(schedule: &Schedule) -> Vec<Cell> {
    let next = schedule.next.first().map(|next| moment::in_zone(next, &schedule.zone));
    let count = |count: u64| if count == 0 { String::new() } else { count.to_string() };
    let last = Cell::coloured(last(schedule), schedule.last_state.and_then(colour));
    vec![
        visible(&schedule.name).into(),
        visible(&schedule.every).into(),
        next.unwrap_or_else(|| "-".to_owned()).into(),
        last,
        schedule.run_count.to_string().into(),
        count(schedule.skipped_count).into(),
        count(schedule.missed_count).into(),
        Cell::coloured(state(schedule), (state(schedule) != "active").then_some(Colour::Yellow)),
        schedule.summary.as_str().into(),
    ]
}

/// The latest run: its job, and where that stands.
fn last(schedule: &Schedule) -> String {
    match (schedule.last_job, schedule.last_state) {
        (None, _) => "-".to_owned(),
        (Some(job), None) => format!("{job} removed"),
        (Some(job), Some(state)) => format!("{job} {state}"),
    }
}

fn state(schedule: &Schedule) -> String {
    match (&schedule.problem, schedule.paused, &schedule.reason) {
        (Some(problem), ..) => format!("stuck: {}", visible(problem)),
        (None, true, Some(reason)) => format!("paused: {}", visible(reason)),
        (None, true, None) => "paused".to_owned(),
        (None, false, _) => "active".to_owned(),
    }
}

async fn show(name: String, desk: &mut Desk) -> Result<i32, Error> {
    let reply = desk.call::<call::ShowSchedule>(&ShowSchedule { schedule: name }).await?;
    let schedule = reply.schedule;
    if desk.json() {
        desk.out.json(&schedule)?;
        return DONE;
    }
    for (name, value) in facts(&schedule) {
        desk.out.line(format_args!("{name:<LEFT$}{}", visible(&value)))?;
    }
    DONE
}

fn facts(schedule: &Schedule) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("schedule", schedule.name.clone()),
        ("number", schedule.id.to_string()),
        ("work", schedule.summary.clone()),
        ("state", state(schedule)),
        ("every", schedule.every.clone()),
        ("zone", schedule.zone.clone()),
        ("overlap", schedule.overlap.clone()),
        ("missed", schedule.missed.clone()),
        ("queue", schedule.queue.clone()),
        ("owner", format!("uid {}", schedule.owner_uid)),
        ("made", moment::in_zone(&schedule.created_at, &schedule.zone)),
        ("last run", last(schedule)),
        ("runs", schedule.run_count.to_string()),
        ("skipped", schedule.skipped_count.to_string()),
        ("missed runs", schedule.missed_count.to_string()),
    ];
    if !schedule.unfinished.is_empty() {
        let jobs: Vec<String> = schedule.unfinished.iter().map(ToString::to_string).collect();
        facts.push(("not ended", jobs.join(", ")));
    }
    let next = schedule.next.iter();
    facts.extend(next.map(|next| ("next run", moment::in_zone(next, &schedule.zone))));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_says_why_nothing_comes_of_it() {
        let text = r#"{"id":1,"name":"n","owner_uid":0,"every":"@daily","zone":"Europe/Berlin",
            "overlap":"skip","missed":"skip","paused":false,"created_at":"2030-01-01T00:00:00.000000Z",
            "next":["2030-01-01T23:00:00.000000Z"],"last_job":7,"unfinished":[],"run_count":1,
            "skipped_count":0,"missed_count":0,"queue":"default","summary":"true"}"#;
        let mut schedule: Schedule = serde_json::from_str(text).unwrap();
        assert_eq!((state(&schedule), last(&schedule)), ("active".into(), "7 removed".into()));
        schedule.paused = true;
        assert_eq!(state(&schedule), "paused");
        schedule.problem = Some("no zone".to_owned());
        assert_eq!(state(&schedule), "stuck: no zone");
    }
}
