//! Random models of a published model's exact shape or of any other, to try memory, speed and importing on without its weights.
//!
//! The numbers are sane: matrices keep the size of what goes through them, norms are about 1. The tokenizer really encodes.
//! What such a model says is noise.

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
