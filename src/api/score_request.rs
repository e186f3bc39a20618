//! A request for the logits of a prompt.

use std::str::FromStr;

use serde_json::Value;

use super::field::{Fields, parse};
use super::messages::Conversation;
use crate::chat::Message;
use crate::error::{Error, Result};

/// A prompt, as messages or as token ids.
#[derive(Debug, Clone, PartialEq)]
pub enum ScoreRequest {
    /// A conversation, to be laid out and encoded.
    Messages {
        /// The conversation.
        messages: Vec<Message>,
        /// URLs of the pictures in order of appearance.
        picture_urls: Vec<String>,
    },
    /// Token ids, picture tokens included.
    Ids {
        /// The prompt, at least one token.
        input_ids: Vec<u32>,
        /// URLs of the pictures in the order of their tokens.
        picture_urls: Vec<String>,
    },
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
            return Ok(Self::Messages { messages, picture_urls });
        }
        fields.only(&["input_ids", "images"])?;
        let ids = fields.get("input_ids").ok_or_else(|| Error::request("body", "needs messages or input_ids"))?;
        let input_ids: Vec<u32> = ids.array()?.map(|id| id.token_id()).collect::<Result<_>>()?;
        if input_ids.is_empty() {
            return Err(ids.fault("at least one token is needed"));
        }
        let picture_urls = match fields.get("images") {
            Some(images) => images.array()?.map(|url| url.str().map(str::to_owned)).collect::<Result<_>>()?,
            None => Vec::new(),
        };
        Ok(Self::Ids { input_ids, picture_urls })
    }
}
