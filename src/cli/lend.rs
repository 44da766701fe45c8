//! A command that waits inside a job lends that job's core permits: it would otherwise keep them from the very job it waits for.

use std::env;

use super::desk::Desk;
use crate::client::Replies;
use crate::protocol::{Lend, call};

/// Where a job finds the token of its attempt.
const ATTEMPT: &str = "TWOLANE_ATTEMPT";

/// As long as this lives the permits are lent.
pub(super) struct Lent {
    _call: Replies<call::Lend>,
}

/// Lends the permits of the job that this command runs in; `None` outside a job, or inside one of another daemon.
pub(super) async fn while_waiting(desk: &mut Desk) -> Option<Lent> {
    let attempt = env::var(ATTEMPT).ok()?;
    let client = desk.connect_only().await.ok()?;
    let mut call = client.stream::<call::Lend>(&Lend { attempt }).await.ok()?;
    call.next().await?.ok()?;
    Some(Lent { _call: call })
}
