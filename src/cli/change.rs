//! What the verbs that change jobs have in common: saying what changed and what did not.

use super::batch::ranges_text;
use super::count::counted;
use super::desk::Desk;
use super::error::Error;
use super::select;
use crate::job::{JobId, exit_code};
use crate::protocol::{ArrayChange, ChangeReply, Declined, DeclinedElements, IdRange, Selector};

/// What the exit code of a change says.
pub(super) const CODES: &str = "\
Ends with 0, and tells on standard error what was passed over and why; with 121 if nothing could be
done, or not to a job that was named by its own id.";

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
    Ok(code(selector, reply))
}

/// 121 if nothing could be done, or not to a job that was named by itself.
fn code(selector: &Selector, reply: &ChangeReply) -> i32 {
    let named = |declined: &Declined| select::names(selector, declined.id);
    let changed = !reply.changed.is_empty() || reply.arrays.iter().any(|array| array.changed > 0);
    let declined =
        !reply.declined.is_empty() || reply.arrays.iter().any(|array| array.declined > 0);
    let refused = (declined && !changed) || reply.declined.iter().any(named);
    if refused { exit_code::REFUSED } else { exit_code::SUCCESS }
}

fn tell_people(done: &str, reply: &ChangeReply, desk: &mut Desk) -> Result<(), Error> {
    let ChangeReply { changed, declined, arrays } = reply;
    match changed.as_slice() {
        [] if declined.is_empty() && arrays.is_empty() => {
            desk.out.notice("no job matches, nothing was changed");
        }
        [] => {}
        [id] if !desk.quiet() => desk.out.line(format_args!("{done} job {id}"))?,
        ids if !desk.quiet() => {
            let ranges = ranges_text(&ranges(ids));
            let jobs = counted(ids.len() as u64, "job");
            desk.out.line(format_args!("{done} {jobs}: {ranges}"))?;
        }
        _ => {}
    }
    let loud = !desk.quiet();
    for array in arrays.iter().filter(|array| loud && array.changed > 0) {
        let elements = counted(array.changed, "element");
        desk.out.line(format_args!("{done} array {}: {elements}", array.array))?;
    }
    for declined in declined {
        desk.out.say(format_args!("job {}: {}", declined.id, declined.why));
    }
    for array in arrays {
        tell_declined(array, desk);
    }
    Ok(())
}

fn tell_declined(array: &ArrayChange, desk: &mut Desk) {
    let mut told = 0;
    for DeclinedElements { why, count, ids } in &array.reasons {
        told += count;
        let some = ranges_text(&ranges(ids));
        let some = if *count > ids.len() as u64 { format!("{some}, …") } else { some };
        let elements = counted(*count, "element");
        desk.out.say(format_args!("array {}: {elements} ({some}): {why}", array.array));
    }
    if told < array.declined {
        let others = counted(array.declined - told, "element");
        desk.out.say(format_args!("array {}: {others} for other reasons", array.array));
    }
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
