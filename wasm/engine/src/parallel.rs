//! Requests answered side by side. The worker keeps the queue of them, and is asked for the next one at every token.

use wasm_bindgen::prelude::*;

use crate::engine::{OcelliEngine, output_to_js};
use crate::service::OcelliWork;
use ocelli::api::{Output, Requests, Run, answer_side_by_side};
use ocelli::engine::{Device, Engine, RequestControl};
use ocelli::error::Result;
use wasm_shared::{CancelFlag, JsResult, Thrown};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("parallel.d.ts");

#[wasm_bindgen]
extern "C" {
    /// `RequestQueue` of `parallel.d.ts`.
    #[wasm_bindgen(typescript_type = "RequestQueue")]
    pub type RequestQueue;

    #[wasm_bindgen(method, catch)]
    fn next(this: &RequestQueue) -> JsResult<Option<OcelliRequest>>;

    #[wasm_bindgen(method, catch)]
    fn send(this: &RequestQueue, number: usize, event: JsValue) -> JsResult<()>;

    #[wasm_bindgen(method, catch)]
    fn done(this: &RequestQueue, number: usize, work: OcelliWork, body: Option<String>) -> JsResult<()>;

    #[wasm_bindgen(method, catch)]
    fn failed(this: &RequestQueue, number: usize, work: OcelliWork, error: JsValue) -> JsResult<()>;
}

/// A request on its way into the engine.
#[wasm_bindgen]
pub struct OcelliRequest {
    number: usize,
    run: Box<Run>,
    cancel: RequestControl,
}

#[wasm_bindgen]
impl OcelliRequest {
    /// Work whose pictures have been [shown](OcelliWork::show), under a number that no other work in the engine has.
    #[wasm_bindgen(constructor)]
    pub fn new(number: usize, work: OcelliWork, cancel: &CancelFlag) -> JsResult<OcelliRequest> {
        Ok(Self { number, run: work.into_run()?, cancel: cancel.0.clone() })
    }
}

#[wasm_bindgen]
impl OcelliEngine {
    /// The most answers at once; 1 for a model whose answers come one after another.
    #[wasm_bindgen(js_name = mostTogether)]
    pub fn max_batch(&mut self) -> usize {
        self.engine.max_batch()
    }

    /// Carries out what `queue` has, as many requests at once as the model can, until it has none.
    #[wasm_bindgen(js_name = answerTogether)]
    pub async fn answer_together(&mut self, queue: RequestQueue) {
        let mut requests = QueuedRequests { queue, thrown: self.thrown.clone() };
        answer_side_by_side(&mut self.engine, &mut requests).await;
        self.thrown.forget();
    }
}

struct QueuedRequests {
    queue: RequestQueue,
    /// What the callback that reads shards threw.
    thrown: Thrown,
}

// An exception in the worker's own callbacks must not end the requests of others.
impl Requests<Device> for QueuedRequests {
    fn next(&mut self, _: &mut Engine, _: usize) -> Option<(usize, Box<Run>, RequestControl)> {
        let OcelliRequest { number, run, cancel } = self.queue.next().ok().flatten()?;
        Some((number, run, cancel))
    }

    fn send(&mut self, number: usize, output: Output) {
        drop(output_to_js(output).and_then(|event| self.queue.send(number, event)));
    }

    fn done(&mut self, number: usize, run: Box<Run>, outcome: Result<Option<String>>) {
        let work = OcelliWork::under_way(run);
        drop(match outcome {
            Ok(body) => self.queue.done(number, work, body),
            Err(error) => self.queue.failed(number, work, self.thrown.in_place_of(error)),
        });
    }
}
