//! One request and its response.

use std::convert::Infallible;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use ocelli::Error;
use ocelli::api::{Asker, Opened, Priority, Reply, Stamp, Work};
use ocelli::engine::{RequestControl, Scope};
use ocelli::usage::BatchBudget;
use serde_json::json;

use super::album::Album;
use super::batches::Batches;
use super::files;
use super::http::{Answer, failure, plain};
use super::intake::{Intake, Text};
use super::models::{Model, Models};
use super::stream::Events;
use crate::engines::{Health, Monitor, Prepared};
use crate::lanes::{Lane, Leaving, Memory, busy};
use crate::page::Page;
use crate::shared::access::{Access, Refusal};
use crate::shared::api;
use crate::shared::callers::Caller;
use crate::shared::documents;
use crate::usage::{self, Accounts, Bill};

/// Path of the tools for agents.
const TOOLS: &str = "/mcp";

/// Sender of a message to the tools.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) caller: Arc<Caller>,
    /// The part of the memory of all requests that the message takes.
    _memory: Arc<Memory>,
}

/// State that all connections share.
pub(super) struct Server {
    pub(super) access: Access,
    /// True if all users share the KV cache.
    pub(super) shares_cache: bool,
    pub(super) models: Models,
    pub(super) intake: Intake,
    pub(super) monitor: Arc<Monitor>,
    pub(super) batches: Arc<Batches>,
    /// Usage of requests, if it is limited or stored.
    pub(super) accounts: Option<Accounts>,
    /// Pictures that requests name.
    pub(super) album: Album,
    /// Tools for agents, once the first model is loaded.
    pub(super) tools: OnceLock<Tools>,
    pub(super) page: Page,
}

/// The service of tools for agents. A function, because it needs the server.
pub(super) struct Tools {
    pub(super) answer: Box<dyn Fn(Request<Full<Bytes>>) -> BoxFuture<'static, Answer> + Send + Sync>,
    /// Ends all its streams.
    pub(super) stop: Box<dyn Fn() + Send + Sync>,
}

impl Server {
    /// Keeps the prompts of work apart from those of other users.
    pub(super) fn own(&self, work: &mut Work, caller: &Caller) {
        let Asker { key, cache_key, .. } = &work.asker;
        let owner = [&caller.name, key, cache_key].map(String::as_str).join("\0");
        work.scope = if self.shares_cache { Scope::SHARED } else { Scope::of(&owner) };
    }

    /// Opens the bill of a request, if usage is counted.
    ///
    /// # Errors
    /// [`Error::BudgetExceeded`].
    pub(super) fn bill(
        &self,
        asker: &Asker,
        caller: &Caller,
        batch: Option<&BatchBudget>,
    ) -> ocelli::Result<Option<Bill>> {
        let bill = |accounts: &Accounts| match caller.is_named {
            true => accounts.bill_of_key(asker, (&caller.name, caller.limit), batch),
            false => accounts.bill(asker, &caller.name, batch),
        };
        self.accounts.as_ref().map(bill).transpose()
    }

    /// State of the engines, with a status for load balancers.
    fn health(&self) -> Answer {
        let health = match self.models.are_ready() {
            false => Health::Loading,
            true if self.models.are_hung() => Health::Hung,
            true => Health::Ok,
        };
        let status = if health == Health::Ok { 200 } else { 503 };
        let body = json!({"status": <&str>::from(health)}).to_string();
        plain(&Reply { status, body, may_retry: None })
    }

