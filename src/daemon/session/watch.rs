//! Telling what happens.

use tokio::sync::broadcast::error::RecvError;

use super::super::happening::Happening;
use super::Session;
use super::call::Manner;
use super::connection::Gone;
use crate::protocol::{Watch, WatchReply};

impl Session {
    pub(super) async fn watch(&mut self, watch: Watch, manner: Manner) -> Result<(), Gone> {
        if !manner.more {
            return self.expected_more(manner).await;
        }
        if watch.all_users
            && let Err(error) = self.admins_only("watching jobs of other users")
        {
            return self.finish::<WatchReply>(Err(error), manner).await;
        }
        let mut happenings = self.hub.happenings.subscribe();
        loop {
            let event = match happenings.try_recv() {
                Ok(happening) => happening,
                Err(tokio::sync::broadcast::error::TryRecvError::Lagged(count)) => {
                    Happening { owner: None, event: Happening::missed(count) }
                }
                Err(_) => {
                    self.connection.flush().await?;
                    match self.connection.unless_gone(happenings.recv()).await? {
                        Ok(happening) => happening,
                        Err(RecvError::Lagged(count)) => {
                            Happening { owner: None, event: Happening::missed(count) }
                        }
                        Err(RecvError::Closed) => return Err(Gone),
                    }
                }
            };
            // What is about a job of nobody known is for admins.
            let for_all = event.event.job.is_none();
            let ours = event.owner.map_or(for_all || self.is_admin(), |owner| owner == self.uid);
            if watch.all_users || ours {
                self.reply(&WatchReply { event: event.event }, true, manner).await?;
            }
        }
    }
}
