//! Weights: packages on disk or in a browser cache, and the importers that make them.
//!
//! ```text
//! checkpoint -> hf, safetensors -> quant  \
//! .gguf file -> gguf            -> blocks --> writer -> package (model.json + shards + tokenizer.json)
//! package    -> manifest -> shards -> planes, ready for a GPU buffer
//! synth      -> a package or .gguf files of a published model's shape with random weights
//! ```
//!
//! Nothing here knows of a GPU but `upload`.

pub mod blocks;
pub mod gguf;
pub mod hf;
pub mod layout;
pub mod layouts;
pub mod manifest;
pub mod package;
pub mod quant;
pub mod safetensors;
pub mod selection;
pub mod source;
pub mod synth;
pub mod tensors;
pub mod upload;
pub mod writer;

mod check;
mod checkpoint;
mod convert;
mod directory;
pub(crate) mod hash;
mod row_shards;
mod tokenizer_json;

pub use convert::{ImportOptions, Progress};
pub use directory::DirectorySink;
