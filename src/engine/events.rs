//! Events and results of a request.

use super::prompt::picture_size::ShownPicture;
use crate::chat::{CallPart, Date, ToolCall};

/// Milliseconds since some fixed moment, from the platform.
pub type Clock = fn() -> f64;

/// The date where the user is; `None` where it is not known.
pub type Calendar = fn() -> Option<Date>;

/// Stage of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Pictures go through the tower; counted in layers.
    Vision,
    /// The prompt goes through the decoder; counted in tokens.
    Prefill,
}

/// How far loading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadEvent {
    /// Bytes of the package that were read and sent since the last event.
    Bytes(u64),
    /// Kernels are compiled, while the first shard comes.
    Kernels {
        /// Compiled so far.
        done: usize,
        /// To be compiled.
        total: usize,
    },
}

/// A token of an answer, and how likely it was by the model's own distribution: before temperature, bias, penalties and filters.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TokenLogprob {
    /// The token.
    pub token: u32,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens, as many as were asked for, likeliest first.
    pub top: Vec<(u32, f32)>,
}

/// Something that happened during a request.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// Progress of a stage.
    Progress {
        /// The stage.
        stage: Stage,
        /// Steps done.
        done: usize,
        /// Steps in all.
        total: usize,
    },
    /// How large a picture is shown to the model.
    Picture {
        /// Which of the request's pictures.
        picture: usize,
        /// Its size and tokens.
        #[serde(flatten)]
        shown: ShownPicture,
    },
    /// Something about a picture that the caller should know.
    Note {
        /// Which of the request's pictures.
        picture: usize,
        /// A note on it.
        message: String,
    },
    /// The conversation was too long for the context: its oldest turns are not part of the prompt.
    Truncated {
        /// How many.
        turns: usize,
    },
    /// The device was lost; it is opened again, and the request resumes where it was.
    Recovering {
        /// Which loss of this request it was, from 1.
        attempt: u32,
        /// The driver's reason.
        reason: String,
    },
    /// The answer's next token, where log probabilities were asked for. Its text follows as soon as it is certain.
    #[serde(skip)]
    Token(TokenLogprob),
    /// More of the model's reasoning: whole characters, never empty.
    #[serde(skip)]
    Reasoning(String),
    /// More of the answer: whole characters, never empty.
    #[serde(skip)]
    Text(String),
    /// More of a call of a tool.
    #[serde(skip)]
    Call {
        /// Which call of the answer.
        index: usize,
        /// Its name, or more of its arguments.
        part: CallPart,
    },
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended its turn, or a stop string came.
    Stop,
    /// The answer reached its limit or the end of the context.
    #[default]
    Length,
    /// The answer ended with calls of tools.
    ToolCalls,
}

/// Tokens read and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the answer, the one that ended it left out.
    pub completion_tokens: usize,
    /// Tokens of the prompt that were still in the cache.
    pub cached_tokens: usize,
    /// Tokens that were guessed from the conversation and verified several at a time.
    pub drafted_tokens: usize,
    /// Tokens of the answer among them.
    pub accepted_tokens: usize,
    /// Tokens of the answer that were thoughts.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning_tokens: usize,
    /// Tokens of the answer that its grammar forced; they were not sampled.
    pub forced_tokens: usize,
}

/// How long the stages took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Timings {
    /// Decoding and resizing pictures, and encoding the text.
    pub prepare_ms: f64,
    /// Pictures through the tower.
    pub vision_ms: f64,
    /// The prompt through the decoder; what of it was read from a snapshot is part of it.
    pub prefill_ms: f64,
    /// All tokens of the answer.
    pub decode_ms: f64,
    /// Part of these that the grammar took for its masks; left out where there is no grammar.
    #[serde(skip_serializing_if = "is_nothing")]
    pub grammar_ms: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_nothing(ms: &f64) -> bool {
    *ms == 0.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(tokens: &usize) -> bool {
    *tokens == 0
}

/// A finished answer.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Completion {
    /// The model's reasoning before the answer, without white space at its ends.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// The whole answer, but for thoughts and calls of tools.
    pub text: String,
    /// Calls of tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Log probabilities of the tokens, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprob>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Tokens read and written.
    pub usage: Usage,
    /// How large the pictures of the request were shown.
    pub pictures: Vec<ShownPicture>,
    /// How long it took.
    pub timings: Timings,
}
