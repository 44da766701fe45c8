//! A command that waits inside a job lends that job's core permits: it would otherwise keep them from the very job it waits for.

use std::env;
use std::path::PathBuf;

use tokio::task::AbortHandle;

use super::desk::Desk;
use crate::client::{Client, Replies};
use crate::protocol::{Lend, call};

/// Where a job finds the token of its attempt.
const ATTEMPT: &str = "TWOLANE_ATTEMPT";

/// As long as this lives the permits are lent.
pub(super) struct Lent {
    task: AbortHandle,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lends the permits of the job that this command runs in; `None` outside a job, or inside one of another daemon.
pub(super) async fn while_waiting(desk: &mut Desk) -> Option<Lent> {
    let lend = Lend { attempt: env::var(ATTEMPT).ok()? };
    let client = desk.connect_only().await.ok()?;
    let socket = desk.reached_at()?;
    let call = begin(client, &lend).await?;
    Some(Lent { task: tokio::spawn(keep(call, lend, socket)).abort_handle() })
}

async fn begin(client: Client, lend: &Lend) -> Option<Replies<call::Lend>> {
    let mut call = client.stream::<call::Lend>(lend).await.ok()?;
    call.next().await?.ok()?;
    Some(call)
}

/// Lends again when the daemon's program was replaced, which forgot it; who waits goes on waiting.
async fn keep(mut call: Replies<call::Lend>, lend: Lend, socket: PathBuf) {
    loop {
        while let Some(Ok(_)) = call.next().await {}
        let Ok(client) = Client::connect(&socket).await else { return };
        let Some(again) = begin(client, &lend).await else { return };
        call = again;
    }
}
