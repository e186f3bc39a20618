//! What JavaScript sees of the engine: values in, values out. Decisions are made elsewhere.
//!
//! The classes here are for the worker of the npm package, which gives them their public shape (`www/src`).

mod convert;
mod engine;
mod import;
mod loader;
mod picture;

use sha2::{Digest, Sha256};
use wasm_bindgen::prelude::*;

pub use engine::{CancelFlag, OcelliEngine};
pub use import::{import_gguf, import_safetensors, wasm_memory};
pub use loader::load_engine;
pub use picture::picture_size;

/// The types of what crosses, for the module's `.d.ts`.
#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");

/// Runs once when the module is loaded: a panic, which would be a fault of this crate, at least says where.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// SHA-256 of `bytes`, for pages without `WebCrypto` (it is absent outside secure contexts).
#[wasm_bindgen]
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}
