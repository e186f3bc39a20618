//! Options of an answer.

use std::sync::Arc;

use crate::chat::{CallSyntax, ThoughtSyntax, ToolForms};
use crate::sampling::SamplingOptions;

/// Options of an answer, whoever asks for it. The grammar of its format is passed beside them: it belongs to one thread.
#[derive(Debug, Clone, Default)]
pub struct AnswerOptions {
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// Most tokens of the answer; `None` for as many as the context holds.
    pub max_tokens: Option<usize>,
    /// Strings before which the answer ends.
    pub stop: Vec<String>,
    /// How thoughts are read, if the answer begins with some.
    pub thoughts: Option<ThoughtOptions>,
    /// How calls of tools are read, if the answer may have some.
    pub calls: Option<CallOptions>,
}

/// Options of the thoughts that an answer begins with.
#[derive(Debug, Clone)]
pub struct ThoughtOptions {
    /// How the model writes thoughts.
    pub syntax: Arc<ThoughtSyntax>,
    /// Most tokens of thoughts, at least one.
    pub budget: Option<usize>,
}

/// Options of calls of tools.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// How the model writes calls.
    pub syntax: CallSyntax,
    /// How the values of arguments are written.
    pub forms: Arc<ToolForms>,
    /// Set where the grammar bounds the answer from the beginning on, and not only after the token that begins the first call.
    pub at_once: bool,
}

impl AnswerOptions {
    /// Returns whether answers can share steps with others from their beginning, where they `have_grammar`.
    pub fn can_share(&self, have_grammar: bool) -> bool {
        // A grammar that bounds what follows thoughts does not bound these.
        self.calls.is_none() && (!have_grammar || self.thoughts.is_some()) && self.sampling.logprobs.is_none()
    }
}
