//! A request for the logits of a prompt.

use std::str::FromStr;

use serde_json::Value;

use super::field::{Fields, parse};
use super::messages::Conversation;
use crate::engine::Prompt;
use crate::error::{Error, Result};

/// A prompt whose logits are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRequest {
    /// At least one message or token.
    pub prompt: Prompt,
    /// URLs of the pictures, in order of appearance or of their tokens.
    pub picture_urls: Vec<String>,
}

impl FromStr for ScoreRequest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_json(&parse(text)?)
    }
}

impl ScoreRequest {
    /// Reads `{"messages": ..}` or `{"input_ids": .., "images": ..}`.
    ///
    /// # Errors
    /// [`Error::UnsupportedOption`] for unknown fields, [`Error::InvalidRequest`] for malformed ones; both name the field.
    pub fn from_json(request: &Value) -> Result<Self> {
        let fields = Fields::of_request(request)?;
        if let Some(messages) = fields.get("messages") {
            fields.only(&["messages"])?;
            let Conversation { messages, picture_urls } = Conversation::read(&messages)?;
            return Ok(Self { prompt: Prompt::Messages(messages), picture_urls });
        }
        fields.only(&["input_ids", "images"])?;
        let ids = fields.get("input_ids").ok_or_else(|| Error::request("body", "needs messages or input_ids"))?;
        let input_ids: Vec<u32> = ids.array()?.map(|id| id.token_id()).collect::<Result<_>>()?;
        if input_ids.is_empty() {
            return Err(ids.fault("at least one token is needed"));
        }
        let picture_urls = match fields.get("images") {
            Some(images) => images.array()?.map(|url| url.string()).collect::<Result<_>>()?,
            None => Vec::new(),
        };
        Ok(Self { prompt: Prompt::Ids(input_ids), picture_urls })
    }
}
