//! The headers of a model's files, as a family's reader sees them.

use super::metadata::{Metadata, TOKENS};
use crate::error::{Error, Result};

/// The metadata of a text model and of its vision half, and what the tensors tell besides.
pub struct GgufFiles<'a> {
    /// Of the text model.
    pub text: &'a Metadata,
    /// Of the vision half.
    pub vision: Option<&'a Metadata>,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// What the frequencies of rope are divided by, where the file has a tensor of that. A family that knows of it names the tensor among
    /// its [`gguf_duplicates`](crate::families::Definition::gguf_duplicates); of others the file is refused.
    pub rope_divisors: Option<Vec<f32>>,
    /// Whether either file holds a tensor of this name.
    pub has: &'a dyn Fn(&str) -> bool,
}

impl GgufFiles<'_> {
    /// Whether the embedding is the head.
    pub fn is_tied(&self) -> bool {
        !(self.has)("output.weight")
    }

    /// The id of a token by its spelling; [`Error::Tokenizer`] if there is no such token.
    pub fn token(&self, spelling: &str) -> Result<u32> {
        let tokens: &[String] = self.text.get(TOKENS)?.unwrap_or_default();
        let id = tokens.iter().position(|token| token == spelling).and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| Error::Tokenizer {
            reason: format!("{}: there is no token {spelling:?}, which pictures need", self.text.file),
        })
    }
}
