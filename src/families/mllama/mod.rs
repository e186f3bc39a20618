//! Llama 3.2 Vision: the decoder of Llama 3.1 with layers of cross-attention to pictures, and a tower over tiles.

mod chat;
mod config;
pub(super) mod definition;
mod hf;
mod pictures;
mod tables;
mod tensors;
mod tower;

pub use config::{Config, VisionConfig};
