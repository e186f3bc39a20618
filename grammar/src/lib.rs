//! Which tokens may come next so that an answer fits a JSON schema, a regular expression or a Lark grammar.
//!
//! [`schema`] makes of a JSON schema what the matcher can hold an answer to, or says which keyword cannot be enforced. [`Grammars`] is a
//! vocabulary made ready, [`Matcher`] one answer under way; the matching itself is llguidance's. Knows neither models nor GPUs.

mod error;
mod matcher;
pub mod pattern;
pub mod schema;
mod vocabulary;

pub use error::{GrammarError, Result};
pub use matcher::{Grammar, Grammars, Matcher};
pub use vocabulary::TokenTable;
