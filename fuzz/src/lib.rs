//! Fuzz targets: one function for each parser, from arbitrary bytes to a result. None may panic, hang, or take memory out of proportion to
//! the input.
//!
//! `tests/fuzz` runs them on mutated files in every test run; the crate around this file runs them with libFuzzer. Further assertions of a
//! target must hold for every accepted input.
#![allow(unreachable_pub, reason = "the root of a crate, and a module of a test")]

// Parts of the command, which is no library.
#[path = "../../bin/batch/requests.rs"]
mod batch_requests;
mod calls;
mod chat;
#[path = "../../bin/pull/extent.rs"]
mod extent;
#[path = "../../bin/shared/form.rs"]
mod form;
mod grammar;
mod importers;
#[path = "../../tests/shared/memory_files.rs"]
mod memory_files;
mod package;
mod picture;
mod serve;
mod snapshot;
pub mod tiny;

pub use calls::calls;
pub use chat::{request, text_stream, tokenizer};
pub use grammar::{lark, pattern, regex, schema};
pub use importers::{
    checkpoint, gguf_text, gguf_vision, hf_settings, safetensors, safetensors_index, tiny_checkpoints, tiny_manifests,
};
pub use package::manifest;
pub use picture::{LIMIT_MEGAPIXELS, picture};
pub use serve::{batch_lines, extent, upload, usage, wire};
pub use snapshot::{snapshot, tiny_snapshots};
