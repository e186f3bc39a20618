//! Loading: the worker fetches and checks, this asks for shards and takes their bytes.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Function, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::convert::{JsResult, error_to_js};
use super::engine::OcelliEngine;
use crate::engine::{Engine, LoadOptions, ShardFuture, ShardSource};
use crate::error::{Error, Result};
use crate::gpu::{Beyond, Gpu, GpuOptions};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;
}

/// Shards from the worker's store: `read(index)` promises a `Uint8Array` whose hash has been checked.
#[derive(Debug)]
pub(super) struct JsShards {
    read: Function,
    /// What `read` threw: JavaScript is to see it as it was.
    thrown: RefCell<Option<JsValue>>,
}

impl JsShards {
    async fn read(&self, index: usize) -> std::result::Result<Vec<u8>, JsValue> {
        let promise = self.read.call1(&JsValue::NULL, &JsValue::from(index))?;
        let bytes = JsFuture::from(Promise::resolve(&promise)).await?;
        Ok(bytes.dyn_into::<Uint8Array>()?.to_vec())
    }

    /// What JavaScript is to see of `error`.
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
/// promises the bytes of a shard; it is kept, since weights may have to be sent again. `options` is
/// `{ context, kvPrecision, gpuMemoryBudget, vision, speculation, beyond }`, whatever is left out or null being chosen here;
/// `beyond` is what `features.ts` found.
///
/// # Errors
/// `{ code, message, detail }`, with a code of [`crate::Error::code`], or what `read_shard` threw.
#[wasm_bindgen(js_name = loadEngine)]
pub async fn load_engine(
    manifest: Vec<u8>,
    tokenizer: Vec<u8>,
    read_shard: Function,
    options: JsValue,
) -> JsResult<OcelliEngine> {
    let shards = Rc::new(JsShards { read: read_shard, thrown: RefCell::default() });
    let options: JsLoadOptions = serde_wasm_bindgen::from_value(options)?;
    let device = GpuOptions { beyond: options.beyond, ..GpuOptions::default() };
    let engine = match options.checked() {
        Ok(options) => open(&manifest, &tokenizer, shards.clone(), (device, options)).await,
        Err(error) => Err(error),
    };
    match engine {
        Ok(engine) => Ok(OcelliEngine::new(engine, shards)),
        Err(error) => Err(shards.error_to_js(&error)),
    }
}

/// [`LoadOptions`] as JavaScript gives them.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsLoadOptions {
    context: Option<usize>,
    kv_precision: Option<String>,
    gpu_memory_budget: Option<f64>,
    vision: Option<String>,
    speculation: Option<String>,
    #[serde(default)]
    beyond: Beyond,
}

impl JsLoadOptions {
    fn checked(self) -> Result<LoadOptions> {
        let budget = match self.gpu_memory_budget {
            Some(bytes) if !(bytes.is_finite() && bytes >= 1.0) => {
                return Err(Error::request("gpuMemoryBudget", format!("{bytes} is no number of bytes")));
            }
            budget => budget.map(|bytes| bytes as u64),
        };
        Ok(LoadOptions {
            context: self.context,
            kv_precision: self.kv_precision.map(|name| name.parse()).transpose()?,
            vision: self.vision.map(|name| name.parse()).transpose()?,
            gpu_memory_budget: budget,
            speculation: self.speculation.map(|name| name.parse()).transpose()?.unwrap_or_default(),
            clock: milliseconds,
        })
    }
}

async fn open(
    manifest: &[u8],
    tokenizer: &[u8],
    shards: Rc<JsShards>,
    (device, options): (GpuOptions, LoadOptions),
) -> Result<Engine> {
    Engine::load(&Gpu::open_with(device).await?, manifest, tokenizer, Box::new(shards), options, &mut |_| ()).await
}
