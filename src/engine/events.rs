//! Events and results of a request.

use super::prompt::picture_size::ShownPicture;
use crate::chat::{CallPart, Date, ToolCall};
use crate::engine::tuned::Tuned;
use crate::error::Error;
use crate::gpu::DeviceReport;

/// Milliseconds since some fixed moment, from the platform.
pub type Clock = fn() -> f64;

/// The user's local date; `None` if unknown.
pub type Calendar = fn() -> Option<Date>;

/// Stage of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Pictures in the tower, counted in layers.
    Vision,
    /// The prompt in the decoder, counted in tokens.
    Prefill,
}

/// Progress of loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadEvent {
    /// Bytes of the package read and uploaded since the last event.
    Bytes(u64),
    /// Compilation of kernels, during the download of the first shard.
    Kernels {
        /// Kernels compiled so far.
        done: usize,
        /// Kernels in all.
        total: usize,
    },
    /// A trial of autotuning begins. The results count it already: stored at once, they exclude it from later loads if it takes the device
    /// down.
    Trial(Tuned),
    /// The processor replaces the GPU. Loading starts again.
    Processor {
        /// The error that rules the GPU out.
        error: Error,
        /// The reason, for people.
        reason: String,
    },
}

/// A token of an answer with its log probability under the model's own distribution: before temperature, bias, penalties and filters.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TokenLogprob {
    /// The token.
    pub token: u32,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens with their log probabilities, as many as requested, likeliest first.
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
    /// The size at which a picture is shown to the model.
    Picture {
        /// Index of the picture in the request.
        picture: usize,
        /// Its size and tokens.
        #[serde(flatten)]
        shown: ShownPicture,
    },
    /// A warning about a picture.
    Note {
        /// Index of the picture in the request.
        picture: usize,
        /// Text of the warning.
        message: String,
    },
    /// The conversation exceeded the context, so its oldest turns were left out of the prompt.
    Truncated {
        /// Turns left out.
        turns: usize,
    },
    /// The device was lost and is being reopened; the request then resumes.
    Recovering {
        /// Number of this loss within the request, from 1.
        attempt: u32,
        /// The driver's reason.
        reason: String,
    },
    /// The GPU was lost too often and is replaced by the processor; the request then resumes.
    Processor {
        /// The processor, with the reason.
        device: Box<DeviceReport>,
    },
    /// The answer's next token, if log probabilities were requested. Its text follows once its characters are complete.
    #[serde(skip)]
    Token(TokenLogprob),
    /// The next part of the model's reasoning: whole characters, never empty.
    #[serde(skip)]
    Reasoning(String),
    /// The next part of the answer: whole characters, never empty.
    #[serde(skip)]
    Text(String),
    /// The next part of a tool call.
    #[serde(skip)]
    Call {
        /// Index of the call in the answer.
        index: usize,
        /// Its name, or the next part of its arguments.
        part: CallPart,
    },
}

/// Reason for the end of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended its turn, or a stop string occurred.
    Stop,
    /// The answer reached its limit or the end of the context.
    #[default]
    Length,
    /// The answer ended with tool calls.
    ToolCalls,
}

/// Token counts of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the answer, without the token that ended it.
    pub completion_tokens: usize,
    /// Tokens of the prompt that were in the KV cache.
    pub cached_tokens: usize,
    /// Draft tokens of speculative decoding.
    pub drafted_tokens: usize,
    /// Draft tokens that became tokens of the answer.
    pub accepted_tokens: usize,
    /// Tokens of the answer that were reasoning.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning_tokens: usize,
    /// Tokens of the answer that its grammar forced; they were not sampled.
    pub forced_tokens: usize,
}

/// Durations of the stages, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Timings {
    /// Decoding and resizing pictures, and encoding the text.
    pub prepare_ms: f64,
    /// Pictures in the tower.
    pub vision_ms: f64,
    /// The prompt in the decoder, including reads of a snapshot.
    pub prefill_ms: f64,
    /// All tokens of the answer.
    pub decode_ms: f64,
    /// Part of `decode_ms` spent on grammar masks; omitted without a grammar.
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
    /// The answer without reasoning and tool calls.
    pub text: String,
    /// Tool calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Last hidden state of the prompt, after the final norm, if requested. `// [hidden]`
    #[serde(skip)]
    pub hidden: Vec<f32>,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Log probabilities of the tokens, if requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprob>,
    /// Reason for its end.
    pub finish_reason: FinishReason,
    /// The stop string before which it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// Token counts.
    pub usage: Usage,
    /// Sizes at which the request's pictures were shown.
    pub pictures: Vec<ShownPicture>,
    /// Durations of the stages.
    pub timings: Timings,
}
