//! The exports of the wasm modules: conversions between Rust and JavaScript values, no decisions. The engine is one module, the importers are
//! another, which only those load who import.
//!
//! They are for the worker of the npm package (`www/src/worker.ts`). `types.d.ts` and `import.d.ts` declare every
//! value that is passed.

mod cancel;
mod convert;

#[cfg(feature = "engine-module")]
mod compile_ahead;
#[cfg(feature = "engine-module")]
mod engine;
#[cfg(feature = "engine-module")]
mod grammar;
#[cfg(feature = "engine-module")]
mod loader;
#[cfg(all(feature = "engine-module", feature = "together"))]
mod parallel;
#[cfg(feature = "engine-module")]
mod picture;
#[cfg(feature = "engine-module")]
mod service;
#[cfg(all(feature = "engine-module", feature = "snapshots"))]
mod snapshots;

#[cfg(feature = "import-module")]
mod import;

use sha2::{Digest, Sha256};
use wasm_bindgen::prelude::*;

pub use cancel::CancelFlag;
pub use convert::wasm_memory;
#[cfg(feature = "engine-module")]
pub use engine::OcelliEngine;
#[cfg(feature = "import-module")]
pub use import::{import_gguf, import_safetensors};
#[cfg(feature = "engine-module")]
pub use loader::load_engine;
#[cfg(all(feature = "engine-module", feature = "together"))]
pub use parallel::OcelliRequest;
#[cfg(feature = "engine-module")]
pub use service::{OcelliService, OcelliWork, error_reply};

/// The TypeScript types of all values that are passed, for the module's `.d.ts`.
#[cfg(feature = "engine-module")]
#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = concat!(include_str!("types.d.ts"), "\n", include_str!("bench.d.ts"));

/// Runs once when the module is loaded: a panic, which is always a bug of this crate, is printed with a stack trace.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// SHA-256 of `bytes`, for pages outside secure contexts, which have no `WebCrypto`.
#[wasm_bindgen]
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}
