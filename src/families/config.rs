//! The shape of a model of any family, as `model.json` holds it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{gemma4, idefics3, llama, minicpmv4_6, mistral3, mllama, qwen3_5, qwen3_vl};
use crate::config::TextConfig;
use crate::error::{Error, Result};

/// A model's shape. `family` in `model.json` names the variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case", remote = "Self")]
pub enum ModelConfig {
    /// Gemma 4.
    Gemma4(gemma4::Config),
    /// SmolVLM, Granite-Docling 258M.
    Idefics3(idefics3::Config),
    /// Llama 3 and other plain decoders.
    Llama(llama::Config),
    /// MiniCPM-V 4.6.
    #[serde(rename = "minicpmv4_6")]
    MiniCpmV4_6(minicpmv4_6::Config),
    /// Ministral 3, Mistral Small 3.1.
    Mistral3(mistral3::Config),
    /// Llama 3.2 Vision.
    Mllama(mllama::Config),
    /// Qwen3.5.
    #[serde(rename = "qwen3_5")]
    Qwen3_5(qwen3_5::Config),
    /// Qwen3-VL.
    Qwen3Vl(qwen3_vl::Config),
}

/// Family of packages without a `family` field, which were made before there were several.
const FIRST_FAMILY: &str = "mistral3";

impl Serialize for ModelConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ModelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut fields = serde_json::Map::deserialize(deserializer)?;
        fields.entry("family").or_insert_with(|| FIRST_FAMILY.into());
        Self::deserialize(serde_json::Value::Object(fields)).map_err(D::Error::custom)
    }
}

impl ModelConfig {
    /// The name of the family.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Gemma4(_) => "gemma4",
            Self::Idefics3(_) => "idefics3",
            Self::Llama(_) => "llama",
            Self::MiniCpmV4_6(_) => "minicpmv4_6",
            Self::Mistral3(_) => "mistral3",
            Self::Mllama(_) => "mllama",
            Self::Qwen3_5(_) => "qwen3_5",
            Self::Qwen3Vl(_) => "qwen3_vl",
        }
    }

    /// The decoder.
    pub fn text(&self) -> &TextConfig {
        match self {
            Self::Gemma4(config) => &config.text,
            Self::Idefics3(config) => &config.text,
            Self::Llama(config) => &config.text,
            Self::MiniCpmV4_6(config) => &config.text,
            Self::Mistral3(config) => &config.text,
            Self::Mllama(config) => &config.text,
            Self::Qwen3_5(config) => &config.text,
            Self::Qwen3Vl(config) => &config.text,
        }
    }

    /// The decoder, mutable.
    pub fn text_mut(&mut self) -> &mut TextConfig {
        match self {
            Self::Gemma4(config) => &mut config.text,
            Self::Idefics3(config) => &mut config.text,
            Self::Llama(config) => &mut config.text,
            Self::MiniCpmV4_6(config) => &mut config.text,
            Self::Mistral3(config) => &mut config.text,
            Self::Mllama(config) => &mut config.text,
            Self::Qwen3_5(config) => &mut config.text,
            Self::Qwen3Vl(config) => &mut config.text,
        }
    }

    /// The Pixtral tower, in a model of Mistral3 that has one.
    pub fn vision(&self) -> Option<&mistral3::VisionConfig> {
        if let Self::Mistral3(config) = self { config.vision.as_ref() } else { None }
    }

    /// Checks that the sizes fit one another and this crate's kernels, so that products of them cannot overflow.
    ///
    /// # Errors
    /// [`Error::UnsupportedArchitecture`] that names `file` and the size.
    pub fn validate(&self, file: &str) -> Result<()> {
        let fault = match self {
            Self::Gemma4(config) => config.find_fault(),
            Self::Idefics3(config) => config.find_fault(),
            Self::Llama(config) => config.text.find_fault(),
            Self::MiniCpmV4_6(config) => config.find_fault(),
            Self::Mistral3(config) => config.find_fault(),
            Self::Mllama(config) => config.find_fault(),
            Self::Qwen3_5(config) => config.find_fault(),
            Self::Qwen3Vl(config) => config.find_fault(),
        };
        fault.map_or(Ok(()), |reason| {
            Err(Error::UnsupportedArchitecture { file: file.into(), architecture: self.family().into(), reason })
        })
    }
}
