//! Compiled grammars, and the state of an answer.

use std::sync::Arc;

use llguidance::api::{GrammarInit, ParserLimits, StopReason, TopLevelGrammar};
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{InferenceCapabilities, TokEnv};
use llguidance::{Logger, ParserFactory};

use crate::error::{GrammarError, Result};
use crate::lark;
use crate::schema::Schema;
use crate::shortest;
use crate::vocabulary::{TokenTable, Vocabulary};

/// Longest text of a regular expression or Lark grammar in bytes.
const MAX_TEXT: usize = 256 << 10;

/// Largest number of consecutive bytes without a choice.
const MAX_FORCED: usize = 64 << 10;

/// Stack of the thread that compiles grammars, in bytes. llguidance recurses into rules, schemas and regular expressions.
#[cfg(not(target_arch = "wasm32"))]
const STACK: usize = 64 << 20;

/// Calls `compile` on a thread with a large stack. wasm modules have one stack, whose size is fixed when they are linked.
fn with_stack<T: Send>(compile: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    #[cfg(target_arch = "wasm32")]
    return compile();
    #[cfg(not(target_arch = "wasm32"))]
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, compile);
        thread.map_err(GrammarError::invalid)?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Limits of time and memory: about 100 ms to compile a grammar, 20 ms for a mask, and 64 MB for both.
fn limits() -> ParserLimits {
    ParserLimits { max_lexer_states: 32_000, verbose_errors: false, ..ParserLimits::default() }
}

/// A vocabulary prepared for grammars.
pub struct Grammars {
    factory: ParserFactory,
}

impl Grammars {
    /// Prepares a vocabulary, which takes half a second for 131,072 tokens. `encode` is the model's tokenizer, used for text without a choice.
    ///
    /// # Errors
    /// [`GrammarError::InvalidGrammar`] for an inconsistent table.
    pub fn new(table: &TokenTable, encode: impl Fn(&str) -> Vec<u32> + Send + Sync + 'static) -> Result<Self> {
        let vocabulary: TokEnv = Arc::new(Vocabulary { trie: table.trie()?, encode: Box::new(encode) });
        let slices = SlicedBiasComputer::json_slices();
        let mut factory = ParserFactory::new(&vocabulary, InferenceCapabilities::default(), &slices)
            .map_err(GrammarError::invalid)?;
        factory.quiet();
        *factory.limits_mut() = limits();
        Ok(Self { factory })
    }

    /// Compiles a JSON schema, given as text. The order of keys in the text is the order of keys in answers.
    ///
    /// # Errors
    /// [`GrammarError::UnsupportedSchema`] that names the location and the keyword.
    pub fn json_schema(&self, text: &str) -> Result<Grammar> {
        with_stack(|| {
            let schema = Schema::parse(text)?;
            let compile = |normal| self.compile(TopLevelGrammar::from_json_schema(normal));
            compile(schema.normal("")?).map_err(|error| schema.locate(&error, |normal| compile(normal).is_ok()))
        })
    }

    /// Compiles a regular expression that matches whole answers, in the syntax of Rust's `regex` without look-around.
    ///
    /// # Errors
    /// [`GrammarError::InvalidGrammar`].
    pub fn regex(&self, text: &str) -> Result<Grammar> {
        check_length(text)?;
        shortest::check(text).map_err(GrammarError::invalid)?;
        with_stack(|| self.compile(TopLevelGrammar::from_regex(text)))
    }

    /// Compiles a Lark grammar with the rule `start`, in llguidance's variant of the syntax.
    ///
    /// # Errors
    /// [`GrammarError::InvalidGrammar`].
    pub fn lark(&self, text: &str) -> Result<Grammar> {
        check_length(text)?;
        lark::check(text, lark::MAX_DEFINITIONS)?;
        with_stack(|| self.compile(TopLevelGrammar::from_lark(text.into())))
    }

    /// Compiles a Lark grammar some of whose rules are JSON schemas, given by name, text of the schema, and JSON pointer to it.
    ///
    /// # Errors
    /// [`GrammarError::UnsupportedSchema`] that names the location and the keyword, [`GrammarError::InvalidGrammar`].
    pub fn rules<'a>(
        &self,
        lark: &str,
        schemas: impl IntoIterator<Item = (&'a str, &'a str, &'a str)> + Send,
    ) -> Result<Grammar> {
        check_length(lark)?;
        lark::check(lark, lark::MAX_TOOL_DEFINITIONS)?;
        with_stack(|| self.compile_rules(lark, schemas))
    }

