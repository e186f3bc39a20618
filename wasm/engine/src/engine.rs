//! A loaded engine: requests as JSON, pictures as bytes, events as plain objects.

use std::sync::Arc;

use js_sys::{Array, Float32Array, Object, Reflect, Uint32Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use crate::grammar::OcelliVocabulary;
use crate::picture::pictures_from_js;
use crate::schedule::Arrivals;
use crate::service::OcelliService;
use ocelli::api::{Embedder, Scheduler, ScoreRequest, Service};
use ocelli::chat::EmbeddingSettings;
use ocelli::engine::{Engine, Plan, ScoredRows};
use ocelli::gpu::DeviceReport;
use ocelli::gpu::ledger::LedgerRow;
use ocelli::kernels::self_test::SelfTestReport;
use ocelli::responses::Responses;
use wasm_shared::{JsResult, RequestHandle, Thrown, error_object, to_js, wasm_memory};

/// Most bytes of stored responses: the memory of a module is small.
const MOST_RESPONSE_BYTES: usize = 32 << 20;

/// A model on the GPU. Its methods are called one at a time; requests can be submitted meanwhile through its [queue](Self::queue).
///
/// Its methods throw `{ code, message, detail }`, with code `aborted` after `cancel`.
#[wasm_bindgen]
pub struct OcelliEngine {
    /// The engine itself.
    #[wasm_bindgen(skip)]
    pub engine: Engine,
    /// Exception of the callback that reads shards.
    #[wasm_bindgen(skip)]
    pub thrown: Thrown,
    pub(crate) tuning_key: String,
    pub(crate) scheduler: Scheduler<'static, Arrivals>,
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

/// `ServiceOptions` of `types.d.ts`.
#[derive(Deserialize)]
struct ServiceOptions {
    model: String,
    aliases: Vec<String>,
    embeddings: bool,
    created: u64,
}

#[wasm_bindgen]
impl OcelliEngine {
    /// Creates the API of this model under a name.
    pub fn service(
        &self,
        #[wasm_bindgen(unchecked_param_type = "ServiceOptions")] options: JsValue,
    ) -> JsResult<OcelliService> {
        let ServiceOptions { model, aliases, embeddings, created } = serde_wasm_bindgen::from_value(options)?;
        let (defaults, context) = (self.engine.sampling_defaults(), self.engine.plan().context);
        let (calls, thinking) = (self.engine.call_syntax(), self.engine.thinking());
        let (tokenizer, reads_pictures) = (self.engine.tokenizer().clone(), self.engine.encoder().reads_pictures());
        let responses = Arc::new(Responses::new(MOST_RESPONSE_BYTES));
        let settings = self.engine.embedding().cloned().or_else(|| embeddings.then(EmbeddingSettings::untrained));
        let width = self.engine.config().text().hidden_size;
        let embedder = settings.map(|settings| Embedder { settings, width });
        Ok(OcelliService(Service {
            model,
            aliases,
            defaults,
            created,
            context,
            reads_pictures,
            calls,
            thinking,
            tokenizer,
            responses,
            embedder,
            keeps_files: false,
        }))
    }

    /// Logits of every prompt position. The request is JSON, `{ messages }` or `{ input_ids, images }`.
    #[wasm_bindgen(unchecked_return_type = "ScoreResult")]
    pub async fn score(
        &mut self,
        request_json: String,
        #[wasm_bindgen(unchecked_param_type = "Picture[]")] pictures: Array,
        cancel: &RequestHandle,
    ) -> JsResult<JsValue> {
        let ScoreRequest { prompt, details, .. } = request_json.parse().map_err(error_object)?;
        let pictures = pictures_from_js(&pictures, &details).map_err(error_object)?;
        let mut logits = Vec::new(); // [tokens, vocab]
        let mut keep = |rows: ScoredRows<'_>| {
            logits.extend_from_slice(rows.logits);
            Ok(())
        };
        let scored = self.engine.score(&prompt, &pictures, usize::MAX, &cancel.control, &mut keep).await;
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

    /// Storage key of [`tuned`](Self::tuned).
    #[wasm_bindgen(js_name = tuningKey)]
    pub fn tuning_key(&self) -> String {
        self.tuning_key.clone()
    }

    /// Number format of the KV cache.
    #[wasm_bindgen(js_name = kvPrecision, unchecked_return_type = "KvPrecision")]
    pub fn kv_precision(&self) -> String {
        self.engine.plan().kv.to_string()
    }

    /// GPU memory: the plan, allocations by purpose, and the peak.
    #[wasm_bindgen(unchecked_return_type = "MemoryReport")]
    pub fn memory(&self) -> JsResult<JsValue> {
        let peak = self.engine.gpu().ledger().total().1;
        to_js(&Memory { plan: self.engine.plan(), purposes: self.engine.memory(), peak, wasm_bytes: wasm_memory() })
    }

    /// Allocates and frees the memory for a picture of this size and a full context. Drops the conversation's cache.
    pub async fn preallocate(&mut self, width: usize, height: usize) -> JsResult<()> {
        self.thrown.restore(self.engine.preallocate(width, height).await)
    }

    /// Vocabulary for the grammars' module.
    pub fn vocabulary(&self) -> OcelliVocabulary {
        let eos = self.engine.manifest().chat.eos_token_ids.clone();
        OcelliVocabulary { tokenizer: self.engine.tokenizer().clone(), eos }
    }

    /// The model's configuration, as in `model.json`.
    #[wasm_bindgen(unchecked_return_type = "unknown")]
    pub fn config(&self) -> JsResult<JsValue> {
        to_js(self.engine.config())
    }
}
