//! A loaded engine: requests as JSON, pictures as bytes, events as plain objects.

use js_sys::{Array, Float32Array, Function, Object, Reflect, Uint32Array};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::convert::{JsResult, Thrown, to_js, wasm_memory};
use super::picture::pictures_from_js;
use crate::api::{ChatCompletion, ChatCompletionChunk, ChatRequest, ScoreRequest, Stamp, Usage};
use crate::engine::{Cancel, Engine, Event, Plan, Prompt, Request, ScoredRows, Timings};
use crate::gpu::DeviceReport;
use crate::gpu::ledger::LedgerRow;
use crate::kernels::self_test::SelfTestReport;

/// Stops a running request within one token. May be set while the request is awaited.
#[wasm_bindgen]
#[derive(Default)]
pub struct CancelFlag(pub(super) Cancel);

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
///
/// What its methods throw is `{ code, message, detail }`, with code `aborted` after `cancel`.
#[wasm_bindgen]
pub struct OcelliEngine {
    pub(super) engine: Engine,
    /// What the callback that reads shards threw.
    pub(super) thrown: Thrown,
    pub(super) tuning_key: String,
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

/// The `chunk` of `ChatEvent`; its other events are [`Event`]s as they are.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "chunk")]
struct ChunkEvent {
    chunk: ChatCompletionChunk,
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
        let chat: ChatRequest = request_json.parse()?;
        let stamp = stamp.for_request(&chat);
        let request = Request {
            pictures: pictures_from_js(&pictures, &chat.details)?,
            prompt: Prompt::Messages(chat.messages),
            sampling: chat.sampling,
            max_tokens: chat.max_tokens,
            stop: chat.stop,
        };
        // An exception in the worker's own callback must not end the request half way.
        let send = |event: JsResult<JsValue>| drop(event.and_then(|event| on_event.call1(&JsValue::NULL, &event)));
        let send_chunk = |chunk| {
            if chat.stream {
                send(to_js(&ChunkEvent { chunk }));
            }
        };
        send_chunk(stamp.opening());
        let mut forward = |event: Event| match event {
            Event::Text(text) => send_chunk(stamp.text(text)),
            event => send(to_js(&event)),
        };
        let answer = self.thrown.restore(self.engine.generate(&request, &cancel.0, &mut forward).await)?;
        send_chunk(stamp.closing(answer.finish_reason));
        let usage = Usage::from(answer.usage).with_pictures(answer.pictures);
        stamp.usage(usage.clone()).into_iter().for_each(send_chunk);
        let completion = stamp.completion(answer.text, answer.finish_reason, usage);
        to_js(&ChatObject { completion, tokens: answer.tokens, timings: answer.timings })
    }

    /// Logits of every prompt position. The request is JSON, `{ messages }` or `{ input_ids, images }`.
    #[wasm_bindgen(unchecked_return_type = "ScoreResult")]
    pub async fn score(
        &mut self,
        request_json: String,
        #[wasm_bindgen(unchecked_param_type = "Picture[]")] pictures: Array,
        cancel: &CancelFlag,
    ) -> JsResult<JsValue> {
        let ScoreRequest { prompt, details, .. } = request_json.parse()?;
        let pictures = pictures_from_js(&pictures, &details)?;
        let mut logits = Vec::new(); // [tokens, vocab]
        let mut keep = |rows: ScoredRows<'_>| {
            logits.extend_from_slice(rows.logits);
            Ok(())
        };
        let scored = self.engine.score(&prompt, &pictures, usize::MAX, &cancel.0, &mut keep).await;
        let input_ids = self.thrown.restore(scored)?;
        let object = Object::new();
        Reflect::set(&object, &"inputIds".into(), &Uint32Array::from(input_ids.as_slice()))?;
        Reflect::set(&object, &"logits".into(), &Float32Array::from(logits.as_slice()))?;
        Reflect::set(&object, &"vocabSize".into(), &JsValue::from(self.engine.config().text().vocab_size))?;
        Ok(object.into())
    }

    /// The device, with the result of the self-test.
    #[wasm_bindgen(unchecked_return_type = "DeviceReport")]
    pub fn device(&self) -> JsResult<JsValue> {
        to_js(&DeviceObject { report: self.engine.gpu().report(), self_test: self.engine.self_test() })
    }

    /// The tuning results for this device so far.
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
    #[wasm_bindgen(unchecked_return_type = "MemoryReport")]
    pub fn memory(&self) -> JsResult<JsValue> {
        let peak = self.engine.gpu().ledger().total().1;
        to_js(&Memory { plan: self.engine.plan(), purposes: self.engine.memory(), peak, wasm_bytes: wasm_memory() })
    }

    /// Allocates, and frees again, all that a picture of this size and a full context need. Drops the conversation's cache.
    pub async fn preallocate(&mut self, width: usize, height: usize) -> JsResult<()> {
        self.thrown.restore(self.engine.preallocate(width, height).await)
    }

    /// The model's configuration, as in `model.json`.
    #[wasm_bindgen(unchecked_return_type = "unknown")]
    pub fn config(&self) -> JsResult<JsValue> {
        to_js(self.engine.config())
    }
}