    fn compile_rules<'a>(
        &self,
        lark: &str,
        schemas: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Result<Grammar> {
        let (mut whole, mut read) = (lark.to_owned(), Vec::new());
        for (rule, text, place) in schemas {
            let schema = Schema::parse(text).and_then(|schema| Ok((schema.normal("")?, schema)));
            let (normal, schema) = schema.map_err(|error| error.within(place))?;
            whole += &format!("{rule}: %json {normal}\n");
            read.push((schema, normal, place));
        }
        self.compile(TopLevelGrammar::from_lark(whole)).map_err(|error| {
            let compile = |normal| self.compile(TopLevelGrammar::from_json_schema(normal));
            let refused = read.into_iter().find_map(|(schema, normal, place)| {
                let error = compile(normal).err()?;
                Some(schema.locate(&error, |normal| compile(normal).is_ok()).within(place))
            });
            refused.unwrap_or(error)
        })
    }

    fn compile(&self, grammar: TopLevelGrammar) -> Result<Grammar> {
        let (init, logger) = (GrammarInit::Serialized(grammar), Logger::new(0, 0));
        let capabilities = InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() };
        let parser =
            self.factory.create_parser_from_init_ext(init, logger, capabilities, self.factory.limits().clone());
        let grammar = Grammar(llguidance::Matcher::new(parser));
        // A grammar that exceeds the limits at its beginning is refused before anything is generated.
        let mut trial = grammar.start();
        if !trial.is_finished()? && trial.forced()?.is_empty() {
            trial.mask(&mut [])?;
        }
        Ok(grammar)
    }
}

fn check_length(text: &str) -> Result<()> {
    if text.len() <= MAX_TEXT {
        return Ok(());
    }
    Err(GrammarError::invalid(format!("{} bytes are more than the {MAX_TEXT} allowed", text.len())))
}

/// A compiled grammar, for any number of answers.
pub struct Grammar(llguidance::Matcher);

impl Grammar {
    /// The matcher at the beginning of an answer.
    pub fn start(&self) -> Matcher {
        Matcher(self.0.deep_clone())
    }
}

/// The state of one answer. Every method fails with [`GrammarError::InvalidGrammar`] if the grammar takes more time or memory than allowed;
/// after that the matcher must not be used.
pub struct Matcher(llguidance::Matcher);

impl Matcher {
    /// Sets the bits of the tokens that are allowed next and clears all others: token `i` is bit `i % 32` of word `i / 32`.
    ///
    /// # Errors
    /// See [`Matcher`].
    pub fn mask(&mut self, words: &mut [u32]) -> Result<()> {
        let mask = self.0.compute_mask_or_eos().map_err(GrammarError::invalid)?;
        words.fill(0);
        words.iter_mut().zip(mask.as_slice()).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    /// Appends tokens of the answer, up to the first that the grammar does not allow. Returns the number of tokens appended.
    ///
    /// # Errors
    /// See [`Matcher`].
    pub fn commit(&mut self, tokens: &[u32]) -> Result<usize> {
        self.0.try_consume_tokens(tokens).map_err(GrammarError::invalid)
    }

    /// The tokens that must come next; empty if there is a choice.
    ///
    /// # Errors
    /// See [`Matcher`].
    pub fn forced(&mut self) -> Result<Vec<u32>> {
        if self.0.is_stopped() {
            return self.state().map(|_| Vec::new());
        }
        let bytes = self.0.compute_ff_bytes().len();
        if bytes > MAX_FORCED {
            return Err(GrammarError::invalid(format!(
                "{bytes} bytes without a choice are more than the {MAX_FORCED} allowed"
            )));
        }
        let tokens = self.0.compute_ff_tokens();
        self.state().map(|_| tokens)
    }

    /// Returns true if the answer is complete and nothing may follow.
    ///
    /// # Errors
    /// See [`Matcher`].
    pub fn is_finished(&mut self) -> Result<bool> {
        self.state()
    }

    fn state(&self) -> Result<bool> {
        match (self.0.get_error(), self.0.stop_reason()) {
            (Some(reason), _) => Err(GrammarError::invalid(reason)),
            (None, StopReason::NotStopped) => Ok(false),
            (None, reason) if reason.is_ok() => Ok(true),
            (None, reason) => Err(GrammarError::invalid(reason)),
        }
    }
}
