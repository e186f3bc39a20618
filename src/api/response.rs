//! Answers in the OpenAI chat API's wire format.

use serde::{Deserialize, Serialize};

use super::ChatRequest;
use crate::engine::{self, FinishReason, ShownPicture};
use crate::error::Error;

/// Token counts of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens in the prompt, picture tokens included.
    pub prompt_tokens: usize,
    /// Tokens in the answer.
    pub completion_tokens: usize,
    /// Both.
    pub total_tokens: usize,
    /// What the prompt's tokens were.
    pub prompt_tokens_details: PromptTokensDetails,
    /// How many of the answer's tokens were drafted.
    pub completion_tokens_details: CompletionTokensDetails,
    /// What the `OpenAI` API has no place for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocelli: Option<UsageExtension>,
}

/// What the `OpenAI` API's usage has no place for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageExtension {
    /// How large the pictures were shown, in the order of the request.
    pub pictures: Vec<ShownPicture>,
}

/// What the prompt's tokens were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PromptTokensDetails {
    /// Tokens whose keys and values were still in the cache.
    pub cached_tokens: usize,
}

/// How many of the answer's tokens were drafted (speculative decoding).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CompletionTokensDetails {
    /// Draft tokens that the model confirmed.
    pub accepted_prediction_tokens: usize,
    /// Draft tokens that it did not.
    pub rejected_prediction_tokens: usize,
}

impl Usage {
    /// Of an answer to a request with these pictures.
    #[must_use]
    pub fn with_pictures(self, pictures: Vec<ShownPicture>) -> Self {
        Self { ocelli: (!pictures.is_empty()).then_some(UsageExtension { pictures }), ..self }
    }
}

impl From<engine::Usage> for Usage {
    fn from(usage: engine::Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.prompt_tokens + usage.completion_tokens,
            prompt_tokens_details: PromptTokensDetails { cached_tokens: usage.cached_tokens },
            completion_tokens_details: CompletionTokensDetails {
                accepted_prediction_tokens: usage.accepted_tokens,
                rejected_prediction_tokens: usage.drafted_tokens.saturating_sub(usage.accepted_tokens),
            },
            ocelli: None,
        }
    }
}

/// A whole answer.
pub type ChatCompletion = Answer<Choice, Usage>;

/// A piece of a streamed answer. Its usage is absent unless the request asked for it; then null in every chunk but the last.
pub type ChatCompletionChunk = Answer<ChunkChoice, Option<Usage>>;

/// The fields of both, in the API's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer<C, U> {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: Vec<C>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<U>,
}

/// The answer of a completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    index: u32,
    message: AnswerMessage,
    logprobs: (),
    finish_reason: FinishReason,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct AnswerMessage {
    role: &'static str,
    content: String,
    refusal: (),
}

/// What a chunk adds to the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChunkChoice {
    index: u32,
    delta: Delta,
    logprobs: (),
    finish_reason: Option<FinishReason>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

const CHUNK: &str = "chat.completion.chunk";

/// What a completion and all chunks of an answer have in common. Its methods make the chunks, in the order they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stamp {
    /// Unique name of the answer, such as `chatcmpl-..`.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Name of the model.
    pub model: String,
    /// Whether the request asked for the token counts at the end of the stream.
    #[serde(skip)]
    pub include_usage: bool,
}

impl Stamp {
    /// With the request's model, if it names one, and its `include_usage`.
    #[must_use]
    pub fn for_request(self, request: &ChatRequest) -> Self {
        let model = request.model.clone().unwrap_or(self.model);
        Self { model, include_usage: request.include_usage, ..self }
    }

    /// The whole answer at once.
    pub fn completion(&self, content: String, finish_reason: FinishReason, usage: Usage) -> ChatCompletion {
        let message = AnswerMessage { role: "assistant", content, refusal: () };
        let choice = Choice { index: 0, message, logprobs: (), finish_reason };
        self.answer("chat.completion", vec![choice], Some(usage))
    }

    /// The first chunk, with the role.
    pub fn opening(&self) -> ChatCompletionChunk {
        self.chunk(Delta { role: Some("assistant"), content: Some(String::new()) }, None)
    }

    /// A chunk of text.
    pub fn text(&self, content: String) -> ChatCompletionChunk {
        self.chunk(Delta { role: None, content: Some(content) }, None)
    }

    /// The chunk with the finish reason.
    pub fn closing(&self, finish_reason: FinishReason) -> ChatCompletionChunk {
        self.chunk(Delta::default(), Some(finish_reason))
    }

    /// The last chunk, with the token counts, if the request asked for them.
    pub fn usage(&self, usage: Usage) -> Option<ChatCompletionChunk> {
        self.include_usage.then(|| self.answer(CHUNK, Vec::new(), Some(Some(usage))))
    }

    fn chunk(&self, delta: Delta, finish_reason: Option<FinishReason>) -> ChatCompletionChunk {
        let choice = ChunkChoice { index: 0, delta, logprobs: (), finish_reason };
        self.answer(CHUNK, vec![choice], self.include_usage.then_some(None))
    }

    fn answer<C, U>(&self, object: &'static str, choices: Vec<C>, usage: Option<U>) -> Answer<C, U> {
        Answer { id: self.id.clone(), object, created: self.created, model: self.model.clone(), choices, usage }
    }
}

/// An error as the OpenAI API reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ErrorDetail {
    message: String,
    r#type: &'static str,
    param: Option<String>,
    code: &'static str,
}

impl From<&Error> for ErrorBody {
    fn from(error: &Error) -> Self {
        let (kind, param) = match error {
            Error::InvalidRequest { field, .. } | Error::UnsupportedOption { field, .. } => {
                ("invalid_request_error", Some(field.clone()))
            }
            Error::InvalidImage { .. } | Error::ImageTooLarge { .. } | Error::ContextOverflow { .. } => {
                ("invalid_request_error", None)
            }
            _ => ("server_error", None),
        };
        Self { error: ErrorDetail { message: error.to_string(), r#type: kind, param, code: error.code() } }
    }
}
