//! `twolane explain`: why a job is where it is.

use super::desk::{DONE, Desk};
use super::error::Error;
use super::moment;
use super::select;
use super::table::visible;
use crate::job::State;
use crate::protocol::{Explain, ExplainReply, Gate, call};

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
    let ExplainReply { id, state, class, lane, why, gates, place, of, schedule, slot } = reply;
    let verb = if state.is_final() { "ran" } else { "runs" };
    let mut sentences = vec![
        format!("Job {id} is {state}."),
        format!("It {verb} as class {class} on the {lane} lane: {why}"),
    ];
    if let (Some(schedule), Some(slot)) = (schedule, slot) {
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
    sentences
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
        reply.gates.clear();
        assert!(sentences(&reply)[2].contains("Nothing keeps it"));
    }
}
