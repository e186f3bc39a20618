//! What an answer must be, and which tokens that allows next.
//!
//! The matching is `ocelli-grammar`'s, which is compiled into the command ([`native`]). The engine sees it through [`Grammar`] and
//! [`Constraint`].

#[cfg(feature = "grammar")]
pub mod native;
mod prompt;

use crate::error::Result;

/// What an answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// JSON that fits a schema, which is given as text: keys come in its order.
    JsonSchema(String),
    /// What a regular expression matches from beginning to end.
    Regex(String),
    /// What a Lark grammar derives.
    Lark(String),
    /// What a Lark grammar derives some of whose rules are JSON that fits a schema.
    Rules {
        /// The other rules.
        lark: String,
        /// The schemas.
        schemas: Vec<SchemaRule>,
    },
}

/// A rule that is JSON which fits a schema.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SchemaRule {
    /// The rule's name.
    pub rule: String,
    /// The schema as text.
    pub schema: String,
    /// Where the schema stands, as a JSON pointer: where in it something is wrong is told from there.
    pub place: String,
}

/// A format, checked and made ready, for any number of answers.
pub trait Grammar: std::fmt::Debug {
    /// An answer that has not begun. Fails with [`crate::Error::InvalidGrammar`].
    fn start(&self) -> Result<Box<dyn Constraint>>;
}

/// What may come next in one answer. Every method fails with [`crate::Error::InvalidGrammar`] where a grammar takes more time or memory
/// than allowed.
pub trait Constraint: std::fmt::Debug {
    /// Sets the bits of the tokens that may come next, and clears all others: token `i` is bit `i % 32` of word `i / 32`. The tokens that
    /// end an answer are among them where it may end. `words`: `// [vocab / 32]`
    fn mask(&mut self, words: &mut [u32]) -> Result<()>;

    /// Takes tokens of the answer, up to the first that may not come. Returns how many.
    fn commit(&mut self, tokens: &[u32]) -> Result<usize>;

    /// The tokens that must come next; none where there is a choice.
    fn forced(&mut self) -> Result<Vec<u32>>;

    /// Whether the answer is whole and nothing may follow.
    fn is_finished(&mut self) -> Result<bool>;
}
