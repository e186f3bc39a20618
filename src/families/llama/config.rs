//! The shape of a Llama model: a decoder.

use serde::{Deserialize, Serialize};

use crate::config::TextConfig;

/// A decoder of grouped-query attention and gated feed-forwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
}
