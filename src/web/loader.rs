//! Loading: the worker fetches and checks, this takes the bytes.

use wasm_bindgen::prelude::*;

use super::convert::{JsResult, error_to_js};
use super::engine::OcelliEngine;
use crate::engine::{LoadOptions, Loader};
use crate::error::Result;
use crate::gpu::Gpu;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;
}

/// A package on its way into GPU memory, one shard at a time.
#[wasm_bindgen]
pub struct OcelliLoader(Loader);

#[wasm_bindgen]
impl OcelliLoader {
    /// Opens the GPU, reads `model.json` and `tokenizer.json` and allocates the weights. `context`: tokens to hold, if not the
    /// default.
    ///
    /// # Errors
    /// `{ code, message, detail }`, with a code of [`crate::Error::code`]; so has every method here.
    pub async fn create(manifest: Vec<u8>, tokenizer: Vec<u8>, context: Option<usize>) -> JsResult<OcelliLoader> {
        let options = LoadOptions { context, clock: milliseconds };
        open(&manifest, &tokenizer, options).await.map(Self).map_err(|error| error_to_js(&error))
    }

    /// Writes the tensors of shard `index`, whose hash the caller has verified, to the GPU.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    #[wasm_bindgen(js_name = pushShard)]
    pub fn push_shard(&mut self, index: usize, bytes: &[u8]) -> JsResult<()> {
        self.0.push_verified_shard(index, bytes).map_err(|error| error_to_js(&error))
    }

    /// Compiles the pipelines and hands over the engine. The loader is gone afterwards.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn finish(self) -> JsResult<OcelliEngine> {
        let engine = self.0.finish().await;
        engine.map(OcelliEngine::new).map_err(|error| error_to_js(&error))
    }
}

async fn open(manifest: &[u8], tokenizer: &[u8], options: LoadOptions) -> Result<Loader> {
    Loader::new(&Gpu::open().await?, manifest, tokenizer, options)
}
