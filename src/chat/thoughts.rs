//! What a model thinks before it answers: how a family writes it.

use super::tokenizer::Tokenizer;
use crate::error::Result;

/// How a family writes thoughts: `begin`, a line break, the thoughts, a line break, `end`, `between`, the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThoughtLayout {
    /// The control token that begins them; prompts of answers with thoughts end behind it.
    pub begin: &'static str,
    /// The control token that ends them. It stands nowhere else.
    pub end: &'static str,
    /// What stands between the end of the thoughts and the answer.
    pub between: &'static str,
    /// What thoughts end with that have become too long.
    pub cut: &'static str,
}

/// How a model writes thoughts: a layout with the tokens of its vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThoughtSyntax {
    /// The token that ends them.
    pub end: u32,
    /// The tokens of [`ThoughtLayout::between`].
    pub between: Vec<u32>,
    /// The tokens that end thoughts which have become too long, `end` included.
    pub cut: Vec<u32>,
}

impl ThoughtSyntax {
    /// None where the vocabulary lacks a token of the layout.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_text`].
    pub fn new(layout: &ThoughtLayout, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let (Some(_), Some(end)) = (tokenizer.control(layout.begin), tokenizer.control(layout.end)) else {
            return Ok(None);
        };
        let mut cut = tokenizer.encode_text(layout.cut)?;
        cut.push(end);
        Ok(Some(Self { end, between: tokenizer.encode_text(layout.between)?, cut }))
    }
}
