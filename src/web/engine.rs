//! A loaded engine: requests as JSON, pictures as bytes, events as plain objects.

use std::rc::Rc;

use js_sys::{Array, Float32Array, Function, Uint32Array};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::convert::{JsResult, error_to_js, to_js};
use super::import::wasm_memory;
use super::loader::JsShards;
use super::picture::pictures_from_js;
use crate::api::{ChatRequest, ScoreRequest};
use crate::engine::{Cancel, Engine, Event, Picture, Plan, Prompt, Request, ScoreOptions, ScoredRows, Stage};
use crate::error::Result;
use crate::gpu::DeviceReport;
use crate::gpu::ledger::LedgerRow;
use crate::kernels::self_test::SelfTestReport;

/// Stops a running request within one token. Set it from any other task of the worker.
#[wasm_bindgen]
#[derive(Default)]
pub struct CancelFlag(Cancel);

#[wasm_bindgen]
impl CancelFlag {
    /// A flag that is not set.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

/// A model on the GPU. One request at a time: the worker queues.
#[wasm_bindgen]
pub struct OcelliEngine {
    engine: Engine,
    shards: Rc<JsShards>,
    tuning_key: String,
}

/// What `memory` gives.
#[derive(Serialize)]
struct Memory<'a> {
    plan: &'a Plan,
    purposes: Vec<LedgerRow>,
    peak: u64,
    #[serde(rename = "wasmBytes")]
    wasm_bytes: f64,
}

/// What the engine runs on, as it crosses.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceObject<'a> {
    #[serde(flatten)]
    report: &'a DeviceReport,
    self_test: &'a SelfTestReport,
}

/// An [`Event`] as it crosses.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum EventObject {
    Progress { stage: Stage, done: usize, total: usize },
    Note { picture: usize, message: String },
    Recovering { attempt: u32, reason: String },
    Text { text: String },
}

impl From<Event> for EventObject {
    fn from(event: Event) -> Self {
        match event {
            Event::Progress { stage, done, total } => Self::Progress { stage, done, total },
            Event::Note { picture, message } => Self::Note { picture, message },
            Event::Recovering { attempt, reason } => Self::Recovering { attempt, reason },
            Event::Text(text) => Self::Text { text },
        }
    }
}

#[wasm_bindgen]
impl OcelliEngine {
    /// Answers a chat request (JSON in the `OpenAI` shape). `pictures` are its pictures in order of appearance, each a
    /// `Uint8Array` (PNG, JPEG, WebP) or `{ width, height, rgba }`; `on_event` receives `{ kind: "text", text }`,
    /// `{ kind: "progress", stage, done, total }` and `{ kind: "recovering", attempt, reason }`. Resolves to the completion.
    ///
    /// # Errors
    /// `{ code, message, detail }`; code `aborted` after `cancel`.
    pub async fn chat(
        &mut self,
        request_json: String,
        pictures: Array,
        cancel: &CancelFlag,
        on_event: Function,
    ) -> JsResult<JsValue> {
        let request = chat_request(&request_json, &pictures).map_err(|error| error_to_js(&error))?;
        let mut forward = |event: Event| {
            if let Ok(event) = to_js(&EventObject::from(event)) {
                // An exception in the worker's own callback must not end the request half way.
                let _ = on_event.call1(&JsValue::NULL, &event);
            }
        };
        let completion = self.engine.generate(&request, &cancel.0, &mut forward).await;
        completion.map_err(|error| self.shards.error_to_js(&error)).and_then(|completion| to_js(&completion))
    }

    /// Logits of every prompt position: `{ inputIds: Uint32Array, logits: Float32Array, vocabSize }`, `logits` being
    /// `[tokens, vocabSize]`. The request is JSON, `{ messages }` or `{ input_ids, images }`.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub async fn score(&mut self, request_json: String, pictures: Array, cancel: &CancelFlag) -> JsResult<JsValue> {
        let request = score_request(&request_json, &pictures);
        let (prompt, pictures) = request.map_err(|error| error_to_js(&error))?;
        let mut logits = Vec::new(); // [tokens, vocab]
        let mut keep = |rows: ScoredRows<'_>| {
            logits.extend_from_slice(rows.logits);
            Ok(())
        };
        let scored = self.engine.score(&prompt, &pictures, ScoreOptions::default(), &cancel.0, &mut keep).await;
        let input_ids = scored.map_err(|error| self.shards.error_to_js(&error))?;
        let object = js_sys::Object::new();
        js_sys::Reflect::set(&object, &"inputIds".into(), &Uint32Array::from(input_ids.as_slice()))?;
        js_sys::Reflect::set(&object, &"logits".into(), &Float32Array::from(logits.as_slice()))?;
        js_sys::Reflect::set(&object, &"vocabSize".into(), &JsValue::from(self.engine.config().text().vocab_size))?;
        Ok(object.into())
    }

    /// What the engine runs on: a [`DeviceReport`] with `selfTest`, a [`SelfTestReport`].
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub fn device(&self) -> JsResult<JsValue> {
        to_js(&DeviceObject { report: self.engine.gpu().report(), self_test: self.engine.self_test() })
    }

    /// What is known by now of how this device computes best, as [`crate::engine::Tuned`].
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub fn tuned(&self) -> JsResult<JsValue> {
        to_js(&self.engine.tuned())
    }

    /// What [`tuned`](Self::tuned) is to be remembered under.
    #[wasm_bindgen(js_name = tuningKey)]
    pub fn tuning_key(&self) -> String {
        self.tuning_key.clone()
    }

    /// How the cache of keys and values holds a number: `f32`, `f16` or `int8`.
    #[wasm_bindgen(js_name = kvPrecision)]
    pub fn kv_precision(&self) -> String {
        self.engine.kv_precision().name().into()
    }

    /// GPU memory: `{ plan, purposes, peak }`, a [`crate::engine::Plan`], how much of it is taken by purpose, and the most there was.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub fn memory(&self) -> JsResult<JsValue> {
        let peak = self.engine.gpu().ledger().total().1;
        to_js(&Memory { plan: self.engine.plan(), purposes: self.engine.memory(), peak, wasm_bytes: wasm_memory() })
    }

    /// Allocates for a moment all that a picture of this size and a full context take. The conversation is forgotten.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub async fn preallocate(&mut self, width: usize, height: usize) -> JsResult<()> {
        let preallocated = self.engine.preallocate(width, height).await;
        preallocated.map_err(|error| self.shards.error_to_js(&error))
    }

    /// The model's configuration, as in `model.json`.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub fn config(&self) -> JsResult<JsValue> {
        to_js(self.engine.config())
    }
}

impl CancelFlag {
    pub(super) fn is_set(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl OcelliEngine {
    pub(super) fn new(engine: Engine, shards: Rc<JsShards>, tuning_key: String) -> Self {
        Self { engine, shards, tuning_key }
    }
}

fn chat_request(json: &str, pictures: &Array) -> Result<Request> {
    let request: ChatRequest = json.parse()?;
    Ok(Request {
        prompt: Prompt::Messages(request.messages),
        pictures: pictures_from_js(pictures)?,
        sampling: request.sampling,
        max_tokens: request.max_tokens,
        stop: request.stop,
    })
}

fn score_request(json: &str, pictures: &Array) -> Result<(Prompt, Vec<Picture>)> {
    let prompt = match json.parse()? {
        ScoreRequest::Messages { messages, .. } => Prompt::Messages(messages),
        ScoreRequest::Ids { input_ids, .. } => Prompt::Ids(input_ids),
    };
    Ok((prompt, pictures_from_js(pictures)?))
}
