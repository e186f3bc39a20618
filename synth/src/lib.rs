//! Models with random weights in the exact shape of a published model or in any other, to test memory, speed and imports.
//!
//! The numbers are well scaled: matrices preserve the magnitude of their inputs, norms are about 1. The tokenizer encodes text, but answers
//! are noise.

#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::panic, clippy::todo, clippy::unreachable, clippy::unwrap_used)]

mod families;
mod gguf;
mod gguf_header;
mod package;
mod random;
mod tokenizer;
mod vision_layers;

pub use families::{published, published_names};
pub use gguf::{FileType, GgufFile};
pub use package::package;
pub use vision_layers::keep_vision_layers;

use ocelli::families::TensorSpec;

/// Standard deviation of a matrix's numbers: with it outputs are as large as inputs.
fn deviation(spec: &TensorSpec) -> f64 {
    spec.shape.last().map_or(0.0, |&cols| (cols as f64).powf(-0.5))
}
