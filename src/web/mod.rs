//! The wasm module's exports: conversions between Rust and JavaScript values, no decisions.
//!
//! They are for the worker of the npm package (`www/src/worker.ts`). `types.d.ts` declares every value that is passed.

mod compile_ahead;
mod convert;
mod engine;
mod grammar;
mod import;
mod loader;
mod picture;
mod service;

use sha2::{Digest, Sha256};
use wasm_bindgen::prelude::*;

pub use convert::wasm_memory;
pub use engine::{CancelFlag, OcelliEngine};
pub use import::{import_gguf, import_safetensors};
pub use loader::load_engine;
pub use picture::picture_size;
pub use service::{OcelliService, OcelliWork, error_reply};

/// The TypeScript types of all values that are passed, for the module's `.d.ts`.
#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");

/// Runs once when the module is loaded: a panic, which is always a bug of this crate, is printed with its place.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// SHA-256 of `bytes`, for pages outside secure contexts, which have no `WebCrypto`.
#[wasm_bindgen]
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}
