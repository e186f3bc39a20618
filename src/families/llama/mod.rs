//! Llama 3 and other plain decoders of `LlamaForCausalLM`, text only.

pub(super) mod chat;
pub(super) mod definition;
pub(super) mod gguf;
mod hf;

use serde::{Deserialize, Serialize};

use crate::config::TextConfig;

/// A decoder of grouped-query attention and gated feed-forwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
}