    fn metrics(&self) -> Answer {
        let text = self.monitor.text(&self.models.counts(), self.models.device_bytes());
        let mut answer = plain(&Reply::ok(text));
        let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer
    }

    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let (id, origin) = (api::random_name(), request.headers().get(ORIGIN).cloned());
        let wanted = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let is_preflight = request.method() == Method::OPTIONS;
        let (method, path, began) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
        // Probes have no key, and learn nothing but the state.
        if (method == Method::GET, &*path) == (true, "/health") {
            let mut health = self.health();
            set_headers(health.headers_mut(), &id, None);
            return Ok(health);
        }
        let checked = self.access.check(request.headers(), is_preflight);
        // The page has no secrets, and asks for the key itself.
        if matches!(checked, Ok(_) | Err(Refusal::Key))
            && let Some(answer) = self.page.answer(&method, &path, request.headers())
        {
            return Ok(answer.map(BodyExt::boxed));
        }
        let mut answer = match checked {
            Err(refusal) => plain(&refused(refusal).at(&path)),
            Ok(_) if is_preflight => empty(),
            Ok(caller) => self.serve(request, &id, caller).await.unwrap_or_else(|reply| plain(&reply.at(&path))),
        };
        let allowed = origin.filter(|origin| origin.to_str().is_ok_and(|origin| self.access.allows(origin)));
        set_headers(answer.headers_mut(), &id, allowed.zip(Some(wanted)));
        let (status, ms) = (answer.status().as_u16(), began.elapsed().as_millis() as u64);
        self.monitor.responded(&path, status);
        tracing::info!(id, %method, path, status, ms, "request");
        Ok(answer)
    }

    async fn serve(
        self: &Arc<Self>,
        request: Request<Incoming>,
        id: &str,
        caller: Arc<Caller>,
    ) -> Result<Answer, Reply> {
        let (head, body) = request.into_parts();
        if let Some(path) = files::path(head.uri.path()) {
            return files::answer((&self.batches, caller), (path, head), body, &self.intake).await;
        }
        if let Some(accounts) = self.accounts.as_ref().filter(|_| is_usage(&head)) {
            return Ok(usage_of(accounts, &caller, &head));
        }
        if (&head.method, head.uri.path()) == (&Method::GET, "/metrics") {
            let refused = || Reply::error("forbidden", "only a key with \"admin\": true reads the metrics", None);
            return caller.is_admin.then(|| self.metrics()).ok_or_else(refused);
        }
        if !self.models.are_ready() {
            return Err(Reply::error("loading", "the model is loading, try again later", None));
        }
        let (intake, path) = (&self.intake, head.uri.path().to_owned());
        if let Some(tools) = self.tools.get().filter(|_| path == TOOLS) {
            return self.tools(tools, caller, (head, body)).await;
        }
        let text = intake.read(body).await?;
        let stamp = Stamp { id: id.to_owned(), owner: Some(caller.name.clone()), ..api::stamp() };
        let control = RequestControl::new();
        let leaving = Leaving::new(&control);
        let (model, ready) = match self.prepared((head, caller), text, stamp, control).await {
            Ok(prepared) => prepared,
            Err(error) => return Ok(failed(&self.models.told(error), &path)),
        };
        let mut prepared = match ready {
            Ready::Answer(body) => return Ok(plain(&Reply::ok(body))),
            Ready::Request(prepared) => prepared,
            Ready::Refused(reply) => return Err(reply),
        };
        let (is_stream, is_counted) = (prepared.work.stream, prepared.bill.is_some());
        intake.reserve(&mut prepared)?;
        let mut reader = model.jobs.submit(*prepared, Priority::Person).ok_or_else(busy)?;
        leaving.submitted();
        if !is_stream {
            let answered = reader.whole().await;
            return Ok(answered.map_or_else(|error| failed(&error, &path), |body| plain(&Reply::ok(body))));
        }
        // A budget error must precede the headers of a stream.
        if is_counted && let Err(error) = reader.begin().await {
            return Ok(failed(&error, &path));
        }
        let mut answer = Response::new(Events::new(reader, path).boxed());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        Ok(answer)
    }

    /// Hands a message to the tools. What reads it finds the sender in the extensions, and with it the memory that the message takes.
    async fn tools(
        &self,
        tools: &Tools,
        caller: Arc<Caller>,
        (mut head, body): (Parts, Incoming),
    ) -> Result<Answer, Reply> {
        let Text { text, memory } = self.intake.read(body).await?;
        head.extensions.insert(Sender { caller, _memory: Arc::new(memory) });
        Ok((tools.answer)(Request::from_parts(head, Full::new(text.into()))).await)
    }

    /// The model of a request, and the body. A model that was not loaded before is loaded.
    async fn model_of(self: &Arc<Self>, body: Text) -> ocelli::Result<(Arc<Model>, Text)> {
        let (model, body) = if self.models.are_several() {
            let (server, lane) = (self.clone(), Lane::of_size(&body.text));
            let find = move || Ok((server.models.of_body(&body.text).clone(), body));
            self.intake.places(lane).elsewhere(find).await?
        } else {
            (self.models.first().clone(), body)
        };
        model.loaded().await?;
        Ok((model, body))
    }

    /// Reads a request and prepares it for the engine of its model, each in a place of its lane.
    async fn prepared(
        self: &Arc<Self>,
        (head, caller): (Parts, Arc<Caller>),
        body: Text,
        stamp: Stamp,
        control: RequestControl,
    ) -> ocelli::Result<(Arc<Model>, Ready)> {
        let (method, path) = (head.method.as_str(), head.uri.path());
        if let Some(told) = self.models.answer(method, path) {
            return Ok((self.models.first().clone(), Ready::Answer(told)));
        }
        let (model, body) = self.model_of(body).await?;
        let (server, sender, lane) = (self.clone(), caller.clone(), Lane::of_body(&body.text));
        let of = model.clone();
        let read = move || match server.open((&of, &head, &sender), body, stamp, control)? {
            Continue(billed) if Lane::of(&billed.work, lane) == lane => {
                server.prepare(&of, *billed, &sender, lane).map(Break)
            }
            opened => Ok(opened),
        };
        let ready = match self.intake.places(lane).elsewhere(read).await? {
            Break(ready) => ready,
            Continue(billed) => {
                let (server, of, lane) = (self.clone(), model.clone(), Lane::of(&billed.work, lane));
                let prepare = move || server.prepare(&of, *billed, &caller, lane);
                self.intake.places(lane).elsewhere(prepare).await?
            }
        };
        Ok((model, ready))
    }

    /// Reads a request and opens its bill.
    fn open(
        &self,
        (model, head, caller): (&Model, &Parts, &Caller),
        body: Text,
        stamp: Stamp,
        control: RequestControl,
    ) -> ocelli::Result<ControlFlow<Ready, Box<Billed>>> {
        let service = &model.known()?.service;
        let (id, Text { text, memory }) = (stamp.id.clone(), body);
        let expanded = documents::expanded(&text, &|id| self.album.document(id, caller), &control)?;
        let text = expanded.unwrap_or(text);
        match service.open((head.method.as_str(), head.uri.path()), &text, stamp)? {
            Opened::Ready(body) => Ok(Break(Ready::Answer(body))),
            Opened::Work(mut work) => {
                let Some(stored) = self.intake.stored(&work) else { return Ok(Break(Ready::Refused(busy()))) };
                self.own(&mut work, caller);
                let bill = self.bill(&work.asker, caller, None)?;
                Ok(Continue(Box::new(Billed { id, work, bill, control, memory, stored })))
            }
        }
    }

    /// Prepares a request for the engine. Takes long for pictures and formats.
    fn prepare(&self, model: &Model, billed: Billed, caller: &Caller, lane: Lane) -> ocelli::Result<Ready> {
        let loaded = model.known()?;
        let pictures = self.album.pictures(&billed.work, caller)?;
        // The work has the pictures of the body.
        let Billed { id, work, bill, control, memory: _memory, stored } = billed;
        let prepare = || loaded.prepare((id, work), &pictures, (bill, stored), control);
        // Pages take memory that is not counted.
        let prepared = if lane == Lane::Documents { self.intake.places(Lane::Pages).here(prepare) } else { prepare() };
        prepared.map(|prepared| Ready::Request(Box::new(prepared)))
    }
}

