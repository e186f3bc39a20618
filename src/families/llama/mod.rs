//! Llama 3 and other plain decoders of `LlamaForCausalLM`, text only.

pub mod config;

mod chat;
pub(super) mod definition;
mod gguf;
mod hf;

pub use config::Config;
