//! Reasoning before an answer: reported as it is read, and ended when it exceeds its budget.

use std::rc::Rc;
use std::sync::Arc;

use crate::chat::{TextStream, ThoughtSyntax};
use crate::engine::events::{Completion, Event};
use crate::grammar::Grammar;

/// Begin or end of a constraint.
#[derive(Debug, Default)]
pub(in crate::engine) struct Hold {
    /// Tokens that are forced now.
    pub(in crate::engine) tokens: Vec<u32>,
    /// Grammar of the tokens after them.
    pub(in crate::engine) grammar: Option<Rc<dyn Grammar>>,
    /// True if the answer is no longer constrained.
    pub(in crate::engine) is_free: bool,
}

/// Reader of reasoning.
#[derive(Debug)]
pub(in crate::engine) struct Thoughts {
    syntax: Arc<ThoughtSyntax>,
    /// Tokens left of its budget.
    left: Option<usize>,
    /// Grammar of the answer after the reasoning.
    later: Option<Rc<dyn Grammar>>,
    stream: TextStream,
    /// White space that is left out if the reasoning ends with it.
    space: String,
}

impl Thoughts {
    /// Creates the reader of reasoning of at most `budget` tokens, at least one.
    pub(in crate::engine) fn new(
        syntax: Arc<ThoughtSyntax>,
        budget: Option<usize>,
        later: Option<Rc<dyn Grammar>>,
    ) -> Self {
        Self { syntax, left: budget, later, stream: TextStream::default(), space: String::new() }
    }

    /// The token that ends the reasoning.
    pub(in crate::engine) fn end(&self) -> u32 {
        self.syntax.end
    }

    /// Reads the bytes of a token. Returns the tokens that end the reasoning if its budget is used up.
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
        // The forced tokens that end it are not limited.
        self.left = None;
        Some(Hold { tokens: self.syntax.cut.clone(), ..Hold::default() })
    }

    /// Reports the text held back until the end of the reasoning. Returns the constraint on the answer, if any.
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

    /// Adds text, except white space at the ends of the reasoning.
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
