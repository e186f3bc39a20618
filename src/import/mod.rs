//! Importers of checkpoints.
//!
//! ```text
//! Hugging Face -> safetensors -> quantisers \
//! GGUF files   -> gguf        -> blocks     --> package::writer
//! ```

pub mod gguf;
pub mod hf;
pub mod layouts;
pub mod safetensors;
pub mod tensors;
pub mod tokenizer_json;

mod convert;
mod fingerprint;

pub use convert::{ImportOptions, Progress, main_layout, row_chunks};
