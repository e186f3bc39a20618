//! Exports of the module that times a model: those of the engine, and the benchmark. Only `bench.html` loads it.

#![cfg(target_arch = "wasm32")]
#![forbid(unsafe_code)]

use js_sys::Function;
use ocelli::bench::BenchOptions;
use wasm_bindgen::prelude::*;
use wasm_engine::OcelliEngine;
use wasm_shared::{JsResult, RequestHandle, to_js};

/// Times the model and its kernels, and drops the conversation. `on_figure` receives each result as a line of text.
/// `www/src/worker/bench-types.ts` declares the options and the report.
#[wasm_bindgen]
pub async fn bench(
    engine: &mut OcelliEngine,
    options: JsValue,
    cancel: &RequestHandle,
    #[wasm_bindgen(unchecked_param_type = "(line: string) => void")] on_figure: Function,
) -> JsResult<JsValue> {
    let options: BenchOptions = serde_wasm_bindgen::from_value(options)?;
    // An exception in the worker's own callback must not end the run.
    let mut tell = |line: &str| drop(on_figure.call1(&JsValue::NULL, &line.into()));
    let report = ocelli::bench::bench(&mut engine.engine, &options, &cancel.control, &mut tell).await;
    to_js(&engine.thrown.restore(report)?)
}
