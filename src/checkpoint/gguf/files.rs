//! The input of a family's reader of GGUF files.

use super::metadata::{MERGES, Metadata, TOKENS};
use crate::checkpoint::vocabulary::Vocabulary;
use crate::error::{Error, Result};

/// The metadata of a text model and of its vision half, and facts about their tensors.
pub struct GgufFiles<'a> {
    /// Metadata of the text model.
    pub text: &'a Metadata,
    /// Metadata of the vision half.
    pub vision: Option<&'a Metadata>,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Divisors of the rope frequencies, if the file has a tensor of them. A family that supports them lists the tensor in
    /// [`gguf_duplicates`](crate::families::Definition::gguf_duplicates); for other families the file is refused.
    pub rope_divisors: Option<Vec<f32>>,
    /// Returns true if either file has a tensor of this name.
    pub has: &'a dyn Fn(&str) -> bool,
    /// Rows of a table of that name, if either file has one: the size before the last.
    pub rows: &'a dyn Fn(&str) -> Option<usize>,
}

impl GgufFiles<'_> {
    /// Returns true if the embedding is also the head.
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

    /// The vocabulary; [`Error::InvalidCheckpoint`] if it is not a list of texts.
    pub fn vocabulary(&self) -> Result<Vocabulary> {
        let list = |key: &str| Ok::<&[String], Error>(self.text.get(key)?.unwrap_or_default());
        let pair = |merge: &String| merge.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned()));
        Ok(Vocabulary::new(list(TOKENS)?.iter().cloned().zip(0..), list(MERGES)?.iter().filter_map(pair)))
    }
}
