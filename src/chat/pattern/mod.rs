//! Patterns that split text: natively by the library that `tokenizers` uses, in browsers by `RegExp`, because the library and its tables would
//! be a fifth of the wasm module.

pub mod javascript;

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
pub(super) use browser::Pattern;
#[cfg(not(target_arch = "wasm32"))]
pub(super) use native::Pattern;
