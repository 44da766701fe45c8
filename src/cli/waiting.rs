//! Saying why a job that somebody watches has not started.

use std::time::Duration;

use super::desk::Desk;
use super::table::visible;
use crate::job::{JobId, State};
use crate::protocol::{Explain, ExplainReply, call};

/// How long a job may wait before somebody who watches it is told why: longer than an idle daemon needs, and
/// before anybody wonders.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Says why the job has not started, if it has not. It is no matter if that can't be learnt: whoever watches the
/// job hears of what happens to it.
pub(super) async fn tell(id: JobId, desk: &mut Desk) {
    let Ok(reply) = desk.call_only::<call::Explain>(&Explain { id }).await else { return };
    if let Some(text) = reason(&reply) {
        desk.out.notice(format_args!(
            "job {id} has not started: {}; `{} explain {id}` tells more",
            visible(&text),
            crate::NAME
        ));
    }
}

fn reason(reply: &ExplainReply) -> Option<String> {
    if reply.state.is_final() || reply.state == State::Running {
        return None;
    }
    Some(match (reply.gates.first(), reply.place, reply.of) {
        (Some(gate), ..) => gate.detail.clone(),
        (None, Some(place), Some(of)) => {
            format!("it is number {place} of {of} ready jobs in its queue")
        }
        (None, ..) => format!("it is {}", reply.state),
    })
}
