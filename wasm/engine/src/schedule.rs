//! Requests of a page on their way to the scheduler. The worker submits them while the engine is busy; they arrive between two steps.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use wasm_bindgen::prelude::*;

use crate::service::OcelliWork;
use ocelli::api::{Client, Frame, Inbox, Output, Priority, Submission};
use ocelli::engine::Meter;
use ocelli::error::Result;
use ocelli::usage::{Bill, Counts, Sums};
use serde::Serialize;
use wasm_shared::{JsResult, RequestHandle, Thrown};

#[wasm_bindgen]
extern "C" {
    /// `RequestClient` of `types.d.ts`.
    #[wasm_bindgen(typescript_type = "RequestClient")]
    pub type RequestClient;

    #[wasm_bindgen(method, catch)]
    fn admitted(this: &RequestClient) -> JsResult<()>;

    #[wasm_bindgen(method, catch)]
    fn send(this: &RequestClient, event: &str) -> JsResult<()>;

    #[wasm_bindgen(method, catch)]
    fn done(this: &RequestClient, body: String) -> JsResult<()>;

    #[wasm_bindgen(method, catch)]
    fn failed(this: &RequestClient, error: JsValue) -> JsResult<()>;
}

/// State that both sides of the queue share.
#[derive(Default)]
struct Shared {
    arrived: RefCell<VecDeque<Submission<'static>>>,
    is_paused: Cell<bool>,
}

/// The engine's side of the queue.
#[derive(Clone, Default)]
pub(crate) struct Arrivals(Rc<Shared>);

impl Inbox<'static> for Arrivals {
    fn next(&mut self, _: usize) -> Option<Submission<'static>> {
        self.0.arrived.borrow_mut().pop_front()
    }

    fn is_paused(&self) -> bool {
        self.0.is_paused.get()
    }
}

impl Arrivals {
    /// Returns true if no request has arrived and the queue is not paused.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.arrived.borrow().is_empty() && !self.0.is_paused.get()
    }

    pub(crate) fn queue(&self, thrown: &Thrown) -> OcelliQueue {
        OcelliQueue { arrivals: self.clone(), thrown: thrown.clone() }
    }
}

/// The worker's side of the queue of an engine.
#[wasm_bindgen]
pub struct OcelliQueue {
    arrivals: Arrivals,
    thrown: Thrown,
}

#[wasm_bindgen]
impl OcelliQueue {
    /// Submits a request whose pictures have been [set](OcelliWork::show). A request of a batch is computed only while no other can be.
    pub fn submit(
        &self,
        work: OcelliWork,
        handle: &RequestHandle,
        is_batch: bool,
        client: RequestClient,
    ) -> JsResult<()> {
        let priority = if is_batch { Priority::Batch } else { Priority::Person };
        let ((run, bill), control) = (work.into_run()?, handle.control.clone());
        let client = Box::new(PageClient { client, bill, thrown: self.thrown.clone() });
        self.arrivals.0.arrived.borrow_mut().push_back(Submission { run, priority, control, client });
        Ok(())
    }

    /// Pauses the engine before its next step, so that `run` resolves, or lets it continue.
    pub fn pause(&self, is_paused: bool) {
        self.arrivals.0.is_paused.set(is_paused);
    }
}

/// `frame` of `AnswerEvent`; its other variants are [`Event`](ocelli::engine::Event)s.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "frame")]
struct FrameEvent {
    event: Option<&'static str>,
    data: String,
}

/// `AnswerEvent` of `types.d.ts` as JSON.
fn output_json(output: Output) -> serde_json::Result<String> {
    match output {
        Output::Frame(Frame { event, data }) => serde_json::to_string(&FrameEvent { event, data }),
        Output::Event(event) => serde_json::to_string(&event),
    }
}

/// The worker's side of a request.
struct PageClient {
    client: RequestClient,
    bill: Option<Bill<Sums>>,
    /// Exception of the callback that reads shards.
    thrown: Thrown,
}

// An exception in the worker's own callbacks must not end the requests of others.
impl Client for PageClient {
    fn admit(&mut self, prompt_tokens: usize) -> Result<Vec<Arc<Meter>>> {
        let Some(bill) = &mut self.bill else { return Ok(Vec::new()) };
        let meters = bill.admit(prompt_tokens)?;
        drop(self.client.admitted());
        Ok(meters)
    }

    fn send(&mut self, output: Output) {
        if let Ok(json) = output_json(output) {
            drop(self.client.send(&json));
        }
    }

    fn end(self: Box<Self>, outcome: Result<String>) {
        // The worker stores the counts when it receives the outcome.
        if let Some(bill) = self.bill {
            bill.close(&Counts::of_outcome(&outcome));
        }
        drop(match outcome {
            Ok(body) => self.client.done(body),
            Err(error) => self.client.failed(self.thrown.in_place_of(error)),
        });
    }
}
