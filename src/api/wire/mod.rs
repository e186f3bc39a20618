//! Output formats of the OpenAI API and of Anthropic's: whole replies, and frames of streams.

mod chat;
mod embedding;
mod logprobs;
mod message;
mod response;
mod text;
mod usage;

use std::rc::Rc;

use serde::Serialize;
use serde_json::json;

pub use chat::ChatWire;
pub use embedding::EmbeddingWire;
pub use logprobs::{Logprob, Token};
pub use message::MessageWire;
pub use response::{Keeper, ResponseWire};
pub use text::TextWire;
pub use usage::Usage;

use crate::chat::{CallPart, Tokenizer};
use crate::engine::{Completion, Encoded};

/// A server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Name of the event; only events of responses have one.
    pub event: Option<&'static str>,
    /// JSON, or `[DONE]` in the last frame.
    pub data: String,
}

impl Frame {
    fn of(value: &impl Serialize) -> Self {
        // Strings, numbers and lists always serialize.
        Self { event: None, data: serde_json::to_string(value).unwrap_or_default() }
    }

    fn done() -> Self {
        Self { event: None, data: "[DONE]".into() }
    }

    /// Text of the server-sent event.
    pub fn text(&self) -> String {
        match self.event {
            Some(event) => format!("event: {event}\ndata: {}\n\n", self.data),
            None => format!("data: {}\n\n", self.data),
        }
    }
}

/// Fields common to all frames of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    /// Ends the stream with token counts.
    pub(super) include_usage: bool,
}

impl Head {
    /// Id of a call, from the indices of its answer and of the call in it.
    fn call_id(&self, (answer, call): (usize, usize)) -> String {
        let request = self.id.rsplit('-').next().unwrap_or_default();
        format!("call_{request}_{answer}_{call}")
    }
}

/// Output format of a piece of work.
#[derive(Debug, Default)]
pub(super) enum Wire {
    Chat(ChatWire),
    Text(TextWire),
    Response(Box<ResponseWire>),
    Message(MessageWire),
    Embedding(EmbeddingWire),
    /// Number of tokens of a prompt.
    #[default]
    Count,
    /// The same in Anthropic's format.
    CountMessage,
    /// Tokens of a prompt.
    Tokens {
        context: usize,
    },
}

impl Wire {
    /// Frames at the beginning of an answer to a prompt.
    pub(super) fn open(&mut self, index: usize, prompt_tokens: usize) -> Vec<Frame> {
        match self {
            Self::Chat(chat) => vec![chat.opening(index)],
            Self::Message(message) => vec![message.opening(prompt_tokens)],
            Self::Response(response) => response.opening(),
            _ => Vec::new(),
        }
    }

    /// Adds a token; its text follows.
    pub(super) fn token(&mut self, logprob: Logprob) {
        match self {
            Self::Chat(chat) => chat.waiting.push(logprob),
            Self::Text(text) => text.waiting.push(logprob),
            Self::Response(response) => response.waiting.push(logprob),
            _ => {}
        }
    }

    /// Frames of further reasoning.
    pub(super) fn reasoning(&mut self, index: usize, text: String) -> Vec<Frame> {
        match self {
            Self::Chat(chat) => vec![chat.reasoning(index, text)],
            Self::Response(response) => response.reasoning(&text),
            Self::Message(message) => message.reasoning(&text),
            _ => Vec::new(),
        }
    }

    /// Frames of further text.
    pub(super) fn text(&mut self, index: usize, content: String) -> Vec<Frame> {
        match self {
            Self::Chat(chat) => vec![chat.text(index, content)],
            Self::Text(text) => vec![text.text(index, content)],
            Self::Response(response) => response.text(content),
            Self::Message(message) => message.text(&content),
            _ => Vec::new(),
        }
    }

    /// Frames of a further part of a call, given the indices of its answer and of the call in it.
    pub(super) fn call(&mut self, place: (usize, usize), part: CallPart) -> Vec<Frame> {
        match self {
            Self::Chat(chat) => vec![chat.call(place, part)],
            Self::Response(response) => response.call(place.1, part),
            Self::Message(message) => message.call(place.1, part),
            _ => Vec::new(),
        }
    }

    /// Frames at the end of an answer.
    pub(super) fn close(&mut self, index: usize, completion: &Completion) -> Vec<Frame> {
        match self {
            Self::Chat(chat) => vec![chat.closing(index, completion.finish_reason)],
            Self::Text(text) => vec![text.closing(index, completion.finish_reason)],
            _ => Vec::new(),
        }
    }

    /// Last frames and the whole reply, after all answers are complete.
    pub(super) fn end(
        &mut self,
        prompts: &[Rc<Encoded>],
        answers: &[Completion],
        n: usize,
        tokenizer: &Tokenizer,
    ) -> (Vec<Frame>, String) {
        let ids = prompts.first().map_or(&[][..], |prompt| prompt.ids());
        match self {
            Self::Chat(chat) => chat.end(answers, Usage::of(answers, n), tokenizer),
            Self::Text(text) => text.end(answers, Usage::of(answers, n), tokenizer),
            Self::Response(response) => response.end(answers, tokenizer),
            Self::Message(message) => message.end(answers),
            Self::Embedding(embedding) => (Vec::new(), embedding.end(answers)),
            Self::CountMessage => (Vec::new(), json!({"input_tokens": ids.len()}).to_string()),
            Self::Count => {
                (Vec::new(), json!({"object": "response.input_tokens", "input_tokens": ids.len()}).to_string())
            }
            Self::Tokens { context } => {
                let body = json!({"count": ids.len(), "max_model_len": context, "tokens": ids});
                (Vec::new(), body.to_string())
            }
        }
    }
}
