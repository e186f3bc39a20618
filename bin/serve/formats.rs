//! Pictures and formats of requests, prepared outside the engine's thread: invalid ones are refused while other requests are answered.

use std::sync::{Arc, OnceLock};

use ocelli::api::Work;
use ocelli::chat::Tokenizer;
use ocelli::grammar::native::{NativeGrammar, NativeGrammars};
use ocelli::{Error, Result};

use super::jobs::Asked;
use crate::shared::api;
use crate::usage::Bill;

/// The vocabulary, prepared for the first request with a format.
#[derive(Clone)]
pub(super) struct Formats(Arc<Vocabulary>);

struct Vocabulary {
    tokenizer: Arc<Tokenizer>,
    eos: Vec<u32>,
    grammars: OnceLock<Result<NativeGrammars>>,
}

impl Formats {
    pub(super) fn new(tokenizer: Arc<Tokenizer>, eos: Vec<u32>) -> Self {
        Self(Arc::new(Vocabulary { tokenizer, eos, grammars: OnceLock::new() }))
    }

    /// Prepares a request.
    ///
    /// # Errors
    /// Errors of its pictures or its format.
    pub(super) fn asked(&self, work: Box<Work>, bill: Option<Bill>) -> Result<Asked> {
        let pictures = work.pictures.iter().map(api::sent_picture).collect::<Result<_>>()?;
        let grammar = self.grammar(&work)?;
        Ok(Asked { work, pictures, grammar, bill })
    }

    /// The same on a thread for blocking work.
    pub(super) async fn asked_elsewhere(&self, work: Box<Work>, bill: Option<Bill>) -> Result<Asked> {
        let this = self.clone();
        let outcome = tokio::task::spawn_blocking(move || this.asked(work, bill)).await;
        outcome.unwrap_or_else(|panic| Err(Error::Internal { detail: format!("a request: {panic}") }))
    }

    fn grammar(&self, work: &Work) -> Result<Option<NativeGrammar>> {
        let Some(wanted) = &work.format else { return Ok(None) };
        let Vocabulary { tokenizer, eos, grammars } = &*self.0;
        let grammars = grammars.get_or_init(|| NativeGrammars::new(tokenizer, eos)).as_ref();
        let grammar = grammars.map_err(Error::clone).and_then(|grammars| grammars.grammar(&wanted.format));
        grammar.map(Some).map_err(|error| wanted.locate(error))
    }
}
