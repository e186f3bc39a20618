//! Exports of the modules of the engine, of the benchmark and of imports, and conversions that their own exports need.

#![cfg(target_arch = "wasm32")]
#![forbid(unsafe_code)]

mod control;
mod convert;

use sha2::{Digest, Sha256};
use wasm_bindgen::prelude::*;

pub use control::RequestHandle;
pub use convert::{JsResult, Thrown, error_object, field, to_js};

/// Runs once when the module is loaded: prints panics, which are always bugs, with a stack trace.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// SHA-256 of `bytes`, for pages outside secure contexts, which have no `WebCrypto`.
#[wasm_bindgen]
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// Size of the module's memory in bytes. It never shrinks, so this is the peak.
#[wasm_bindgen(js_name = wasmMemory)]
pub fn wasm_memory() -> f64 {
    core::arch::wasm32::memory_size(0) as f64 * 65536.0
}
