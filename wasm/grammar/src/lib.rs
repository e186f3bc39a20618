//! Exports of the wasm module for the worker of the npm package. Exceptions are `{ code, message, detail }`.

#![cfg(target_arch = "wasm32")]

use js_sys::{Function, Uint32Array};
use ocelli_grammar::{Grammar, GrammarError, Grammars, Matcher, TokenTable};
use serde::Serialize;
use serde_json::Value;
use wasm_bindgen::prelude::*;

type JsResult<T> = Result<T, JsValue>;

#[derive(Serialize)]
struct ErrorObject<'a> {
    code: &'static str,
    message: &'a str,
    detail: &'a GrammarError,
}

fn error_object(error: GrammarError) -> JsValue {
    let message = &error.to_string();
    let object = ErrorObject { code: error.code(), message, detail: &error };
    // Strings always serialize; if they did not, the message would still arrive.
    serde_json::to_string(&object)
        .ok()
        .and_then(|json| js_sys::JSON::parse(&json).ok())
        .unwrap_or_else(|| message.into())
}

fn invalid(reason: impl ToString) -> JsValue {
    error_object(GrammarError::InvalidGrammar { reason: reason.to_string() })
}

/// Runs once when the module is loaded: prints panics, which are always bugs, with their location.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// A JavaScript function, in a module with one thread.
struct OneThread(Function);

// SAFETY: the module is compiled without threads, so nothing is ever sent to another or shared with one.
unsafe impl Send for OneThread {}
// SAFETY: see above.
unsafe impl Sync for OneThread {}

impl OneThread {
    fn tokens(&self, text: &str) -> Vec<u32> {
        let said = self.0.call1(&JsValue::NULL, &text.into());
        said.ok()
            .and_then(|tokens| tokens.dyn_into::<Uint32Array>().ok())
            .map(|tokens| tokens.to_vec())
            .unwrap_or_default()
    }
}

/// A vocabulary prepared for grammars.
#[wasm_bindgen(js_name = Grammars)]
pub struct WebGrammars(Grammars);

#[wasm_bindgen(js_class = Grammars)]
impl WebGrammars {
    /// Prepares a vocabulary from the bytes of all tokens, one after another, and the length of each. `encode` is the tokenizer.
    #[wasm_bindgen(constructor)]
    pub fn new(
        bytes: Vec<u8>,
        lengths: Vec<u32>,
        control: Vec<u32>,
        eos: Vec<u32>,
        #[wasm_bindgen(unchecked_param_type = "(text: string) => Uint32Array")] encode: Function,
    ) -> JsResult<WebGrammars> {
        let encode = OneThread(encode);
        let table = TokenTable { bytes, lengths, control, eos };
        Grammars::new(&table, move |text| encode.tokens(text)).map(Self).map_err(error_object)
    }

    /// Compiles a grammar. `kind` is `json_schema`, `regex`, `lark`, or `rules`: a Lark grammar with rules that are schemas, as JSON
    /// `{ lark, schemas: { rule, schema, place }[] }`.
    pub fn grammar(&self, kind: &str, text: &str) -> JsResult<WebGrammar> {
        let grammar = match kind {
            "json_schema" => self.0.json_schema(text),
            "regex" => self.0.regex(text),
            "lark" => self.0.lark(text),
            "rules" => {
                let rules: Value = serde_json::from_str(text).map_err(invalid)?;
                let text = |object: &'_ Value, name: &str| object[name].as_str().unwrap_or_default().to_owned();
                let schemas: Vec<[String; 3]> = rules["schemas"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|rule| ["rule", "schema", "place"].map(|name| text(rule, name)))
                    .collect();
                let each = schemas.iter().map(|[rule, schema, place]| (rule.as_str(), schema.as_str(), place.as_str()));
                self.0.rules(&text(&rules, "lark"), each)
            }
            other => return Err(invalid(format!("{other:?} is no kind of grammar"))),
        };
        grammar.map(WebGrammar).map_err(error_object)
    }
}

/// A compiled grammar, for any number of answers.
#[wasm_bindgen(js_name = Grammar)]
pub struct WebGrammar(Grammar);

#[wasm_bindgen(js_class = Grammar)]
impl WebGrammar {
    /// A matcher at the start of an answer.
    pub fn start(&self) -> WebMatcher {
        WebMatcher(self.0.start())
    }

    /// Frees the grammar. Unlike `free`, it throws if the module was restarted in the meantime and there is nothing to free.
    pub fn end(self) {}
}

/// The state of one answer.
#[wasm_bindgen(js_name = Matcher)]
pub struct WebMatcher(Matcher);

#[wasm_bindgen(js_class = Matcher)]
impl WebMatcher {
    /// Bit mask of the tokens that are allowed next, in `words` words.
    pub fn mask(&mut self, words: usize) -> JsResult<Vec<u32>> {
        let mut mask = vec![0; words];
        self.0.mask(&mut mask).map_err(error_object)?;
        Ok(mask)
    }

    /// Appends tokens up to the first that is not allowed. Returns the number of tokens appended.
    pub fn commit(&mut self, tokens: &[u32]) -> JsResult<usize> {
        self.0.commit(tokens).map_err(error_object)
    }

    /// The forced tokens.
    pub fn forced(&mut self) -> JsResult<Vec<u32>> {
        self.0.forced().map_err(error_object)
    }

    /// Returns true if nothing may follow.
    #[wasm_bindgen(js_name = isFinished)]
    pub fn is_finished(&mut self) -> JsResult<bool> {
        self.0.is_finished().map_err(error_object)
    }

    /// Frees the matcher, like [`WebGrammar::end`].
    pub fn end(self) {}
}
