//! Lending the core permits of a running job that waits.

use std::future::pending;

use super::super::event::Ask;
use super::Session;
use super::call::Manner;
use super::connection::Gone;
use crate::job::AttemptToken;
use crate::lanes::Lending;
use crate::protocol::{Empty, Error, Lend};

impl Session {
    /// Lends until the client goes.
    pub(super) async fn lend(&mut self, asked: Lend, manner: Manner) -> Result<(), Gone> {
        if !manner.more {
            return self.expected_more(manner).await;
        }
        let lending = match self.lending(&asked).await {
            Ok(lending) => lending,
            Err(error) => return self.finish::<Empty>(Err(error), manner).await,
        };
        let lent = lending.begin();
        self.reply(&Empty {}, true, manner).await?;
        self.connection.flush().await?;
        let end = self.connection.unless_gone(pending::<()>()).await;
        drop(lent);
        end
    }

    async fn lending(&self, asked: &Lend) -> Result<Lending, Error> {
        let none = || Error::InvalidValue {
            field: "attempt".to_owned(),
            message: format!(
                "{:?} is no running attempt of yours: a job finds its own in $TWOLANE_ATTEMPT",
                asked.attempt
            ),
        };
        let token: AttemptToken = asked.attempt.parse().map_err(|_| none())?;
        let running = self.hub.ask(|answer| Ask::Lend(token, answer)).await?;
        let (job, lending) = running.ok_or_else(none)?;
        self.own_job(job).await.map_err(|_| none())?;
        Ok(lending)
    }
}
