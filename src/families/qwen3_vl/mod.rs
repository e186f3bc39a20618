//! Qwen3-VL: a decoder with norms of heads and positions on three axes, and a tower whose inner layers speak to the decoder as well.

pub(super) mod chat;
mod config;
pub(super) mod definition;
pub(super) mod gguf;
pub(super) mod hf;
mod merger;
mod pictures;
pub(super) mod tensors;
pub(super) mod tower;
mod work;

pub use config::{Config, VisionConfig};
