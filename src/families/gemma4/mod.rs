//! Gemma 4: a decoder with windows, keys and values shared by layers, and per-layer embeddings (`transformers` `modeling_gemma4.py`).

mod chat;
mod config;
pub(super) mod definition;
pub(super) mod gguf;
mod hf;
mod pictures;
mod tensors;
mod tower;

pub use config::{Config, Sizes, VisionConfig, proportional};
