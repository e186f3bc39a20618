//! Constraints on answers, and the tokens that they allow next.
//!
//! The matcher is the crate `ocelli-grammar`, which is compiled into the command ([`native`]) and loaded as a module in pages. The engine uses
//! it through [`Grammar`] and [`Constraint`].

#[cfg(feature = "grammar")]
pub mod native;
mod prompt;

use crate::error::Result;

/// The required format of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// JSON that matches a schema, given as text; the order of keys in the text is the order of keys in the answer.
    JsonSchema(String),
    /// Text that a regular expression matches from beginning to end.
    Regex(String),
    /// Text derived from a Lark grammar.
    Lark(String),
    /// Text derived from a Lark grammar, some of whose rules are JSON schemas.
    Rules {
        /// The other rules.
        lark: String,
        /// The schemas.
        schemas: Vec<SchemaRule>,
    },
}

/// A rule that is JSON matching a schema.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SchemaRule {
    /// The rule's name.
    pub rule: String,
    /// The schema as text.
    pub schema: String,
    /// Location of the schema as a JSON pointer, for error messages.
    pub place: String,
}

/// A checked and compiled format, for any number of answers.
pub trait Grammar: std::fmt::Debug {
    /// The constraint at the beginning of an answer. Fails with [`crate::Error::InvalidGrammar`].
    fn start(&self) -> Result<Box<dyn Constraint>>;
}

/// The constraint within one answer. Every method fails with [`crate::Error::InvalidGrammar`] if a grammar takes more time or memory than
/// allowed.
pub trait Constraint: std::fmt::Debug {
    /// Sets the bits of the tokens that are allowed next and clears all others: token `i` is bit `i % 32` of word `i / 32`. If the answer may
    /// end here, the tokens that end it are allowed. `words`: `// [vocab / 32]`
    fn mask(&mut self, words: &mut [u32]) -> Result<()>;

    /// Appends tokens of the answer, up to the first one that is not allowed. Returns the number of tokens appended.
    fn commit(&mut self, tokens: &[u32]) -> Result<usize>;

    /// The tokens that must come next; empty if there is a choice.
    fn forced(&mut self) -> Result<Vec<u32>>;

    /// Returns true if the answer is complete and nothing may follow.
    fn is_finished(&mut self) -> Result<bool>;
}
