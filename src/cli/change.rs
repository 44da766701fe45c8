//! What the verbs that change jobs have in common: saying what changed and what did not.

use super::batch::ranges_text;
use super::desk::Desk;
use super::error::Error;
use super::select;
use crate::job::{JobId, exit_code};
use crate::protocol::{ChangeReply, Declined, IdRange, Selector};

/// Tells what a change did; `done` is its past participle.
pub(super) fn tell(
    done: &str,
    selector: &Selector,
    reply: &ChangeReply,
    desk: &mut Desk,
) -> Result<i32, Error> {
    if desk.json() {
        desk.out.json(reply)?;
    } else {
        tell_people(done, reply, desk)?;
    }
    let named = |declined: &Declined| select::names(selector, declined.id);
    Ok(if reply.declined.iter().any(named) { exit_code::REFUSED } else { exit_code::SUCCESS })
}

fn tell_people(done: &str, reply: &ChangeReply, desk: &mut Desk) -> Result<(), Error> {
    match reply.changed.as_slice() {
        [] if reply.declined.is_empty() => desk.out.notice("no job matches, nothing was changed"),
        [] => {}
        [id] if !desk.quiet() => desk.out.line(format_args!("{done} job {id}"))?,
        ids if !desk.quiet() => {
            let ranges = ranges_text(&ranges(ids));
            desk.out.line(format_args!("{done} {} jobs: {ranges}", ids.len()))?;
        }
        _ => {}
    }
    for declined in &reply.declined {
        desk.out.say(format_args!("job {}: {}", declined.id, declined.why));
    }
    Ok(())
}

/// Ids as ranges, in order.
pub(super) fn ranges(ids: &[JobId]) -> Vec<IdRange> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let mut ranges: Vec<IdRange> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some(range) if range.last == id || range.last.after(1) == id => range.last = id,
            _ => ranges.push(IdRange { first: id, last: id }),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_follow_each_other_are_a_range() {
        let ids: Vec<JobId> = [9, 3, 4, 5, 12].map(|id| JobId::new(id).unwrap()).to_vec();
        assert_eq!(ranges_text(&ranges(&ids)), "3-5,9,12");
        assert!(ranges(&[]).is_empty());
    }
}
