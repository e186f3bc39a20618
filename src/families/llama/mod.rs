//! Llama 3 and other plain decoders of `LlamaForCausalLM`, text only.

mod chat;
pub(super) mod definition;
mod gguf;
mod hf;

use serde::{Deserialize, Serialize};

use crate::config::TextConfig;

/// A decoder of grouped-query attention and gated feed-forwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
}
