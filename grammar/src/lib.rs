//! Constraints on generated text: which tokens may come next so that an answer matches a JSON schema, a regular expression or a Lark grammar.
//!
//! [`schema`] converts a JSON schema to one that the matcher enforces, or names the keyword that cannot be enforced. [`Grammars`] is a prepared
//! vocabulary, [`Matcher`] the state of one answer; matching is done by llguidance. Independent of models and GPUs.

#![forbid(unsafe_code)]

mod error;
mod lark;
mod matcher;
pub mod pattern;
pub mod schema;
mod shortest;
mod vocabulary;

pub use error::{GrammarError, Result};
pub use matcher::{Grammar, Grammars, Matcher};
pub use vocabulary::TokenTable;
