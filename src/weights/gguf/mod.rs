//! Importing GGUF files: a text model, and beside it its `mmproj` file, the vision half. No other file is needed.
//!
//! The container is that of gguf-py 0.19, keys and names are those that llama.cpp's converters write. What a file
//! holds in blocks keeps its bits; what it holds in floats takes the layout asked for.

mod cursor;
pub mod decoder;
mod file;
pub mod files;
mod import;
pub mod metadata;
mod model;
mod tokenizer;
pub mod write;

pub(in crate::weights) use import::second_frame;
pub use import::{GgufImport, import};
pub use model::GgufModel;
pub use tokenizer::tokenizer_json;
