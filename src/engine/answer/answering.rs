//! State of an answer, apart from its conversation.

use std::rc::Rc;

use super::constrained::Constrained;
use super::options::{AnswerOptions, CallOptions, ThoughtOptions};
use super::reader::AnswerReader;
use super::speculate::Speculator;
use crate::engine::Engine;
use crate::engine::device::backend::Backend;
use crate::engine::events::{Completion, Event, FinishReason};
use crate::engine::prompt::{ContextEntry, Encoded};
use crate::error::{Error, Result};
use crate::grammar::Grammar;
use crate::sampling::SamplingOptions;

/// State of an answer outside the KV cache. It can be parked while others run; its conversation is found in the cache like any other.
#[derive(Debug)]
pub struct Answering {
    pub(in crate::engine) encoded: Rc<Encoded>,
    pub(in crate::engine) sampling: SamplingOptions,
    pub(in crate::engine) max_tokens: Option<usize>,
    /// True if the answer is the prompt's last hidden state, without tokens.
    pub(in crate::engine) embeds: bool,
    /// Reads reasoning, text and tool calls from its tokens.
    pub(in crate::engine) reading: AnswerReader,
    /// Set when decoding begins.
    pub(in crate::engine) speculator: Option<Speculator>,
    /// Grammar of the answer, until decoding begins.
    pub(in crate::engine) grammar: Option<Rc<dyn Grammar>>,
    /// State of the grammar, from the first token that it constrains.
    pub(in crate::engine) constrained: Option<Constrained>,
    pub(in crate::engine) answer: Completion,
}

impl Answering {
    /// Creates an answer to a prompt from [`Engine::encode`], within a grammar if there is one. If calls or reasoning come first, the
    /// grammar applies after the token that begins the first call or ends the reasoning.
    pub fn new(encoded: Rc<Encoded>, mut options: AnswerOptions, mut grammar: Option<Rc<dyn Grammar>>) -> Self {
        let (mut reading, answer) = (AnswerReader::new(std::mem::take(&mut options.stop)), Completion::default());
        if let Some(CallOptions { syntax, forms, at_once }) = options.calls.take() {
            let later = if at_once { None } else { grammar.take() };
            reading.read_calls(&syntax, forms, later);
        }
        if let Some(ThoughtOptions { syntax, budget }) = options.thoughts.take() {
            reading.read_thoughts(syntax, budget, grammar.take());
        }
        let (speculator, constrained) = (None, None);
        let AnswerOptions { sampling, max_tokens, embeds, .. } = options;
        Self { encoded, sampling, max_tokens, embeds, reading, speculator, grammar, constrained, answer }
    }

    /// The prompt.
    pub fn encoded(&self) -> &Rc<Encoded> {
        &self.encoded
    }

    /// The answer so far.
    pub fn completion(&self) -> &Completion {
        &self.answer
    }

    /// Returns true if the answer can share steps with others: no grammar constrains it, and no log probabilities are requested.
    pub fn can_share(&self) -> bool {
        let is_bound = self.grammar.is_some() || self.constrained.is_some() || self.reading.expects_calls();
        !is_bound && self.sampling.logprobs.is_none()
    }

    /// Returns true if the answer is complete or has `limit` tokens.
    pub(in crate::engine) fn has_ended(&self, limit: usize) -> bool {
        self.answer.tokens.len() >= limit || self.answer.finish_reason == FinishReason::Stop
    }

    /// Entries of the conversation after the answer's last token was computed.
    fn entries(&self) -> Vec<ContextEntry> {
        let drawn = self.answer.tokens.iter().map(|&token| ContextEntry::Token(token));
        self.encoded.entries.iter().copied().chain(drawn).collect()
    }
}

impl<B: Backend> Engine<B> {
    /// Checks an answer and reports the events known before decoding. Returns the entries of its conversation.
    pub(in crate::engine) fn open(
        &self,
        answering: &mut Answering,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Vec<ContextEntry>> {
        answering.sampling.validate()?;
        let Answering { encoded, answer, .. } = &mut *answering;
        let (tokens, context) = (encoded.ids.len(), self.backend.context());
        // At least one token of the answer must fit.
        if tokens >= context {
            return Err(Error::ContextOverflow { tokens: tokens + 1, context });
        }
        if answer.usage.prompt_tokens == 0 {
            answer.usage.prompt_tokens = tokens;
            answer.timings.prepare_ms = encoded.ms;
            answer.pictures.clone_from(&encoded.shown);
            encoded.events.iter().cloned().for_each(on_event);
        }
        Ok(answering.entries())
    }
}
