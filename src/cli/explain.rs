//! `twolane explain`: why a job is where it is.

use std::time::Duration;

use super::desk::{DONE, Desk};
use super::error::Error;
use super::moment;
use super::select;
use super::table::visible;
use crate::job::{State, format_duration};
use crate::protocol::{Explain, ExplainReply, Forecast, Gate, call};

/// Say why a job is where it is, and what it waits for.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The job
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let id = select::named_one(&args.id, desk).await?;
    let reply = desk.call::<call::Explain>(&Explain { id }).await?;
    if desk.json() {
        desk.out.json(&reply)?;
        return DONE;
    }
    for sentence in sentences(&reply) {
        desk.out.line(visible(&sentence))?;
    }
    DONE
}

fn sentences(reply: &ExplainReply) -> Vec<String> {
    let ExplainReply { id, state, class, lane, why, gates, place, of, .. } = reply;
    let verb = if state.is_final() { "ran" } else { "runs" };
    let mut sentences = vec![
        format!("Job {id} is {state}."),
        format!("It {verb} as class {class} on the {lane} lane: {why}"),
    ];
    if let (Some(schedule), Some(slot)) = (&reply.schedule, &reply.slot) {
        sentences.push(format!("It is the run of {} of schedule {schedule}.", moment::local(slot)));
    }
    if let (Some(place), Some(of)) = (place, of) {
        sentences.push(format!("It is number {place} of {of} ready jobs in its queue."));
    }
    match gates.as_slice() {
        [] if *state == State::Queued => {
            sentences.push("Nothing keeps it: it starts at once.".to_owned());
        }
        [] => {}
        gates => {
            let gate = |gate: &Gate| match gate.at.as_deref().map(moment::local) {
                Some(at) => format!("- {}: {}, until {at}", gate.gate, gate.detail),
                None => format!("- {}: {}", gate.gate, gate.detail),
            };
            sentences.extend(gates.iter().map(gate));
        }
    }
    sentences.extend(reply.forecast.as_ref().map(forecast));
    sentences
}

/// When it may be expected to start, and how that is known.
fn forecast(forecast: &Forecast) -> String {
    let span = |ms: u64| format_duration(Duration::from_millis(ms));
    let Forecast { at, wait_ms, basis, attempts, mean_ms } = forecast;
    let (left, at) = (span(*wait_ms), moment::local(at));
    match (basis.as_str(), attempts, mean_ms) {
        ("moment", ..) => {
            format!("It can start in {left}, at {at}, if nothing else is in its way then.")
        }
        (_, Some(attempts), Some(mean)) => format!(
            "It should start in about {left}, around {at}: the last {attempts} attempts of its queue took {} on average.",
            span(*mean)
        ),
        _ => format!("It should start in about {left}, around {at}, by the rate of its queue."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_job_says_what_it_waits_for_or_that_it_waits_for_nothing() {
        let text = r#"{"id":3,"state":"queued","class":"cpu","lane":"pool","why":"unknown work.",
            "gates":[{"gate":"permits","detail":"needs 2, 1 is free"}]}"#;
        let mut reply: ExplainReply = serde_json::from_str(text).unwrap();
        let told = sentences(&reply);
        assert_eq!(told[0], "Job 3 is queued.");
        assert_eq!(told[2], "- permits: needs 2, 1 is free");
        reply.forecast = Some(Forecast {
            at: "2030-01-01T00:00:00Z".to_owned(),
            wait_ms: 720_000,
            basis: "recent".to_owned(),
            attempts: Some(40),
            mean_ms: Some(90_000),
        });
        let last = sentences(&reply).pop().unwrap();
        assert!(last.contains("about 12m00s") && last.contains("the last 40"), "{last}");
        reply.forecast = None;
        reply.gates.clear();
        assert!(sentences(&reply)[2].contains("Nothing keeps it"));
    }
}
