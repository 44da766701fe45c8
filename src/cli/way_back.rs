//! The way back to the daemon for a call that lasts longer than its connection.
//!
//! A daemon whose program is replaced says so on every call that it is still answering, and its socket stays open: who
//! connects meanwhile is served by the next program. So nothing has to be tried again and again, only waited for.

use std::path::PathBuf;
use std::time::Duration;

use super::desk::Desk;
use super::output::Output;
use crate::client::{CallError, Client};
use crate::protocol::{self, Empty, call};

/// A restart that takes no longer is not worth a word.
const DISCREET: Duration = Duration::from_secs(2);
/// How long the next program may take until it answers: a million jobs are read in two seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections in a row that brought nothing.
const FRUITLESS: u32 = 5;

/// Finds the daemon again.
pub(super) struct WayBack {
    socket: Option<PathBuf>,
    out: Output,
    fruitless: u32,
}

impl WayBack {
    /// To the daemon that the desk has reached.
    pub(super) fn of(desk: &Desk) -> Self {
        Self { socket: desk.reached_at(), out: desk.out.clone(), fruitless: 0 }
    }

    /// The last connection brought something.
    pub(super) const fn was_of_use(&mut self) {
        self.fruitless = 0;
    }

    /// A new connection in place of one on which a call ended like this; `None` where the daemon does not go on.
    pub(super) async fn after(&mut self, error: &CallError) -> Option<Client> {
        let socket = self.socket.clone().filter(|_| is_cut_short(error))?;
        self.fruitless += 1;
        if self.fruitless > FRUITLESS {
            return None;
        }
        let mut reaching = std::pin::pin!(reach(socket));
        if let Ok(reached) = tokio::time::timeout(DISCREET, &mut reaching).await {
            reached
        } else {
            self.out.notice("waiting for the daemon, which is being restarted");
            tokio::time::timeout(PATIENCE, reaching).await.ok().flatten()
        }
    }
}

/// Whether the call may well go on with another connection.
fn is_cut_short(error: &CallError) -> bool {
    let is_restart = matches!(error, CallError::Refused(protocol::Error::Restarting { .. }));
    is_restart || matches!(error, CallError::Closed)
}

/// A connection on which somebody answers.
async fn reach(socket: PathBuf) -> Option<Client> {
    let mut client = Client::connect(&socket).await.ok()?;
    client.call::<call::Status>(&Empty {}).await.ok()?;
    Some(client)
}
