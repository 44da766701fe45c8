//! From a message to its answer.

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::super::refuse;
use super::Session;
use super::connection::{Gone, Incoming};
use crate::protocol::{
    Call, DecodeError, Error, INTERFACE_DESCRIPTION, MAX_MESSAGE, ReplyError, Request,
    SERVICE_DESCRIPTION, encode,
};

/// The interface that every Varlink service has.
const SERVICE: &str = "org.varlink.service";

/// How the client wants its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Any number of replies.
    pub(super) more: bool,
    /// None at all.
    pub(super) oneway: bool,
}

impl Session {
    /// Answers calls until the client goes.
    pub(super) async fn run(mut self) {
        // A client that goes is the ordinary end of a session.
        let _: Result<(), Gone> = self.answer_all().await;
        if self.connection.has_left() {
            let jobs = self.untold.take();
            let _ = self.last_word(&refuse::restarting(jobs)).await;
        }
    }

    async fn answer_all(&mut self) -> Result<(), Gone> {
        loop {
            match self.connection.next().await? {
                Incoming::Message(message) => self.answer(message).await?,
                Incoming::TooLong => {
                    let message = format!(
                        "a message is longer than {MAX_MESSAGE} bytes: split what is submitted"
                    );
                    let error = Error::MessageTooLong { limit: MAX_MESSAGE as u64, message };
                    return self.last_word(&error).await;
                }
            }
        }
    }

    async fn answer(&mut self, message: Bytes) -> Result<(), Gone> {
        let call: Call<'_> = match serde_json::from_slice(&message) {
            Ok(call) => call,
            Err(error) => {
                let message = format!("not a call: {error}");
                return self.last_word(&Error::InvalidMessage { message }).await;
            }
        };
        let manner = Manner { more: call.more, oneway: call.oneway };
        let Some((interface, method)) = call.method.rsplit_once('.') else {
            return self.service_error("MethodNotFound", "method", &call.method, manner).await;
        };
        match interface {
            SERVICE => self.service(method, call.parameters, manner).await,
            crate::INTERFACE => match Request::decode(method, call.parameters) {
                Ok(request) => {
                    drop(message);
                    self.dispatch(request, manner).await
                }
                Err(DecodeError::UnknownMethod(_)) => {
                    self.service_error("MethodNotFound", "method", &call.method, manner).await
                }
                Err(error @ DecodeError::Parameters { .. }) => {
                    let problem = error.to_string();
                    self.service_error("InvalidParameter", "parameter", &problem, manner).await
                }
            },
            _ => self.service_error("InterfaceNotFound", "interface", interface, manner).await,
        }
    }

    /// An error after which nothing the client sends can be understood.
    async fn last_word(&mut self, error: &Error) -> Result<(), Gone> {
        self.error(&error.to_reply(), Manner { more: false, oneway: false }).await?;
        self.connection.flush().await?;
        Err(Gone)
    }

    async fn service(
        &mut self,
        method: &str,
        parameters: Option<&serde_json::value::RawValue>,
        manner: Manner,
    ) -> Result<(), Gone> {
        match method {
            "GetInfo" => {
                let info = json!({
                    "vendor": crate::NAME,
                    "product": crate::DAEMON_NAME,
                    "version": crate::VERSION,
                    "url": crate::URL,
                    "interfaces": [SERVICE, crate::INTERFACE],
                });
                self.reply(&info, false, manner).await
            }
            "GetInterfaceDescription" => {
                let asked: serde_json::Value = parameters
                    .and_then(|text| serde_json::from_str(text.get()).ok())
                    .unwrap_or_default();
                let description = match asked["interface"].as_str() {
                    Some(SERVICE) => SERVICE_DESCRIPTION,
                    Some(crate::INTERFACE) => INTERFACE_DESCRIPTION,
                    Some(other) => {
                        return self
                            .service_error("InterfaceNotFound", "interface", other, manner)
                            .await;
                    }
                    None => {
                        return self
                            .service_error("InvalidParameter", "parameter", "interface", manner)
                            .await;
                    }
                };
                self.reply(&json!({ "description": description }), false, manner).await
            }
            other => {
                let method = format!("{SERVICE}.{other}");
                self.service_error("MethodNotFound", "method", &method, manner).await
            }
        }
    }

    async fn service_error(
        &mut self,
        name: &str,
        field: &str,
        value: &str,
        manner: Manner,
    ) -> Result<(), Gone> {
        let error =
            ReplyError { name: format!("{SERVICE}.{name}"), parameters: json!({ field: value }) };
        self.error(&error, manner).await
    }

    /// A streaming call that does not take a stream.
    pub(super) async fn expected_more(&mut self, manner: Manner) -> Result<(), Gone> {
        let error = ReplyError { name: format!("{SERVICE}.ExpectedMore"), parameters: json!({}) };
        self.error(&error, manner).await
    }

    /// Answers with what was done or why it was not.
    pub(super) async fn finish<T: Serialize>(
        &mut self,
        result: Result<T, Error>,
        manner: Manner,
    ) -> Result<(), Gone> {
        match result {
            Ok(reply) => self.reply(&reply, false, manner).await,
            Err(error) => self.error(&error.to_reply(), manner).await,
        }
    }

    /// One reply; `continues` when another follows.
    pub(super) async fn reply<T: Serialize>(
        &mut self,
        reply: &T,
        continues: bool,
        manner: Manner,
    ) -> Result<(), Gone> {
        if manner.oneway {
            return Ok(());
        }
        // Our own types always have a JSON form; a client can't bring this about.
        let bytes = encode::reply(reply, continues).map_err(|error| {
            tracing::error!("a reply could not be written as JSON: {error}");
            Gone
        })?;
        self.connection.send(&bytes).await
    }

    async fn error(&mut self, error: &ReplyError, manner: Manner) -> Result<(), Gone> {
        if manner.oneway {
            return Ok(());
        }
        let bytes = encode::error(error).map_err(|error| {
            tracing::error!("an error could not be written as JSON: {error}");
            Gone
        })?;
        self.connection.send(&bytes).await
    }

    async fn dispatch(&mut self, request: Request, manner: Manner) -> Result<(), Gone> {
        let streams = matches!(
            request,
            Request::Wait(_) | Request::Logs(_) | Request::Lend(_) | Request::Watch(_)
        );
        if streams {
            self.connection.let_go();
        }
        match request {
            Request::Wait(wait) => self.wait(wait, manner).await,
            Request::Logs(logs) => self.logs(logs, manner).await,
            Request::Lend(lend) => self.lend(lend, manner).await,
            Request::Watch(watch) => self.watch(watch, manner).await,
            Request::Submit(submit) => {
                let result = self.submit(submit).await;
                self.finish(result, manner).await
            }
            Request::List(_) | Request::Show(_) | Request::Graph(_) | Request::Explain(_) => {
                self.inspect(request, manner).await
            }
            Request::Cancel(_)
            | Request::Retry(_)
            | Request::Hold(_)
            | Request::Release(_)
            | Request::Edit(_)
            | Request::Remove(_)
            | Request::Prune(_) => self.change_jobs(request, manner).await,
            Request::AddSchedule(_)
            | Request::Schedules(_)
            | Request::ShowSchedule(_)
            | Request::PauseSchedule(_)
            | Request::ResumeSchedule(_)
            | Request::RemoveSchedule(_) => self.schedules(request, manner).await,
            manage => self.manage(manage, manner).await,
        }
    }
}
