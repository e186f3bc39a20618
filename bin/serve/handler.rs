//! One request and its response.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use ocelli::Error;
use ocelli::api::{Opened, Priority, Reply, Service, Stamp};

use super::access::{Access, Refusal};
use super::batches::Batches;
use super::files;
use super::http::{Answer, plain, read};
use super::jobs::{Asked, Jobs};
use super::stream::Events;
use crate::shared::api;
use crate::shared::formats::Formats;
use crate::usage::{self, Accounts};

/// State that all connections share.
pub(super) struct Server {
    pub(super) service: Service,
    pub(super) access: Access,
    pub(super) formats: Formats,
    pub(super) jobs: Jobs,
    pub(super) batches: Batches,
    /// Usage of requests, if it is limited or stored.
    pub(super) accounts: Option<Accounts>,
}

impl Server {
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let (id, origin) = (api::random_name(), request.headers().get(ORIGIN).cloned());
        let wanted = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let is_preflight = request.method() == Method::OPTIONS;
        let mut answer = match self.access.check(request.headers(), is_preflight) {
            Err(refusal) => refused(refusal),
            Ok(()) if is_preflight => empty(),
            Ok(()) => self.serve(request, &id).await.unwrap_or_else(|reply| plain(&reply)),
        };
        let allowed = origin.filter(|origin| origin.to_str().is_ok_and(|origin| self.access.allows(origin)));
        set_headers(answer.headers_mut(), &id, allowed.zip(Some(wanted)));
        Ok(answer)
    }

    async fn serve(&self, request: Request<Incoming>, id: &str) -> Result<Answer, Reply> {
        let (head, body) = request.into_parts();
        if let Some(path) = files::path(head.uri.path()) {
            return files::answer(&self.batches, (&path, &head), body).await;
        }
        if let Some(accounts) = self.accounts.as_ref().filter(|_| is_usage(&head)) {
            return Ok(usage_of(accounts, &head));
        }
        let body = read(body).await?;
        let stamp = Stamp { id: id.to_owned(), ..api::stamp() };
        let refuse = |error: Error| Reply::from(&error);
        let opened = self.service.open((head.method.as_str(), head.uri.path()), &body, stamp).map_err(refuse)?;
        let work = match opened {
            Opened::Ready(body) => return Ok(plain(&Reply::ok(body))),
            Opened::Work(work) => work,
        };
        let bill = match self.accounts.as_ref().filter(|_| work.answers() > 0) {
            None => None,
            Some(accounts) => match accounts.bill(&work.asker, self.access.caller(), None) {
                Ok(bill) => Some(bill),
                Err(error) => return Ok(failed(&error)),
            },
        };
        let (is_stream, is_counted) = (work.stream, bill.is_some());
        let asked = Asked::new_elsewhere(&self.formats, work, bill).await.map_err(refuse)?;
        let busy = || Reply::error("too-many-requests", "too many requests wait, try again later", None);
        let mut reader = self.jobs.submit(asked, Priority::Person).ok_or_else(busy)?;
        if !is_stream {
            let answered = reader.whole().await;
            return Ok(answered.map_or_else(|error| failed(&error), |body| plain(&Reply::ok(body))));
        }
        // A budget error must precede the headers of a stream.
        if is_counted && let Err(error) = reader.begin().await {
            return Ok(failed(&error));
        }
        let mut answer = Response::new(Events::new(reader).boxed());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        Ok(answer)
    }
}

/// An error reply; a budget error includes the time until the budget resets.
fn failed(error: &Error) -> Answer {
    let mut answer = plain(&usage::reply(error));
    if let Error::BudgetExceeded { retry_after: Some(seconds), .. } = error {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
    }
    answer
}

fn is_usage(head: &Parts) -> bool {
    head.method == Method::GET && head.uri.path().ends_with("/v1/usage")
}

/// Usage as JSON or, with `format=csv`, as CSV.
fn usage_of(accounts: &Accounts, head: &Parts) -> Answer {
    let is_csv = head.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "format=csv"));
    let mut answer = plain(&Reply::ok(if is_csv { accounts.csv() } else { accounts.json() }));
    if is_csv {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    }
    answer
}

fn empty() -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()).boxed());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

fn refused(refusal: Refusal) -> Answer {
    let (code, message) = match refusal {
        Refusal::Key => ("invalid-api-key", "incorrect API key: send it as a bearer token"),
        Refusal::Origin => ("forbidden", "pages of this origin may not ask: see --origin"),
        Refusal::Host => {
            ("forbidden", "this server does not go by that name: without a key it answers this machine alone")
        }
    };
    plain(&Reply::error(code, message, None))
}

/// Sets the headers of every answer: the request's id, and CORS headers for browsers.
fn set_headers(headers: &mut HeaderMap, id: &str, page: Option<(HeaderValue, Option<HeaderValue>)>) {
    let mut set = |name: &'static str, value: HeaderValue| drop(headers.insert(HeaderName::from_static(name), value));
    if let Ok(id) = HeaderValue::from_str(&format!("req_{id}")) {
        set("x-request-id", id);
    }
    set("cache-control", HeaderValue::from_static("no-cache"));
    set("vary", HeaderValue::from_static("origin"));
    if let Some((origin, wanted)) = page {
        set("access-control-allow-origin", origin);
        set("access-control-allow-methods", HeaderValue::from_static("GET, POST, DELETE, OPTIONS"));
        // Clients send many headers of their own, which change between versions.
        set("access-control-allow-headers", wanted.unwrap_or(HeaderValue::from_static("authorization, content-type")));
        set("access-control-expose-headers", HeaderValue::from_static("x-request-id, x-should-retry, retry-after"));
        set("access-control-max-age", HeaderValue::from_static("600"));
    }
}