/// A request that has been prepared.
pub(super) enum Ready {
    /// The answer, for which no engine is needed.
    Answer(String),
    Request(Box<Prepared>),
    /// The reply, because there is no memory for its stored items.
    Refused(Reply),
}

/// Work for the engine that has not been prepared.
struct Billed {
    /// Id of the request in the log.
    id: String,
    work: Box<Work>,
    bill: Option<Bill>,
    control: RequestControl,
    /// Part of the memory of all requests for the pictures in the body.
    memory: Memory,
    /// The same for the stored items that it refers to, until it begins.
    stored: Memory,
}

/// An error reply; a budget error includes the time until the budget resets.
fn failed(error: &Error, path: &str) -> Answer {
    let mut answer = plain(&failure(error).at(path));
    if let Error::BudgetExceeded { retry_after: Some(seconds), .. } = error {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
    }
    answer
}

fn is_usage(head: &Parts) -> bool {
    head.method == Method::GET && head.uri.path().ends_with("/v1/usage")
}

/// Usage as JSON or, with `format=csv`, as CSV. A key sees its own.
fn usage_of(accounts: &Accounts, caller: &Caller, head: &Parts) -> Answer {
    let is_csv = head.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "format=csv"));
    let sums = accounts.sums();
    let sums = if caller.is_admin { sums } else { sums.of_key(&caller.name) };
    let mut answer = plain(&Reply::ok(if is_csv { sums.csv() } else { usage::report(&sums) }));
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

fn refused(refusal: Refusal) -> Reply {
    let (code, message) = match refusal {
        Refusal::Key => ("invalid-api-key", "incorrect API key: send it as a bearer token"),
        Refusal::Origin => ("forbidden", "pages of this origin may not ask: see --origin"),
        Refusal::Host => {
            ("forbidden", "this server does not go by that name: without a key it answers this machine alone")
        }
    };
    Reply::error(code, message, None)
}

/// Sets the headers of every answer: the request's id, those against caches and guessed types, and CORS headers for browsers.
fn set_headers(headers: &mut HeaderMap, id: &str, page: Option<(HeaderValue, Option<HeaderValue>)>) {
    let mut set = |name: &'static str, value: HeaderValue| drop(headers.insert(HeaderName::from_static(name), value));
    if let Ok(id) = HeaderValue::from_str(&format!("req_{id}")) {
        set("x-request-id", id);
    }
    set("cache-control", HeaderValue::from_static("no-store"));
    set("x-content-type-options", HeaderValue::from_static("nosniff"));
    set("vary", HeaderValue::from_static("origin"));
    if let Some((origin, wanted)) = page {
        set("access-control-allow-origin", origin);
        set("access-control-allow-methods", HeaderValue::from_static("GET, POST, DELETE, OPTIONS"));
        // Clients send many headers of their own, which change between versions.
        set(
            "access-control-allow-headers",
            wanted.unwrap_or(HeaderValue::from_static("authorization, content-type, x-api-key, anthropic-version")),
        );
        set(
            "access-control-expose-headers",
            HeaderValue::from_static("x-request-id, x-should-retry, retry-after, mcp-session-id"),
        );
        set("access-control-max-age", HeaderValue::from_static("600"));
    }
}
