//! `twolane queue`: queues, their limits and their pause switches.

use super::desk::{DONE, Desk};
use super::error::Error;
use super::table::{Cell, Colour, Table};
use crate::job::Rate;
use crate::protocol::{Empty, Pause, Queue, RemoveQueue, Resume, SetQueue, call};

/// List, set, pause, resume and remove queues.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// List the queues
    #[command(visible_alias = "ls")]
    List,
    /// Make or change a queue: max=N jobs at once (0 for no limit), weight=N its share, rate=N/PERIOD
    /// starts in any span of time (off for none)
    Set {
        /// The queue
        name: String,
        /// max=N, weight=N, rate=100/1m
        #[arg(value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
    /// Start nothing more of a queue
    Pause {
        /// The queue
        name: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Let a paused queue go on
    Resume {
        /// The queue
        name: String,
    },
    /// Drop a queue that has no unfinished jobs
    #[command(visible_alias = "rm")]
    Remove {
        /// The queue
        name: String,
    },
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    match args.verb {
        Verb::List => return list(desk).await,
        Verb::Set { name, settings } => {
            desk.call::<call::SetQueue>(&setting(name, &settings)?).await?;
        }
        Verb::Pause { name, reason } => {
            desk.call::<call::Pause>(&Pause { queue: name, reason }).await?;
        }
        Verb::Resume { name } => {
            desk.call::<call::Resume>(&Resume { queue: name }).await?;
        }
        Verb::Remove { name } => {
            desk.call::<call::RemoveQueue>(&RemoveQueue { queue: name }).await?;
        }
    }
    if desk.json() {
        desk.out.json(&Empty {})?;
    }
    DONE
}

fn setting(queue: String, settings: &[String]) -> Result<SetQueue, Error> {
    let mut set = SetQueue { queue, max: None, weight: None, rate: None };
    for setting in settings {
        if let Some(rate) = setting.strip_prefix("rate=") {
            if rate != "off" {
                let checked = rate.parse::<Rate>();
                checked.map_err(|error| Error::Usage(format!("{error}; or off for none")))?;
            }
            set.rate = Some(rate.to_owned());
            continue;
        }
        let (key, number) = number(setting)?;
        match key {
            "max" => set.max = Some(number),
            "weight" if number > 0 => set.weight = Some(number),
            "weight" => {
                return Err(Error::usage("a weight is 1 or more; pause a queue to stop it"));
            }
            _ => {
                let text =
                    format!("a queue has no {key:?}: write max=N, weight=N or rate=N/PERIOD");
                return Err(Error::Usage(text));
            }
        }
    }
    Ok(set)
}

/// Reads `key=N`.
pub(super) fn number(setting: &str) -> Result<(&str, u32), Error> {
    let pair = setting.split_once('=').and_then(|(key, value)| Some((key, value.parse().ok()?)));
    pair.ok_or_else(|| {
        Error::usage(format!(
            "{setting:?} is no setting: write a name and a whole number, as in max=4"
        ))
    })
}

async fn list(desk: &mut Desk) -> Result<i32, Error> {
    let reply = desk.call::<call::Queues>(&Empty {}).await?;
    if desk.json() {
        desk.out.json(&reply.queues)?;
        return DONE;
    }
    let heads = [
        "QUEUE",
        ">RUNNING",
        ">MAX",
        ">QUEUED",
        ">WAITING",
        ">HELD",
        ">SCHEDULED",
        ">WEIGHT",
        ">RATE",
        "STATE",
    ];
    let mut table = Table::new(&heads);
    reply.queues.iter().for_each(|queue| table.row(row(queue)));
    desk.out.text(&table.render(desk.out.style()))?;
    DONE
}

fn row(queue: &Queue) -> Vec<Cell> {
    let state = match (queue.paused, &queue.reason) {
        (false, _) => Cell::from("open"),
        (true, None) => Cell::coloured("paused", Some(Colour::Yellow)),
        (true, Some(reason)) => Cell::coloured(format!("paused: {reason}"), Some(Colour::Yellow)),
    };
    vec![
        queue.name.as_str().into(),
        queue.running.to_string().into(),
        queue.max.map_or_else(|| "-".to_owned(), |max| max.to_string()).into(),
        queue.queued.to_string().into(),
        queue.waiting.to_string().into(),
        queue.held.to_string().into(),
        queue.scheduled.to_string().into(),
        queue.weight.to_string().into(),
        queue.rate.as_deref().unwrap_or("-").into(),
        state,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_names_with_numbers() {
        let set = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            setting("gpu".to_owned(), &words)
        };
        let both = set(&["max=0", "weight=3"]).unwrap();
        assert_eq!((both.max, both.weight), (Some(0), Some(3)));
        assert_eq!(set(&["rate=100/1m"]).unwrap().rate.as_deref(), Some("100/1m"));
        for wrong in ["rate=100", "max", "max=-1", "max=x", "mox=1", "weight=0"] {
            assert!(matches!(set(&[wrong]), Err(Error::Usage(_))), "{wrong}");
        }
    }
}
