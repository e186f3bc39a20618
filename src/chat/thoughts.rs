//! Format of reasoning before an answer.

use super::tokenizer::Tokenizer;
use crate::error::Result;

/// The format of a family's reasoning: `begin`, a line break, the reasoning, a line break, `end`, `between`, the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThoughtLayout {
    /// The control token that begins reasoning; prompts that ask for reasoning end with it.
    pub begin: &'static str,
    /// The control token that ends reasoning, used for nothing else.
    pub end: &'static str,
    /// Text between the end of the reasoning and the answer.
    pub between: &'static str,
    /// Text that ends reasoning that has become too long.
    pub cut: &'static str,
}

/// The format of a model's reasoning, with the tokens of its vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThoughtSyntax {
    /// The token that ends reasoning.
    pub end: u32,
    /// The tokens of [`ThoughtLayout::between`].
    pub between: Vec<u32>,
    /// The tokens that end reasoning that has become too long, including `end`.
    pub cut: Vec<u32>,
}

impl ThoughtSyntax {
    /// Returns `None` if the vocabulary lacks a token of the layout.
    ///
    /// # Errors
    /// See [`Tokenizer::encode_text`].
    pub fn new(layout: &ThoughtLayout, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let (Some(_), Some(end)) = (tokenizer.control(layout.begin), tokenizer.control(layout.end)) else {
            return Ok(None);
        };
        let mut cut = tokenizer.encode_text(layout.cut)?;
        cut.push(end);
        Ok(Some(Self { end, between: tokenizer.encode_text(layout.between)?, cut }))
    }
}
