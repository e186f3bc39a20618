//! `POST /v1/tokenize` and `POST /v1/responses/input_tokens`: what a prompt comes to in tokens, without an answer.

use serde_json::Value;

use super::completion_request::read_prompt;
use super::field::Fields;
use super::messages::{Conversation, Dialect, PictureUrl};
use super::response_request::ResponseRequest;
use crate::engine::Prompt;
use crate::error::{Error, Result};

/// A prompt whose tokens are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizeRequest {
    /// The prompt.
    pub prompt: Prompt,
    /// Its pictures in order of appearance.
    pub pictures: Vec<PictureUrl>,
    /// The model the caller asks for.
    pub model: Option<String>,
}

impl TokenizeRequest {
    /// Reads `{"messages": ..}` as of a chat, or `{"prompt": ..}` as of a completion.
    ///
    /// # Errors
    /// As [`super::ChatRequest::from_json`].
    pub fn from_json(request: &Value) -> Result<Self> {
        let fields = Fields::of_request(request)?;
        let model = fields.get("model").map(|model| model.string()).transpose()?;
        if let Some(messages) = fields.get("messages") {
            fields.only(&["messages", "model"])?;
            let Conversation { messages, pictures } = Conversation::read(&messages, Dialect::Chat)?;
            return Ok(Self { prompt: Prompt::Messages(messages), pictures, model });
        }
        fields.only(&["prompt", "model"])?;
        let prompt = fields.get("prompt").ok_or_else(|| Error::request("body", "needs messages or prompt"))?;
        Ok(Self { prompt: read_prompt(&prompt)?, pictures: Vec::new(), model })
    }

    /// A request for a response, whose input is to be counted.
    pub(super) fn of_response(request: ResponseRequest) -> Self {
        let ResponseRequest { messages, pictures, model, .. } = request;
        Self { prompt: Prompt::Messages(messages), pictures, model }
    }
}
