//! A loaded engine: requests as JSON, pictures as bytes, events as plain objects.

use std::rc::Rc;

use js_sys::{Array, Float32Array, Function, Uint32Array};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::convert::{JsResult, error_to_js, to_js};
use super::import::wasm_memory;
use super::loader::JsShards;
use super::picture::pictures_from_js;
use crate::api::{ChatCompletion, ChatCompletionChunk, ChatRequest, ScoreRequest, Stamp};
use crate::engine::{Cancel, Engine, Event, Picture, Plan, Prompt, Request, ScoredRows, Stage, Timings};
use crate::error::Result;
use crate::gpu::DeviceReport;
use crate::gpu::ledger::LedgerRow;
use crate::kernels::self_test::SelfTestReport;

/// Stops a running request within one token. May be set while the request is awaited.
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

/// A model on the GPU. Takes one request at a time: the worker queues them.
#[wasm_bindgen]
pub struct OcelliEngine {
    engine: Engine,
    shards: Rc<JsShards>,
    tuning_key: String,
}

/// `MemoryReport` of `types.d.ts`.
#[derive(Serialize)]
struct Memory<'a> {
    plan: &'a Plan,
    purposes: Vec<LedgerRow>,
    peak: u64,
    #[serde(rename = "wasmBytes")]
    wasm_bytes: f64,
}

/// `DeviceReport` of `types.d.ts`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceObject<'a> {
    #[serde(flatten)]
    report: &'a DeviceReport,
    self_test: &'a SelfTestReport,
}

/// `ChatEvent` of `types.d.ts`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum EventObject {
    Progress { stage: Stage, done: usize, total: usize },
    Note { picture: usize, message: String },
    Recovering { attempt: u32, reason: String },
    Chunk { chunk: ChatCompletionChunk },
}

impl EventObject {
    /// Nothing for the text of an answer that is not streamed.
    fn of(event: Event, stream: Option<&Stamp>) -> Option<Self> {
        Some(match event {
            Event::Progress { stage, done, total } => Self::Progress { stage, done, total },
            Event::Note { picture, message } => Self::Note { picture, message },
            Event::Recovering { attempt, reason } => Self::Recovering { attempt, reason },
            Event::Text(text) => Self::Chunk { chunk: stream?.text(text) },
        })
    }
}

/// `ChatResult` of `types.d.ts`.
#[derive(Serialize)]
struct ChatObject {
    completion: ChatCompletion,
    tokens: Vec<u32>,
    timings: Timings,
}

#[wasm_bindgen]
impl OcelliEngine {
    /// Answers a chat request (JSON in the `OpenAI` shape). `stamp` is what all chunks of the answer share; `pictures` are those of
    /// the request in order of appearance; `on_event` receives the chunks of a stream and the progress.
    ///
    /// # Errors
    /// `{ code, message, detail }`; code `aborted` after `cancel`.
    #[wasm_bindgen(unchecked_return_type = "ChatResult")]
    pub async fn chat(
        &mut self,
        request_json: String,
        #[wasm_bindgen(unchecked_param_type = "AnswerStamp")] stamp: JsValue,
        #[wasm_bindgen(unchecked_param_type = "Picture[]")] pictures: Array,
        cancel: &CancelFlag,
        #[wasm_bindgen(unchecked_param_type = "(event: ChatEvent) => void")] on_event: Function,
    ) -> JsResult<JsValue> {
        let stamp: Stamp = serde_wasm_bindgen::from_value(stamp)?;
        let chat = request_json.parse::<ChatRequest>().and_then(|chat| Ok((pictures_from_js(&pictures)?, chat)));
        let (pictures, chat) = chat.map_err(|error| error_to_js(&error))?;
        let stamp = stamp.for_request(&chat);
        let stream = chat.stream.then_some(&stamp);
        let send = |event: Option<EventObject>| {
            if let Some(Ok(event)) = event.map(|event| to_js(&event)) {
                // An exception in the worker's own callback must not end the request half way.
                let _ = on_event.call1(&JsValue::NULL, &event);
            }
        };
        let send_chunk = |chunk: Option<ChatCompletionChunk>| send(chunk.map(|chunk| EventObject::Chunk { chunk }));
        let request = Request {
            prompt: Prompt::Messages(chat.messages),
            pictures,
            sampling: chat.sampling,
            max_tokens: chat.max_tokens,
            stop: chat.stop,
        };
        send_chunk(stream.map(Stamp::opening));
        let mut forward = |event: Event| send(EventObject::of(event, stream));
        let answer = self.engine.generate(&request, &cancel.0, &mut forward).await;
        let answer = answer.map_err(|error| self.shards.error_to_js(&error))?;
        send_chunk(stream.map(|stamp| stamp.closing(answer.finish_reason)));
        send_chunk(stream.and_then(|stamp| stamp.usage(answer.usage.into())));
        let completion = stamp.completion(answer.text, answer.finish_reason, answer.usage.into());
        to_js(&ChatObject { completion, tokens: answer.tokens, timings: answer.timings })
    }

