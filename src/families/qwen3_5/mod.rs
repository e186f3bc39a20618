//! Qwen3.5: three layers of a gated delta net to one of gated attention, and the tower of Qwen3-VL.

pub(super) mod chat;
pub(super) mod definition;
pub(super) mod gguf;
pub(super) mod hf;
pub(super) mod tensors;

use serde::{Deserialize, Serialize};

use super::qwen3_vl::VisionConfig;
use crate::config::TextConfig;

/// Decoder and picture side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
    /// The picture side; absent where it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<VisionConfig>,
}

impl Config {
    /// Why this crate cannot run such a model, if it cannot.
    pub(crate) fn find_fault(&self) -> Option<String> {
        let vision = self.vision.as_ref();
        self.text.find_fault().or_else(|| vision.and_then(|vision| vision.find_fault(&self.text)))
    }
}
