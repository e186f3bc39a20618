//! What is fuzzed: a function a parser, from any bytes to a result. None may panic, hang, or take memory without measure.
//!
//! `tests/fuzz` feeds them mutated files in every test run, the crate around this file feeds them to libFuzzer.
//! What a target asserts beside that must hold for every input that is accepted.
#![allow(unreachable_pub, reason = "the root of a crate, and a module of a test")]

mod chat;
mod importers;
#[path = "../../tests/shared/memory_files.rs"]
mod memory_files;
mod package;
mod picture;
mod snapshot;
pub mod tiny;

pub use chat::{request, text_stream, tokenizer};
pub use importers::{
    checkpoint, gguf_text, gguf_vision, hf_settings, safetensors, safetensors_index, tiny_checkpoints, tiny_manifests,
};
pub use package::manifest;
pub use picture::{LIMIT_MEGAPIXELS, picture};
pub use snapshot::{snapshot, tiny_snapshots};
