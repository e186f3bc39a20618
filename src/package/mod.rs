//! Packages: a model on disk or in a browser's cache, as `model.json`, shards and a tokenizer.
//!
//! ```text
//! import -> writer -> model.json + shards + tokenizer.json
//! model.json -> manifest -> upload (shards, in any order) -> planes in GPU buffers
//! ```

pub mod durable;
pub mod manifest;
pub mod selection;
pub mod source;
pub mod upload;
pub mod writer;

mod check;
mod directory;
pub(crate) mod hash;
mod reader;
mod resume;
mod row_shards;

pub use directory::DirectorySink;
pub use reader::Package;
