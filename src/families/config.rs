//! The shape of a model of any family, as `model.json` holds it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::mistral3::config as mistral3;
use crate::config::TextConfig;
use crate::error::{Error, Result};

/// A model's shape. `family` in `model.json` names the variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "family", rename_all = "snake_case")]
pub enum ModelConfig {
    /// Ministral 3, Mistral Small 3.1.
    Mistral3(mistral3::Config),
}

impl<'de> Deserialize<'de> for ModelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        // Packages made before there were families name none.
        let family = value.get("family").map_or(Some("mistral3"), serde_json::Value::as_str).unwrap_or_default();
        match family {
            "mistral3" => mistral3::Config::deserialize(value).map(Self::Mistral3).map_err(D::Error::custom),
            _ => Err(D::Error::custom(format!("this build knows no model family {family:?}"))),
        }
    }
}

impl ModelConfig {
    /// The name of the family.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Mistral3(_) => "mistral3",
        }
    }

    /// The decoder.
    pub fn text(&self) -> &TextConfig {
        match self {
            Self::Mistral3(config) => &config.text,
        }
    }

    /// The decoder, to be changed.
    pub fn text_mut(&mut self) -> &mut TextConfig {
        match self {
            Self::Mistral3(config) => &mut config.text,
        }
    }

    /// The picture side, to be changed.
    pub fn vision_mut(&mut self) -> &mut Option<mistral3::VisionConfig> {
        match self {
            Self::Mistral3(config) => &mut config.vision,
        }
    }

    /// The picture side, if there is one.
    pub fn vision(&self) -> Option<&mistral3::VisionConfig> {
        match self {
            Self::Mistral3(config) => config.vision.as_ref(),
        }
    }

    /// Cuts the depth of the picture side; without layers it is gone.
    pub fn keep_vision_layers(&mut self, layers: usize) {
        match self {
            Self::Mistral3(config) => config.keep_vision_layers(layers),
        }
    }

    /// Checks that the sizes fit one another and this crate's kernels, so that products of them cannot overflow.
    ///
    /// # Errors
    /// [`Error::UnsupportedArchitecture`] that names `file` and the size.
    pub fn validate(&self, file: &str) -> Result<()> {
        let fault = match self {
            Self::Mistral3(config) => config.find_fault(),
        };
        fault.map_or(Ok(()), |reason| {
            Err(Error::UnsupportedArchitecture { file: file.into(), architecture: self.family().into(), reason })
        })
    }
}
