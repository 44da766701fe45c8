//! The kind `http`: one request, its redirects, and the answer's body as the attempt's output.
//!
//! Owns one client for all attempts, so connections are used again, and the rules for which answers
//! another attempt may change. It never retries by itself: it says whether a retry makes sense and
//! how long the other side asked to wait. Invariant: `Idempotency-Key` is the same in every attempt
//! of a job, whatever the daemon went through in between.

mod answer;
mod names;
mod request;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, Response, StatusCode};
use tokio::sync::OnceCell;

use crate::job::{Class, Context, Params};

use super::handler::AsyncHandler;
use super::kind::{Kind, KindInfo};
use super::options::HttpOptions;
use super::output::{Output, OutputError};
use super::param::{Param, ParamError, ParamKind};
use super::run::{Report, Run};
use answer::{Body, Expected, retry_after};
use names::Names;
use request::Plan;

const URL: &str = "url";
const METHOD: &str = "method";
const HEADERS: &str = "header.*";
const BODY: &str = "body";
const EXPECT: &str = "expect";
const MAX_REDIRECTS: &str = "max_redirects";
const BODY_LIMIT: &str = "body_limit";
const IDLE: &str = "idle";

/// Runs after the first where the job says nothing: what fails on a network often works a moment later.
const RETRIES: u32 = 5;
/// More redirects than this are a loop.
const MOST_REDIRECTS: i64 = 50;

/// The kind with its declaration.
pub(super) fn kind(options: &HttpOptions) -> Kind {
    let redirects = ParamKind::Number { least: 0, most: MOST_REDIRECTS };
    let params = vec![
        Param::required(URL, ParamKind::Text, "where to, http:// or https://"),
        Param::optional(METHOD, ParamKind::Text, "GET, or POST when there is a body, if not given"),
        Param::optional(HEADERS, ParamKind::Text, "a header, such as header.Accept=text/csv"),
        Param::optional(BODY, ParamKind::Text, "what to send"),
        Param::optional(
            EXPECT,
            ParamKind::List,
            "statuses that are a success, such as 200,404 or 2xx",
        )
        .or("2xx"),
        Param::optional(
            MAX_REDIRECTS,
            redirects,
            "how many to follow; 0 takes a redirect as the answer",
        ),
        Param::optional(BODY_LIMIT, ParamKind::Size, "how much of the answer's body to keep"),
        Param::optional(IDLE, ParamKind::Duration, "how long the other side may be silent"),
    ];
    let info = KindInfo {
        retries: RETRIES,
        params,
        ..KindInfo::new("http", Class::Io, "make a web request; the body becomes the output")
    };
    Kind::asynchronous(info, Http { options: options.clone(), client: OnceCell::new() })
}

struct Http {
    options: HttpOptions,
    /// Made by the first attempt: reading the system's certificates takes a while, and most daemons
    /// never make a request.
    client: OnceCell<Client>,
}

/// Why a request did not get the answer that was wanted.
#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error("{0}")]
    Param(#[from] ParamError),
    #[error("cannot set up web requests: {0}")]
    Client(String),
    #[error("{request}: {problem}")]
    Network { request: String, problem: String },
    #[error("{request}: {problem}")]
    Redirect { request: String, problem: String },
    #[error("{request}: the other side was silent for {}: see idle", crate::job::format_duration(*span))]
    Silent { request: String, span: Duration },
    #[error("{request}: answered {status}, expected {expected}")]
    Status { request: String, status: StatusCode, expected: String, pause: Option<Duration> },
    #[error("{0}")]
    Output(#[from] OutputError),
    #[error("the thread that writes the body has failed")]
    Writer,
}

tokio::task_local! {
    /// How many redirects the request under way may follow. The policy belongs to the shared client
    /// and is asked on the task that waits for the answer.
    static REDIRECTS: u32;
}

impl AsyncHandler for Http {
    fn check(&self, params: &Params, _: &Context) -> Result<(), ParamError> {
        Plan::of(params, &self.options).map(drop)
    }

    fn run(self: Arc<Self>, run: Run) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        Box::pin(async move {
            let cancel = run.cancel.clone();
            match cancel.run_until_cancelled(self.exchange(run)).await {
                None => Report::cancelled(),
                Some(Ok(())) => Report::succeeded(),
                Some(Err(error)) => error.report(),
            }
        })
    }
}

impl Http {
    async fn exchange(&self, run: Run) -> Result<(), HttpError> {
        let plan = Plan::of(&run.params, &self.options)?;
        let client = self.client.get_or_try_init(|| self.make_client()).await?;
        let request = plan.request(client, &run)?;
        let sent = REDIRECTS.scope(plan.redirects, client.execute(request));
        let answer = plan.in_time(sent).await?.map_err(|error| plan.network(error))?;
        self.receive(&plan, answer, run).await
    }

    async fn make_client(&self) -> Result<Client, HttpError> {
        let options = self.options.clone();
        let made = tokio::task::spawn_blocking(move || client(&options)).await;
        made.unwrap_or_else(|error| Err(error.to_string())).map_err(HttpError::Client)
    }

    /// Keeps the body whatever the status is: it usually says what was wrong.
    async fn receive(&self, plan: &Plan, mut answer: Response, run: Run) -> Result<(), HttpError> {
        run.progress.expect(answer.content_length().unwrap_or(0));
        let (status, pause) = (answer.status(), retry_after(answer.headers()));
        let mut body = Body::new(run.output, plan.body_limit);
        while let Some(chunk) = plan.next_chunk(&mut answer, &mut body).await? {
            run.progress.advance(chunk.len() as u64);
            if body.push(&chunk).await?.is_full() {
                break;
            }
        }
        body.finish().await?;
        if plan.expected.holds(status) {
            return Ok(());
        }
        let expected = plan.expected.to_string();
        Err(HttpError::Status { request: plan.shown(), status, expected, pause })
    }
}

impl HttpError {
    /// Errors on the network and answers that speak of a moment's trouble may pass; what is wrong
    /// with the request stays wrong.
    fn report(&self) -> Report {
        let report = Report::error(self);
        match self {
            Self::Status { status, pause, .. } if passes(*status) => report.retry_after(*pause),
            Self::Status { .. } | Self::Redirect { .. } | Self::Param(_) => report.hopeless(),
            _ => report,
        }
    }
}

fn passes(status: StatusCode) -> bool {
    let busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || busy.contains(&status)
}

/// The one client. Where the system has no certificates at all, plain HTTP still works and HTTPS
/// says that it trusts nobody.
fn client(options: &HttpOptions) -> Result<Client, String> {
    // An error only says that the program has chosen a provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(options.connect_timeout_ms))
            .pool_max_idle_per_host(options.idle_connections_per_host)
            .redirect(Policy::custom(follow))
            .referer(false)
            .dns_resolver(Arc::new(Names::new(options.dns_lookups)))
    };
    let built = builder().build().or_else(|_| builder().tls_certs_only([]).build());
    built.map_err(|error| chain(&error))
}

fn follow(attempt: Attempt<'_>) -> Action {
    let most = REDIRECTS.try_with(|most| *most).unwrap_or(0);
    if most == 0 {
        attempt.stop()
    } else if attempt.previous().len() > most as usize {
        attempt.error(format!("more than {most} redirects: see {MAX_REDIRECTS}"))
    } else {
        attempt.follow()
    }
}

/// The error and what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