    /// Logits of every prompt position. The request is JSON, `{ messages }` or `{ input_ids, images }`.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    #[wasm_bindgen(unchecked_return_type = "ScoreResult")]
    pub async fn score(
        &mut self,
        request_json: String,
        #[wasm_bindgen(unchecked_param_type = "Picture[]")] pictures: Array,
        cancel: &CancelFlag,
    ) -> JsResult<JsValue> {
        let request = score_request(&request_json, &pictures);
        let (prompt, pictures) = request.map_err(|error| error_to_js(&error))?;
        let mut logits = Vec::new(); // [tokens, vocab]
        let mut keep = |rows: ScoredRows<'_>| {
            logits.extend_from_slice(rows.logits);
            Ok(())
        };
        let scored = self.engine.score(&prompt, &pictures, usize::MAX, &cancel.0, &mut keep).await;
        let input_ids = scored.map_err(|error| self.shards.error_to_js(&error))?;
        let object = js_sys::Object::new();
        js_sys::Reflect::set(&object, &"inputIds".into(), &Uint32Array::from(input_ids.as_slice()))?;
        js_sys::Reflect::set(&object, &"logits".into(), &Float32Array::from(logits.as_slice()))?;
        js_sys::Reflect::set(&object, &"vocabSize".into(), &JsValue::from(self.engine.config().text().vocab_size))?;
        Ok(object.into())
    }

    /// The device, with the result of the self-test.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    #[wasm_bindgen(unchecked_return_type = "DeviceReport")]
    pub fn device(&self) -> JsResult<JsValue> {
        to_js(&DeviceObject { report: self.engine.gpu().report(), self_test: self.engine.self_test() })
    }

    /// The tuning results for this device so far.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    #[wasm_bindgen(unchecked_return_type = "Tuned")]
    pub fn tuned(&self) -> JsResult<JsValue> {
        to_js(&self.engine.tuned())
    }

    /// The key to store [`tuned`](Self::tuned) under.
    #[wasm_bindgen(js_name = tuningKey)]
    pub fn tuning_key(&self) -> String {
        self.tuning_key.clone()
    }

    /// Number format of the KV cache.
    #[wasm_bindgen(js_name = kvPrecision, unchecked_return_type = "KvPrecision")]
    pub fn kv_precision(&self) -> String {
        self.engine.plan().kv.to_string()
    }

    /// GPU memory: the plan, what is allocated by purpose, and the peak.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    #[wasm_bindgen(unchecked_return_type = "MemoryReport")]
    pub fn memory(&self) -> JsResult<JsValue> {
        let peak = self.engine.gpu().ledger().total().1;
        to_js(&Memory { plan: self.engine.plan(), purposes: self.engine.memory(), peak, wasm_bytes: wasm_memory() })
    }

    /// Allocates, and frees again, all that a picture of this size and a full context need. Drops the conversation's cache.
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
    #[wasm_bindgen(unchecked_return_type = "unknown")]
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

fn score_request(json: &str, pictures: &Array) -> Result<(Prompt, Vec<Picture>)> {
    let prompt = match json.parse()? {
        ScoreRequest::Messages { messages, .. } => Prompt::Messages(messages),
        ScoreRequest::Ids { input_ids, .. } => Prompt::Ids(input_ids),
    };
    Ok((prompt, pictures_from_js(pictures)?))
}
