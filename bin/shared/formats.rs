//! Grammars of the formats that answers must have.

use std::sync::{Arc, OnceLock};

use ocelli::api::Work;
use ocelli::chat::Tokenizer;
use ocelli::engine::Engine;
use ocelli::grammar::native::{NativeGrammar, NativeGrammars};
use ocelli::{Error, Result};

/// The vocabulary of a model, prepared for grammars when the first format needs it.
#[derive(Clone)]
pub(crate) struct Formats(Arc<Vocabulary>);

struct Vocabulary {
    tokenizer: Arc<Tokenizer>,
    eos: Vec<u32>,
    grammars: OnceLock<Result<NativeGrammars>>,
}

impl Formats {
    pub(crate) fn new(engine: &Engine) -> Self {
        let (tokenizer, eos) = (engine.tokenizer().clone(), engine.manifest().chat.eos_token_ids.clone());
        Self(Arc::new(Vocabulary { tokenizer, eos, grammars: OnceLock::new() }))
    }

    /// The grammar of a request, if it asks for a format.
    ///
    /// # Errors
    /// A fault of the format.
    pub(crate) fn grammar(&self, work: &Work) -> Result<Option<NativeGrammar>> {
        let Some(wanted) = &work.format else { return Ok(None) };
        let Vocabulary { tokenizer, eos, grammars } = &*self.0;
        let grammars = grammars.get_or_init(|| NativeGrammars::new(tokenizer, eos)).as_ref();
        let grammar = grammars.map_err(Error::clone).and_then(|grammars| grammars.grammar(&wanted.format));
        grammar.map(Some).map_err(|error| wanted.locate(error))
    }
}
