//! Llama 3.2 Vision: the decoder of Llama 3.1 with layers that read pictures, and a tower over pictures cut to tiles.

mod chat;
mod config;
pub(super) mod definition;
mod hf;
mod pictures;
mod tensors;
mod tower;
mod work;

pub use config::{Config, VisionConfig};
