//! Options of an answer.

use std::sync::Arc;

use crate::chat::{CallSyntax, ThoughtSyntax, ToolForms};
use crate::sampling::SamplingOptions;

/// Options of an answer. The grammar of its format is passed separately, because it belongs to one thread.
#[derive(Debug, Clone, Default)]
pub struct AnswerOptions {
    /// Sampling options.
    pub sampling: SamplingOptions,
    /// Limit of the answer in tokens; `None` for the rest of the context.
    pub max_tokens: Option<usize>,
    /// Stop strings, before which the answer ends.
    pub stop: Vec<String>,
    /// Options of reasoning, if the answer may begin with it.
    pub thoughts: Option<ThoughtOptions>,
    /// Options of tool calls, if the answer may have some.
    pub calls: Option<CallOptions>,
    /// True if the answer is the prompt's last hidden state, without tokens.
    pub embeds: bool,
}

/// Options of the reasoning before an answer.
#[derive(Debug, Clone)]
pub struct ThoughtOptions {
    /// Syntax of the model's reasoning.
    pub syntax: Arc<ThoughtSyntax>,
    /// Most tokens of reasoning, at least one.
    pub budget: Option<usize>,
}

/// Options of tool calls.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// Syntax of the model's calls.
    pub syntax: CallSyntax,
    /// Formats of argument values.
    pub forms: Arc<ToolForms>,
    /// True if the grammar applies from the start of the answer, not only after the token that begins the first call.
    pub at_once: bool,
}

impl AnswerOptions {
    /// Returns true if answers, which may `have_grammar`, can share steps with others from their start.
    pub fn can_share(&self, have_grammar: bool) -> bool {
        // A grammar of the text after reasoning does not constrain the reasoning.
        self.calls.is_none() && (!have_grammar || self.thoughts.is_some()) && self.sampling.logprobs.is_none()
    }
}
