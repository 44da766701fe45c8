//! How jobs are named on the command line.

use std::io::IsTerminal;

use super::desk::Desk;
use super::error::Error;
use crate::job::{JobId, State};
use crate::protocol::{List, MAX_PAGE, Selector, call};

/// Outcomes that select jobs as states do.
const OUTCOMES: [&str; 3] = ["timed_out", "interrupted", "output_limit"];

/// Which jobs.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Select {
    /// Ids such as 12, 12,15, 3-9, array elements such as `12_7`, last (your last submission), or all
    #[arg(value_name = "JOBS")]
    words: Vec<String>,
    #[command(flatten)]
    filter: Filter,
}

/// What narrows which jobs.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only in this state: queued, running, failed, …, or `timed_out`, `interrupted`, `output_limit`
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Only in this queue
    #[arg(short, long, value_name = "QUEUE", value_delimiter = ',')]
    queue: Vec<String>,
    /// Only with this name; * stands for any characters
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    name: Vec<String>,
    /// Only of this kind
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,
    /// Only runs of this schedule
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    schedule: Vec<String>,
    /// Jobs of other users too
    #[arg(long)]
    all_users: bool,
}

impl Select {
    /// The selector, which may be empty.
    pub(super) fn any(&self) -> Result<Selector, Error> {
        let mut selector = Selector {
            states: self.filter.states()?,
            queues: self.filter.queue.clone(),
            names: self.filter.name.clone(),
            kinds: self.filter.kind.clone(),
            schedules: self.filter.schedule.clone(),
            all_users: self.filter.all_users,
            ..Selector::default()
        };
        for word in &self.words {
            selector.add(word).map_err(|error| Error::Usage(error.to_string()))?;
        }
        Ok(selector)
    }

    /// The selector; an empty one is a mistake of whoever wrote `twolane VERB`.
    pub(super) fn some(&self, verb: &str) -> Result<Selector, Error> {
        let selector = self.any()?;
        if selector.is_empty() {
            return Err(Error::usage(format!(
                "which jobs? Write ids as in `{name} {verb} 12` or `{name} {verb} 3-9`, last for your last submission, all, or --state, --queue, --name",
                name = crate::NAME
            )));
        }
        Ok(selector)
    }
}

impl Filter {
    fn states(&self) -> Result<Vec<String>, Error> {
        let written = |word: &String| word.trim().to_lowercase().replace([' ', '-'], "_");
        let words: Vec<String> = self.state.iter().map(written).collect();
        for word in &words {
            if !OUTCOMES.contains(&word.as_str()) {
                word.parse::<State>().map_err(|error| {
                    Error::usage(format!("--state: {error}, {}", OUTCOMES.join(", ")))
                })?;
            }
        }
        Ok(words)
    }
}

/// Whether a selector can mean more jobs than were written out.
pub(super) fn is_bulk(selector: &Selector) -> bool {
    let narrow = selector.ids.iter().all(|range| range.first == range.last)
        && selector.elements.iter().all(|range| range.first == range.last);
    !narrow
        || selector.last
        || selector.all
        || (selector.ids.is_empty() && selector.elements.is_empty())
}

/// Whether a selector names this job by its own id.
pub(super) fn names(selector: &Selector, id: crate::job::JobId) -> bool {
    selector.ids.iter().any(|range| range.first == id && range.last == id)
        || selector.elements.iter().any(|range| range.first == range.last)
}

/// The jobs that these words name: ids as they are, and whatever else selects, such as `12_7` or `last`.
pub(super) async fn named(words: &[String], desk: &mut Desk) -> Result<Vec<JobId>, Error> {
    let plain: Result<Vec<JobId>, _> = words.iter().map(|word| word.parse()).collect();
    if let Ok(ids) = plain {
        return Ok(ids);
    }
    let mut jobs = Selector::default();
    for word in words {
        jobs.add(word).map_err(|error| Error::Usage(error.to_string()))?;
    }
    let page = List { jobs, limit: Some(MAX_PAGE), ..List::default() };
    let reply = desk.call::<call::List>(&page).await?;
    if reply.jobs.is_empty() {
        return Err(Error::Usage(format!("{} selects no job that is there", words.join(" "))));
    }
    Ok(reply.jobs.iter().map(|job| job.id).collect())
}

/// The one job that this word names.
pub(super) async fn named_one(word: &str, desk: &mut Desk) -> Result<JobId, Error> {
    let ids = named(&[word.to_owned()], desk).await?;
    match ids.as_slice() {
        [id] => Ok(*id),
        _ => Err(Error::Usage(format!("{word} selects {} jobs: name one of them", ids.len()))),
    }
}

/// Asks before many jobs are changed, if there is someone to ask.
pub(super) async fn confirm(
    verb: &str,
    selector: &Selector,
    wanted: fn(State) -> bool,
    desk: &mut Desk,
) -> Result<(), Error> {
    let asked = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !asked || !is_bulk(selector) {
        return Ok(());
    }
    let mut jobs = selector.clone();
    if jobs.states.is_empty() {
        let states = State::ALL.into_iter().filter(|state| wanted(*state));
        jobs.states = states.map(|state| state.name().to_owned()).collect();
    }
    let page = List { jobs, limit: Some(MAX_PAGE), ..List::default() };
    let reply = desk.call::<call::List>(&page).await?;
    let count = reply.jobs.iter().filter(|job| wanted(job.state)).count();
    let question = match (count, reply.more) {
        (0 | 1, false) => return Ok(()),
        (count, false) => format!("{verb} {count} jobs?"),
        (count, true) => format!("{verb} {count} jobs and more?"),
    };
    if desk.out.ask(&question)? { Ok(()) } else { Err(Error::SaidNo) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(words: &[&str]) -> Select {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Select { words, ..Select::default() }
    }

    #[test]
    fn a_verb_without_jobs_says_what_to_write() {
        let error = select(&[]).some("cancel").unwrap_err();
        assert!(error.to_string().contains("twolane cancel 12"), "{error}");
        assert!(matches!(select(&["x"]).some("cancel"), Err(Error::Usage(_))));
        let mut all_users = select(&[]);
        all_users.filter.all_users = true;
        assert!(all_users.some("cancel").is_err());
    }

    #[test]
    fn states_are_checked_and_outcomes_are_states_too() {
        let with = |state: &str| {
            let mut select = select(&[]);
            select.filter.state = vec![state.to_owned()];
            select.any()
        };
        assert_eq!(with("timed_out").unwrap().states, ["timed_out"]);
        for written in ["timed out", "Timed-Out", "TIMED_OUT"] {
            assert_eq!(with(written).unwrap().states, ["timed_out"]);
        }
        assert_eq!(with("held").unwrap().states, ["held"]);
        let error = with("done").unwrap_err().to_string();
        assert!(error.contains("succeeded") && error.contains("timed_out"), "{error}");
    }

    #[test]
    fn bulk_is_what_was_not_written_out() {
        for words in [&["3-9"][..], &["last"], &["all"], &["12", "12_3-9"]] {
            assert!(is_bulk(&select(words).any().unwrap()), "{words:?}");
        }
        for words in [&["3"][..], &["3,4", "5"], &["12_7"]] {
            assert!(!is_bulk(&select(words).any().unwrap()), "{words:?}");
        }
    }
}
