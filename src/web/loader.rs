//! Loading: the worker fetches and verifies shards, the engine asks for them by index.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use js_sys::{Function, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::convert::{JsResult, error_to_js};
use super::engine::OcelliEngine;
use crate::chat::Date;
use crate::engine::{Engine, LoadEvent, LoadOptions, ShardFuture, ShardSource, Tuned, tuning_key};
use crate::error::{Error, Result};
use crate::gpu::{BrowserCaps, Gpu, GpuOptions};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;
}

/// Shards from the worker's store: `read(index)` resolves to a `Uint8Array` whose hash has been verified.
#[derive(Debug)]
pub(super) struct JsShards {
    read: Function,
    /// What `read` threw: the caller gets that value again.
    thrown: RefCell<Option<JsValue>>,
}

impl JsShards {
    async fn read(&self, index: usize) -> std::result::Result<Vec<u8>, JsValue> {
        let promise = self.read.call1(&JsValue::NULL, &JsValue::from(index))?;
        let bytes = JsFuture::from(Promise::resolve(&promise)).await?;
        Ok(bytes.dyn_into::<Uint8Array>()?.to_vec())
    }

    /// The value to throw for `error`.
    pub(super) fn error_to_js(&self, error: &Error) -> JsValue {
        self.thrown.borrow_mut().take().unwrap_or_else(|| error_to_js(error))
    }
}

impl ShardSource for JsShards {
    fn shard(&self, index: usize) -> ShardFuture<'_> {
        Box::pin(async move {
            self.read(index).await.map_err(|thrown| {
                *self.thrown.borrow_mut() = Some(thrown);
                Error::Io { path: format!("shard {index}"), reason: "the store could not deliver it".into() }
            })
        })
    }
}

/// Opens the GPU, reads `model.json` and `tokenizer.json`, plans, allocates the weights and fills them. `read_shard(index)`
/// resolves to the bytes of a shard; it is kept, since weights may have to be uploaded again. An option that is absent or null is chosen
/// here. `on_kernels(done, total)` is called while pipelines are compiled.
///
/// # Errors
/// `{ code, message, detail }`, with a code of [`crate::Error::code`], or what `read_shard` threw.
#[wasm_bindgen(js_name = loadEngine)]
pub async fn load_engine(
    manifest: Vec<u8>,
    tokenizer: Vec<u8>,
    #[wasm_bindgen(unchecked_param_type = "(index: number) => Promise<Uint8Array>")] read_shard: Function,
    #[wasm_bindgen(unchecked_param_type = "EngineOptions & LoadContext")] options: JsValue,
    #[wasm_bindgen(unchecked_param_type = "(done: number, total: number) => void")] on_kernels: Function,
) -> JsResult<OcelliEngine> {
    let shards = Rc::new(JsShards { read: read_shard, thrown: RefCell::default() });
    let options: JsLoadOptions = serde_wasm_bindgen::from_value(options)?;
    let mut tell = |event| {
        if let LoadEvent::Kernels { done, total } = event {
            // An exception in the worker's own callback must not end the load.
            let _ = on_kernels.call2(&JsValue::NULL, &JsValue::from(done), &JsValue::from(total));
        }
    };
    match open(&manifest, &tokenizer, shards.clone(), &options, &mut tell).await {
        Ok((engine, key)) => Ok(OcelliEngine::new(engine, shards, key)),
        Err(error) => Err(shards.error_to_js(&error)),
    }
}

/// `EngineOptions & LoadContext` of `types.d.ts`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsLoadOptions {
    context: Option<usize>,
    kv_precision: Option<String>,
    gpu_memory_budget: Option<f64>,
    vision: Option<String>,
    tune: Option<String>,
    arithmetic: Option<String>,
    speculation: Option<String>,
    #[serde(default)]
    browser_caps: BrowserCaps,
    /// Tuning results of earlier loads by key.
    #[serde(default)]
    known: HashMap<String, Tuned>,
}

impl JsLoadOptions {
    fn checked(&self) -> Result<LoadOptions> {
        let budget = match self.gpu_memory_budget {
            Some(bytes) if !(bytes.is_finite() && bytes >= 1.0) => {
                return Err(Error::request("gpuMemoryBudget", format!("{bytes} is no number of bytes")));
            }
            budget => budget.map(|bytes| bytes as u64),
        };
        Ok(LoadOptions {
            context: self.context,
            kv_precision: self.kv_precision.as_deref().map(str::parse).transpose()?,
            vision: self.vision.as_deref().map(str::parse).transpose()?,
            gpu_memory_budget: budget,
            speculation: self.speculation.as_deref().map(str::parse).transpose()?.unwrap_or_default(),
            tune: self.tune.as_deref().map(str::parse).transpose()?.unwrap_or_default(),
            arithmetic: self.arithmetic.as_deref().map(str::parse).transpose()?.unwrap_or_default(),
            today,
            ..LoadOptions::new(milliseconds)
        })
    }
}

/// The date where the browser is.
fn today() -> Option<Date> {
    let now = js_sys::Date::new_0();
    Some(Date { year: now.get_full_year().into(), month: now.get_month() + 1, day: now.get_date() })
}

async fn open(
    manifest: &[u8],
    tokenizer: &[u8],
    shards: Rc<JsShards>,
    given: &JsLoadOptions,
    on_event: &mut dyn FnMut(LoadEvent),
) -> Result<(Engine, String)> {
    let options = given.checked()?;
    let gpu = Gpu::open_with(GpuOptions { browser_caps: given.browser_caps, ..GpuOptions::default() }).await?;
    let key = tuning_key(&gpu, manifest, options.arithmetic);
    let options = LoadOptions { tuned: given.known.get(&key).copied().unwrap_or_default(), ..options };
    let engine = Engine::load(&gpu, manifest, tokenizer, Box::new(shards), options, on_event).await?;
    Ok((engine, key))
}
