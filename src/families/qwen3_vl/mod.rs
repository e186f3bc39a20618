//! Qwen3-VL: a decoder with norms of heads and positions on three axes, and a tower with DeepStack: features of inner layers are added in the decoder.

pub(super) mod chat;
mod config;
pub(super) mod definition;
pub(super) mod gguf;
pub(super) mod hf;
mod merger;
mod pictures;
pub(super) mod tensors;
pub(super) mod tower;

pub use config::{Config, VisionConfig};
