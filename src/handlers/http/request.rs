//! What a job's parameters ask for, checked at submit and built anew for each attempt.

use std::future::Future;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Response, Url};

use super::super::param;
use super::{
    BODY, BODY_LIMIT, Body, EXPECT, Expected, HEADERS, HttpError, HttpOptions, IDLE, MAX_REDIRECTS,
    METHOD, ParamError, Params, Run, URL, chain,
};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const ATTEMPT: &str = "twolane-attempt";

/// What a job asks for.
pub(super) struct Plan {
    url: Url,
    method: Method,
    headers: HeaderMap,
    body: Option<String>,
    pub(super) expected: Expected,
    pub(super) redirects: u32,
    pub(super) body_limit: u64,
    idle: Duration,
}

impl Plan {
    /// Reads the parameters; what they leave open the options say.
    pub(super) fn of(params: &Params, options: &HttpOptions) -> Result<Self, ParamError> {
        let body = param::text(params, BODY).map(str::to_owned);
        let number = |name, otherwise| {
            param::number(params, name).and_then(|n| u64::try_from(n).ok()).unwrap_or(otherwise)
        };
        Ok(Self {
            url: url(param::text(params, URL).unwrap_or_default())?,
            method: method(param::text(params, METHOD), body.is_some())?,
            headers: headers(params)?,
            body,
            expected: Expected::read(&param::list(params, EXPECT))
                .map_err(|problem| ParamError::value(EXPECT, problem))?,
            redirects: number(MAX_REDIRECTS, options.redirects.into()) as u32,
            body_limit: number(BODY_LIMIT, options.body_limit_bytes),
            idle: param::duration(params, IDLE)
                .unwrap_or(Duration::from_millis(options.idle_timeout_ms)),
        })
    }

    /// The request of one attempt.
    pub(super) fn request(&self, client: &Client, run: &Run) -> Result<Request, HttpError> {
        let mut headers = self.headers.clone();
        if !headers.contains_key(IDEMPOTENCY_KEY) {
            headers.insert(IDEMPOTENCY_KEY, own_value(&idempotency_key(run)));
        }
        headers.insert(ATTEMPT, own_value(&run.token.to_string()));
        let request = client.request(self.method.clone(), self.url.clone()).headers(headers);
        let request = match &self.body {
            Some(body) => request.body(body.clone()),
            None => request,
        };
        request.build().map_err(|error| self.network(error))
    }

    /// The future's output, unless the other side is silent for too long.
    pub(super) async fn in_time<F: Future>(&self, future: F) -> Result<F::Output, HttpError> {
        let silent = |_| HttpError::Silent { request: self.shown(), span: self.idle };
        tokio::time::timeout(self.idle, future).await.map_err(silent)
    }

    /// The next piece of the body. While it does not come, what came before is written, so that a
    /// follower of the output sees it.
    pub(super) async fn next_chunk(
        &self,
        answer: &mut Response,
        body: &mut Body,
    ) -> Result<Option<bytes::Bytes>, HttpError> {
        let mut next = std::pin::pin!(answer.chunk());
        let chunk = tokio::select! {
            biased;
            chunk = &mut next => chunk,
            () = std::future::ready(()) => {
                body.flush().await?;
                self.in_time(next).await?
            }
        };
        chunk.map_err(|error| self.network(error))
    }

    /// What went wrong on the way, named by the request.
    pub(super) fn network(&self, error: reqwest::Error) -> HttpError {
        let hopeless = error.is_redirect() || error.is_builder();
        let problem = chain(&error.without_url());
        let request = self.shown();
        if hopeless {
            HttpError::Redirect { request, problem }
        } else {
            HttpError::Network { request, problem }
        }
    }

    /// The request in messages.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.method, shown(&self.url))
    }
}

/// The address without what may be secret: user, password and query.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // It fails only for addresses without a host, which have no user either.
    let _ = url.set_password(None).and_then(|()| url.set_username(""));
    url.to_string()
}

/// The same in every attempt of the job, and no other job of any store has it.
fn idempotency_key(run: &Run) -> String {
    format!("{}-{}", run.token.store, run.job)
}

/// Ids and tokens are digits, letters and dashes, so they always fit.
fn own_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

fn url(text: &str) -> Result<Url, ParamError> {
    let url = Url::parse(text).map_err(|error| {
        let remedy = "write it in full, such as https://example.org/path";
        ParamError::value(URL, format!("{text:?} is not an address ({error}): {remedy}"))
    })?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        let scheme = url.scheme();
        Err(ParamError::value(URL, format!("{scheme}: can't be fetched: use http:// or https://")))
    }
}

fn method(given: Option<&str>, has_body: bool) -> Result<Method, ParamError> {
    match given {
        None => Ok(if has_body { Method::POST } else { Method::GET }),
        // Methods are case-sensitive, and every one in use is written in capitals.
        Some(name) => Method::from_bytes(name.to_ascii_uppercase().as_bytes()).map_err(|_| {
            ParamError::value(METHOD, format!("{name:?} is not a method such as PUT"))
        }),
    }
}

fn headers(params: &Params) -> Result<HeaderMap, ParamError> {
    let stem = HEADERS.trim_end_matches('*');
    let mut headers = HeaderMap::new();
    for (param, value) in params {
        let Some(name) = param.strip_prefix(stem) else { continue };
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| ParamError::value(param, "this is not the name of a header"))?;
        let value = HeaderValue::from_str(value.as_str().unwrap_or_default())
            .map_err(|_| ParamError::value(param, "a header's value is one line of text"))?;
        headers.insert(name, value);
    }
    Ok(headers)
}
