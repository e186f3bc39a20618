//! A request for the logits of a prompt.

use std::str::FromStr;

use serde_json::Value;

use super::field::{Fields, parse};
use super::messages::Conversation;
use crate::engine::{Detail, Prompt};
use crate::error::{Error, Result};

/// A request for the logits of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRequest {
    /// At least one message or token.
    pub prompt: Prompt,
    /// URLs of the pictures, in order of appearance or of their tokens.
    pub picture_urls: Vec<String>,
    /// Resolution of each picture; with token ids always the full one.
    pub details: Vec<Detail>,
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
            let Conversation { messages, pictures } = Conversation::read(&messages)?;
            let details = pictures.iter().map(|picture| picture.detail).collect();
            let picture_urls = pictures.into_iter().map(|picture| picture.url).collect();
            return Ok(Self { prompt: Prompt::Messages(messages), picture_urls, details });
        }
        fields.only(&["input_ids", "images"])?;
        let ids = fields.get("input_ids").ok_or_else(|| Error::request("body", "needs messages or input_ids"))?;
        let input_ids: Vec<u32> = ids.array()?.map(|id| id.token_id()).collect::<Result<_>>()?;
        if input_ids.is_empty() {
            return Err(ids.fault("at least one token is needed"));
        }
        let picture_urls: Vec<String> = match fields.get("images") {
            Some(images) => images.array()?.map(|url| url.string()).collect::<Result<_>>()?,
            None => Vec::new(),
        };
        let details = vec![Detail::High; picture_urls.len()];
        Ok(Self { prompt: Prompt::Ids(input_ids), picture_urls, details })
    }
}
