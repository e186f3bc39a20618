//! MiniCPM-V 4.6: a SigLIP tower with a merger of windows between its layers, slices of pictures, and the decoder of Qwen3.5.

mod chat;
mod config;
pub(super) mod definition;
mod gguf;
mod hf;
mod pictures;
mod tensors;
mod tower;
mod windows;

pub use config::{Config, Markers, VisionConfig};
