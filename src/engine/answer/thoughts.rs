//! Thoughts before an answer: told as they come, ended where they have become too long.

use std::rc::Rc;
use std::sync::Arc;

use crate::chat::{TextStream, ThoughtSyntax};
use crate::engine::events::{Completion, Event};
use crate::grammar::Grammar;

/// A constraint that begins or ends.
#[derive(Debug, Default)]
pub(in crate::engine) struct Hold {
    /// The tokens that must come.
    pub(in crate::engine) tokens: Vec<u32>,
    /// The grammar of what follows them.
    pub(in crate::engine) grammar: Option<Rc<dyn Grammar>>,
    /// Set where the answer is not constrained any more.
    pub(in crate::engine) is_free: bool,
}

/// Thoughts as they are read.
#[derive(Debug)]
pub(in crate::engine) struct Thoughts {
    syntax: Arc<ThoughtSyntax>,
    /// Tokens that they may still have.
    left: Option<usize>,
    /// The grammar of the answer after them.
    later: Option<Rc<dyn Grammar>>,
    stream: TextStream,
    /// White space that may be the last of them.
    space: String,
}

impl Thoughts {
    /// Thoughts of at most `budget` tokens, at least one.
    pub(in crate::engine) fn new(
        syntax: Arc<ThoughtSyntax>,
        budget: Option<usize>,
        later: Option<Rc<dyn Grammar>>,
    ) -> Self {
        Self { syntax, left: budget, later, stream: TextStream::default(), space: String::new() }
    }

    /// The token that ends them.
    pub(in crate::engine) fn end(&self) -> u32 {
        self.syntax.end
    }

    /// Reads what a token prints. Where they have become too long, the tokens that end them.
    pub(in crate::engine) fn read(
        &mut self,
        bytes: &[u8],
        answer: &mut Completion,
        on_event: &mut dyn FnMut(Event),
    ) -> Option<Hold> {
        answer.usage.reasoning_tokens += 1;
        let text = self.stream.push(bytes);
        self.tell(text, answer, on_event);
        self.left = self.left.map(|left| left.saturating_sub(1));
        if self.left != Some(0) {
            return None;
        }
        // The tokens that end them are not bounded.
        self.left = None;
        Some(Hold { tokens: self.syntax.cut.clone(), ..Hold::default() })
    }

    /// They have ended: tells what was held back. What the answer must be, if anything.
    pub(in crate::engine) fn finish(
        &mut self,
        answer: &mut Completion,
        on_event: &mut dyn FnMut(Event),
    ) -> Option<Hold> {
        let rest = self.stream.finish();
        self.tell(rest, answer, on_event);
        let grammar = Some(self.later.take()?);
        Some(Hold { tokens: self.syntax.between.clone(), grammar, ..Hold::default() })
    }

    /// Adds text, without white space at its ends.
    fn tell(&mut self, text: Option<String>, answer: &mut Completion, on_event: &mut dyn FnMut(Event)) {
        self.space += &text.unwrap_or_default();
        if answer.reasoning.is_empty() {
            self.space.drain(..self.space.len() - self.space.trim_start().len());
        }
        let certain: String = self.space.drain(..self.space.trim_end().len()).collect();
        if !certain.is_empty() {
            answer.reasoning.push_str(&certain);
            on_event(Event::Reasoning(certain));
        }
    }
}
