//! Grammars by the crate compiled into the command.

use std::fmt;
use std::sync::Arc;

use ocelli_grammar::{GrammarError, Grammars, Matcher};

use super::{Constraint, Format, Grammar};
use crate::chat::Tokenizer;
use crate::error::{Error, Result};

impl From<GrammarError> for Error {
    fn from(error: GrammarError) -> Self {
        match error {
            GrammarError::UnsupportedSchema { pointer, keyword, reason } => {
                Self::UnsupportedSchema { pointer, keyword, reason }
            }
            GrammarError::InvalidGrammar { reason } => Self::InvalidGrammar { reason },
        }
    }
}

/// A tokenizer's vocabulary, prepared when the first format needs it.
pub struct NativeGrammars(Grammars);

impl fmt::Debug for NativeGrammars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeGrammars").finish_non_exhaustive()
    }
}

impl NativeGrammars {
    /// Prepares a vocabulary, which takes half a second for 131,072 tokens. `eos` are the tokens that end an answer. Fails with
    /// [`Error::InvalidGrammar`].
    pub fn new(tokenizer: &Arc<Tokenizer>, eos: &[u32]) -> Result<Self> {
        let (bytes, lengths) = tokenizer.table();
        let table = ocelli_grammar::TokenTable { bytes, lengths, control: tokenizer.added_ids(), eos: eos.to_vec() };
        let tokenizer = tokenizer.clone();
        let encode = move |text: &str| tokenizer.encode_text(text).unwrap_or_default();
        Ok(Self(Grammars::new(&table, encode)?))
    }

    /// Compiles a format. Fails with [`Error::UnsupportedSchema`] or [`Error::InvalidGrammar`].
    pub fn grammar(&self, format: &Format) -> Result<NativeGrammar> {
        Ok(NativeGrammar(match format {
            Format::JsonSchema(text) => self.0.json_schema(text)?,
            Format::Regex(text) => self.0.regex(text)?,
            Format::Lark(text) => self.0.lark(text)?,
            Format::Rules { lark, schemas } => self.0.rules(
                lark,
                schemas.iter().map(|rule| (rule.rule.as_str(), rule.schema.as_str(), rule.place.as_str())),
            )?,
        }))
    }
}

/// A compiled format.
pub struct NativeGrammar(ocelli_grammar::Grammar);

impl fmt::Debug for NativeGrammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeGrammar").finish_non_exhaustive()
    }
}

impl Grammar for NativeGrammar {
    fn start(&self) -> Result<Box<dyn Constraint>> {
        Ok(Box::new(Running(self.0.start())))
    }
}

struct Running(Matcher);

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Constraint for Running {
    fn mask(&mut self, words: &mut [u32]) -> Result<()> {
        Ok(self.0.mask(words)?)
    }

    fn commit(&mut self, tokens: &[u32]) -> Result<usize> {
        Ok(self.0.commit(tokens)?)
    }

    fn forced(&mut self) -> Result<Vec<u32>> {
        Ok(self.0.forced()?)
    }

    fn is_finished(&mut self) -> Result<bool> {
        Ok(self.0.is_finished()?)
    }
}
