//! Grammars, from a separate wasm module that the worker loads when a request first needs it.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use js_sys::Uint32Array;
use wasm_bindgen::prelude::*;

use ocelli::chat::Tokenizer;
use ocelli::error::{Error, Result};
use ocelli::grammar::{Constraint, Grammar};
use wasm_shared::{JsResult, field};

#[wasm_bindgen]
extern "C" {
    /// `Grammar` of the grammars' module.
    #[wasm_bindgen(typescript_type = "GrammarObject")]
    pub type GrammarObject;

    #[wasm_bindgen(method, catch)]
    fn start(this: &GrammarObject) -> JsResult<MatcherObject>;

    #[wasm_bindgen(method, catch, js_name = end)]
    fn end_grammar(this: &GrammarObject) -> JsResult<()>;

    /// `Matcher` of the grammars' module.
    type MatcherObject;

    #[wasm_bindgen(method, catch)]
    fn mask(this: &MatcherObject, words: usize) -> JsResult<Uint32Array>;

    #[wasm_bindgen(method, catch)]
    fn commit(this: &MatcherObject, tokens: &[u32]) -> JsResult<usize>;

    #[wasm_bindgen(method, catch)]
    fn forced(this: &MatcherObject) -> JsResult<Vec<u32>>;

    #[wasm_bindgen(method, catch, js_name = isFinished)]
    fn is_finished(this: &MatcherObject) -> JsResult<bool>;

    #[wasm_bindgen(method, catch)]
    fn end(this: &MatcherObject) -> JsResult<()>;
}

/// Converts an exception of the grammars' module. One without a known code is a bug.
pub(crate) fn fault(thrown: &JsValue) -> Error {
    let detail = field(thrown, "detail");
    let text = |name: &str| field(&detail, name).as_string().unwrap_or_default();
    match field(thrown, "code").as_string().as_deref() {
        Some("unsupported-schema") => {
            Error::UnsupportedSchema { pointer: text("pointer"), keyword: text("keyword"), reason: text("reason") }
        }
        Some("invalid-grammar") => Error::InvalidGrammar { reason: text("reason") },
        _ => Error::Internal { detail: format!("the grammars' module threw {thrown:?}") },
    }
}

/// A grammar of that module.
pub(crate) struct WebGrammar(GrammarObject);

impl WebGrammar {
    pub(crate) fn handed_over(object: GrammarObject) -> Rc<dyn Grammar> {
        Rc::new(Self(object))
    }
}

impl fmt::Debug for WebGrammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebGrammar").finish_non_exhaustive()
    }
}

impl Drop for WebGrammar {
    fn drop(&mut self) {
        // Fails if the module was restarted: the grammar is gone then.
        drop(self.0.end_grammar());
    }
}

impl Grammar for WebGrammar {
    fn start(&self) -> Result<Box<dyn Constraint>> {
        Ok(Box::new(WebConstraint(self.0.start().map_err(|thrown| fault(&thrown))?)))
    }
}

struct WebConstraint(MatcherObject);

impl fmt::Debug for WebConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebConstraint").finish_non_exhaustive()
    }
}

impl Drop for WebConstraint {
    fn drop(&mut self) {
        // Fails like `end_grammar`.
        drop(self.0.end());
    }
}

impl Constraint for WebConstraint {
    fn mask(&mut self, words: &mut [u32]) -> Result<()> {
        let mask = self.0.mask(words.len()).map_err(|thrown| fault(&thrown))?;
        if mask.length() as usize != words.len() {
            return Err(Error::Internal { detail: format!("a mask of {} words", mask.length()) });
        }
        mask.copy_to(words);
        Ok(())
    }

    fn commit(&mut self, tokens: &[u32]) -> Result<usize> {
        self.0.commit(tokens).map_err(|thrown| fault(&thrown))
    }

    fn forced(&mut self) -> Result<Vec<u32>> {
        self.0.forced().map_err(|thrown| fault(&thrown))
    }

    fn is_finished(&mut self) -> Result<bool> {
        self.0.is_finished().map_err(|thrown| fault(&thrown))
    }
}

/// Vocabulary for the grammars' module.
#[wasm_bindgen]
pub struct OcelliVocabulary {
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) eos: Vec<u32>,
}

#[wasm_bindgen]
impl OcelliVocabulary {
    /// Bytes of all tokens, one after another.
    pub fn bytes(&self) -> Vec<u8> {
        self.tokenizer.table().0
    }

    /// Number of bytes of each token.
    pub fn lengths(&self) -> Vec<u32> {
        self.tokenizer.table().1
    }

    /// Control tokens.
    pub fn control(&self) -> Vec<u32> {
        self.tokenizer.added_ids()
    }

    /// The tokens that end an answer.
    pub fn eos(&self) -> Vec<u32> {
        self.eos.clone()
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode_text(text).unwrap_or_default()
    }
}
