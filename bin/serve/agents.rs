//! Tools for agents at `/mcp`, over the Model Context Protocol. Access rules, queue and bills are those of all requests.

use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::http::request::Parts;
use ocelli::api::{Opened, Priority, Stamp};
use ocelli::engine::RequestControl;
use ocelli::{Error, Result};
use rmcp::model::Extensions;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::handler::{Sender, Server, Tools};
use super::http::{plain, told};
use crate::engines::{Answer, Prepared};
use crate::lanes::{Lane, busy};
use crate::mcp::{self, Model, Question, Roots, Step};
use crate::shared::api;
use crate::shared::callers::Caller;

/// Most bytes of a message.
const MOST_BYTES: usize = 64 << 20;
/// Most sessions at the same time.
const MOST_SESSIONS: usize = 256;
/// Time after which a session that nobody uses is forgotten.
const SESSION_TIME: Duration = Duration::from_secs(30 * 60);
/// Header of messages that belong to a session.
const SESSION: &str = "mcp-session-id";

/// The service of the tools of a server. They read pictures below `roots`.
pub(super) fn tools(server: &Arc<Server>, roots: Roots) -> Tools {
    let desk = Desk(Arc::downgrade(server));
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.keep_alive = Some(SESSION_TIME);
    let sessions = Arc::new(sessions);
    // The access rules know the names of this server.
    let config = StreamableHttpServerConfig::default().disable_allowed_hosts().with_max_request_body_bytes(MOST_BYTES);
    let ending = config.cancellation_token.clone();
    let create = move || Ok(mcp::Tools::new(desk.clone(), roots.clone()));
    let service = StreamableHttpService::new(create, sessions.clone(), config);
    Tools {
        answer: Box::new(move |request| {
            let (service, sessions) = (service.clone(), sessions.clone());
            Box::pin(async move {
                let is_new = !request.headers().contains_key(SESSION);
                if is_new && sessions.sessions.read().await.len() >= MOST_SESSIONS {
                    return plain(&busy());
                }
                service.handle(request).await
            })
        }),
        stop: Box::new(move || ending.cancel()),
    }
}

/// The server as the model of the tools.
#[derive(Clone)]
struct Desk(Weak<Server>);

impl Model for Desk {
    fn ask(&self, question: Question, control: RequestControl, sender: &Extensions) -> Result<UnboundedReceiver<Step>> {
        let sender = sender.get::<Parts>().and_then(|parts| parts.extensions.get::<Sender>());
        let (Some(server), Some(Sender { caller, .. })) = (self.0.upgrade(), sender) else {
            return Err(Error::Internal { detail: "a message without its sender".into() });
        };
        let (steps, receiver) = unbounded_channel();
        let caller = caller.clone();
        tokio::spawn(async move {
            let outcome = answer(server, caller, (question, control), &steps).await;
            // The call may have ended.
            let _ = steps.send(Step::End(outcome.map_err(|error| told(&error))));
        });
        Ok(receiver)
    }
}

/// The answer to a question; its progress goes to `steps`.
async fn answer(
    server: Arc<Server>,
    caller: Arc<Caller>,
    (question, control): (Question, RequestControl),
    steps: &UnboundedSender<Step>,
) -> Result<String> {
    let full = || Error::request("server", "too many requests wait, try again later");
    let (intake, preparing) = (&server.intake, server.clone());
    let names: Vec<&str> = question.pictures.iter().map(String::as_str).collect();
    let lane = Lane::of_parts(&names, question.format.is_some(), Lane::Text);
    let prepare = move || prepare(&preparing, &caller, (question, control));
    let mut prepared = intake.places(lane).elsewhere(prepare).await?;
    intake.reserve(&mut prepared).map_err(|_| full())?;
    let mut reader = server.models.first().jobs.submit(prepared, Priority::Person).ok_or_else(full)?;
    loop {
        match reader.next().await {
            Answer::Frame(_) => drop(steps.send(Step::Part)),
            Answer::End(outcome) => return outcome,
        }
    }
}

fn prepare(server: &Server, caller: &Caller, (question, control): (Question, RequestControl)) -> Result<Prepared> {
    let loaded = server.models.first().known()?;
    let service = &loaded.service;
    let stamp = Stamp { owner: Some(caller.name.clone()), ..api::stamp() };
    let (id, body) = (stamp.id.clone(), question.body(&service.defaults));
    let Opened::Work(mut work) = service.open(("POST", "/v1/chat/completions"), &body, stamp)? else {
        return Err(Error::Internal { detail: "a chat without work".into() });
    };
    server.own(&mut work, caller);
    let bill = server.bill(&work.asker, caller, None)?;
    loaded.prepare((id, work), &question.read()?, (bill, None), control)
}
