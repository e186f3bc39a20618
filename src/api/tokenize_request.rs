//! `POST /v1/tokenize` and `POST /v1/responses/input_tokens`: the tokens of a prompt, without an answer.

use serde_json::Value;

use super::asker::Asker;
use super::completion_request::read_prompt;
use super::field::Fields;
use super::messages::{Conversation, PictureUrl};
use super::response_request::ResponseRequest;
use crate::engine::Prompt;
use crate::error::{Error, Result};

/// A request for the tokens of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizeRequest {
    /// The prompt.
    pub prompt: Prompt,
    /// Pictures in order of appearance.
    pub pictures: Vec<PictureUrl>,
    /// Requested model.
    pub model: Option<String>,
    /// User key.
    pub asker: Asker,
}

impl TokenizeRequest {
    /// Reads `{"messages": ..}` like a chat, or `{"prompt": ..}` like a text completion.
    ///
    /// # Errors
    /// Same as [`super::ChatRequest::from_json`].
    pub fn from_json(request: &Value) -> Result<Self> {
        let fields = Fields::of_request(request)?;
        let model = fields.get("model").map(|model| model.string()).transpose()?;
        let asker = Asker::read(&fields)?;
        if let Some(messages) = fields.get("messages") {
            fields.only(&["messages", "model", "safety_identifier", "user"])?;
            let Conversation { messages, pictures } = Conversation::read(&messages)?;
            return Ok(Self { prompt: Prompt::Messages(messages), pictures, model, asker });
        }
        fields.only(&["prompt", "model", "safety_identifier", "user"])?;
        let prompt = fields.get("prompt").ok_or_else(|| Error::request("body", "needs messages or prompt"))?;
        Ok(Self { prompt: read_prompt(&prompt)?, pictures: Vec::new(), model, asker })
    }

    /// A request that counts the input of a response.
    pub(super) fn of_response(request: ResponseRequest) -> Self {
        let ResponseRequest { messages, pictures, model, asker, .. } = request;
        Self { prompt: Prompt::Messages(messages), pictures, model, asker }
    }
}
