//! Qwen3-VL: a decoder with norms of heads and positions on three axes, and a tower whose inner layers speak to the decoder as well.

mod chat;
mod config;
pub(super) mod definition;
mod gguf;
mod hf;
mod layers;
mod merger;
mod pictures;
mod synth;
mod tensors;
mod tower;
mod work;

pub use config::{Config, VisionConfig};
