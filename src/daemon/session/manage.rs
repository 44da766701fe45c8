//! Calls about queues, lanes and the daemon itself.

use super::super::event::{Ask, QueueChange, RateChange};
use super::Session;
use super::call::Manner;
use super::connection::Gone;
use crate::job::{Drain, Rate, Spec, State};
use crate::protocol::{
    self, Empty, Error, KindsReply, QueuesReply, Request, SetQueue, StateCount, StatusReply,
};

impl Session {
    pub(super) async fn manage(&mut self, request: Request, manner: Manner) -> Result<(), Gone> {
        match request {
            Request::Kinds(_) => {
                let reply = KindsReply { kinds: self.kinds() };
                self.finish(Ok(reply), manner).await
            }
            Request::Queues(_) => {
                let result = self.hub.ask(Ask::Queues).await;
                self.finish(result.map(|queues| QueuesReply { queues }), manner).await
            }
            Request::Lanes(_) => {
                let result = self.hub.ask(Ask::Lanes).await;
                self.finish(result, manner).await
            }
            Request::SetLanes(change) => {
                let result = match self.admins_only("changing the sizes of the lanes") {
                    Ok(()) => self.hub.request(|answer| Ask::SetLanes(change, answer)).await,
                    Err(error) => Err(error),
                };
                self.finish(result, manner).await
            }
            Request::Stats(_) => {
                let result = self.hub.ask(Ask::Stats).await;
                self.finish(result, manner).await
            }
            Request::Status(_) => {
                let result = self.status().await;
                self.finish(result, manner).await
            }
            Request::Config(_) => {
                let result = self.hub.ask(Ask::Config).await;
                self.finish(result, manner).await
            }
            Request::Restart(restart) => {
                let result = match self.admins_only("restarting the daemon") {
                    Ok(()) => self.hub.request(|answer| Ask::Restart(restart.now, answer)).await,
                    Err(error) => Err(error),
                };
                self.finish(result, manner).await
            }
            Request::Reload(_) => {
                let result = match self.admins_only("reading the config again") {
                    Ok(()) => self.hub.request(Ask::Reload).await,
                    Err(error) => Err(error),
                };
                self.finish(result, manner).await
            }
            other => {
                let result = self.command(other).await;
                self.finish(result.map(|()| Empty {}), manner).await
            }
        }
    }

    /// Calls that are answered with nothing but their success.
    async fn command(&self, request: Request) -> Result<(), Error> {
        self.admins_only("changing queues and the daemon")?;
        match request {
            Request::SetQueue(set) => self.change_queue(set_queue(set)?).await,
            Request::Pause(pause) => {
                let paused = Some((true, pause.reason));
                self.change_queue(QueueChange { paused, ..named(pause.queue)? }).await
            }
            Request::Resume(resume) => {
                let paused = Some((false, None));
                self.change_queue(QueueChange { paused, ..named(resume.queue)? }).await
            }
            Request::RemoveQueue(remove) => {
                self.hub.request(|answer| Ask::RemoveQueue(remove.queue, answer)).await
            }
            Request::Drain(protocol::Drain { off: true, reason: Some(_) }) => {
                Err(invalid("reason", "the end of a drain has no reason".to_owned()))
            }
            Request::Drain(protocol::Drain { off, reason }) => {
                let drain = (!off).then_some(Drain { reason });
                self.hub.request(|answer| Ask::Drain(drain, answer)).await
            }
            Request::Stop(stop) => self.hub.ask(|answer| Ask::Stop(stop.now, answer)).await,
            _ => Ok(()),
        }
    }

    /// How the daemon is, with the numbers of jobs, which the store knows.
    async fn status(&self) -> Result<StatusReply, Error> {
        let mut status = self.hub.ask(Ask::Status).await?;
        let counts = self.hub.readers.query(|reader| reader.counts()).await?;
        for state in State::ALL {
            let count = counts.iter().filter(|(_, of, _)| *of == state).map(|(.., n)| n).sum();
            if count > 0 {
                status.jobs.push(StateCount { state, count });
            }
        }
        Ok(status)
    }

    async fn change_queue(&self, change: QueueChange) -> Result<(), Error> {
        self.hub.request(|answer| Ask::SetQueue(change, answer)).await
    }

    fn kinds(&self) -> Vec<protocol::Kind> {
        let parameter = |param: &crate::handlers::Param| protocol::Parameter {
            name: param.name.to_owned(),
            value: param.kind.name().to_owned(),
            required: param.required,
            default: param.default.map(str::to_owned),
            doc: param.doc.to_owned(),
        };
        let kind = |kind: &crate::handlers::Kind| protocol::Kind {
            name: kind.info.name.to_owned(),
            doc: kind.info.doc.to_owned(),
            class: kind.info.class,
            classes: kind.info.classes.clone(),
            retries: kind.info.retries,
            params: kind.info.params.iter().map(parameter).collect(),
        };
        self.hub.registry.kinds().map(kind).collect()
    }
}

fn named(queue: String) -> Result<QueueChange, Error> {
    let probe = Spec { queue: queue.clone(), ..Spec::default() };
    probe.check().map_err(|error| invalid("queue", error.to_string()))?;
    Ok(QueueChange { name: queue, ..QueueChange::default() })
}

fn set_queue(set: SetQueue) -> Result<QueueChange, Error> {
    if set.weight == Some(0) {
        return Err(invalid(
            "weight",
            "a weight is at least 1; pause the queue to stop it".to_owned(),
        ));
    }
    let rate = match set.rate.as_deref() {
        None => RateChange::Keep,
        Some("off") => RateChange::Off,
        Some(text) => {
            let rate = text.parse::<Rate>();
            RateChange::To(rate.map_err(|error| invalid("rate", format!("{error}, or off")))?)
        }
    };
    let (max, weight) = (set.max, set.weight);
    Ok(QueueChange { max, weight, rate, create: true, ..named(set.queue)? })
}

fn invalid(field: &str, message: String) -> Error {
    Error::InvalidValue { field: field.to_owned(), message }
}
