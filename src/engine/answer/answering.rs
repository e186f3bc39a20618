//! An answer under way, which can leave the engine to another one and come back.

use std::rc::Rc;
use std::sync::Arc;

use super::constrained::Constrained;
use super::reader::AnswerReader;
use super::speculate::Speculator;
use crate::chat::{CallSyntax, ThoughtSyntax, ToolForms};
use crate::engine::control::{RequestContext, RequestControl};
use crate::engine::device::backend::Backend;
use crate::engine::events::{Completion, Event};
use crate::engine::prompt::{ContextEntry, Encoded};
use crate::engine::{Engine, Request};
use crate::error::{Error, Result};
use crate::grammar::Grammar;
use crate::sampling::SamplingOptions;

/// An answer under way. The engine holds none of it: what has been computed is found again as any conversation is.
#[derive(Debug)]
pub struct Answering {
    pub(in crate::engine) encoded: Rc<Encoded>,
    pub(in crate::engine) sampling: SamplingOptions,
    pub(in crate::engine) max_tokens: Option<usize>,
    /// What is read from its tokens.
    pub(in crate::engine) reading: AnswerReader,
    /// From the first token on.
    pub(in crate::engine) speculator: Option<Speculator>,
    /// What the answer must be, until it begins.
    pub(in crate::engine) grammar: Option<Rc<dyn Grammar>>,
    /// From the first token on that it holds.
    pub(in crate::engine) constrained: Option<Constrained>,
    pub(in crate::engine) answer: Completion,
}

impl Answering {
    /// An answer to a prompt that [`Engine::encode`] made, of at most `max_tokens`, which ends before any of the strings `stop`.
    pub fn new(encoded: Rc<Encoded>, sampling: SamplingOptions, max_tokens: Option<usize>, stop: Vec<String>) -> Self {
        let (reading, answer) = (AnswerReader::new(stop), Completion::default());
        let (speculator, grammar, constrained) = (None, None, None);
        Self { encoded, sampling, max_tokens, reading, speculator, grammar, constrained, answer }
    }

    /// The same within a grammar, if there is one.
    #[must_use]
    pub fn within(self, grammar: Option<Rc<dyn Grammar>>) -> Self {
        Self { grammar, ..self }
    }

    /// The same with calls of tools read from it, whose arguments are written in `forms`. `later` is the grammar of what follows the token that begins the first call, where
    /// nothing holds the answer before.
    #[must_use]
    pub fn calling(mut self, syntax: &CallSyntax, forms: Arc<ToolForms>, later: Option<Rc<dyn Grammar>>) -> Self {
        self.reading.read_calls(syntax, forms, later);
        self
    }

    /// The same behind thoughts of at most `budget` tokens, at least one, within which the prompt ends. What the answer must be holds
    /// behind them.
    #[must_use]
    pub fn thinking(mut self, syntax: Arc<ThoughtSyntax>, budget: Option<usize>) -> Self {
        let later = self.grammar.take();
        self.reading.read_thoughts(syntax, budget, later);
        self
    }

    /// What the answer is by now.
    pub fn completion(&self) -> &Completion {
        &self.answer
    }

    /// What the conversation holds when the answer's last token is computed.
    fn entries(&self) -> Vec<ContextEntry> {
        let drawn = self.answer.tokens.iter().map(|&token| ContextEntry::Token(token));
        self.encoded.entries.iter().copied().chain(drawn).collect()
    }
}

impl<B: Backend> Engine<B> {
    /// Answers a request. Whatever goes wrong, and when it is cancelled, the engine can be used again. A device that is lost
    /// meanwhile is opened again, and the answer goes on where it was.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], [`Error::InvalidImage`], [`Error::ImageTooLarge`], [`Error::ContextOverflow`],
    /// [`Error::Aborted`], [`Error::DeviceLost`] if that happens again and again, or what else the device says.
    pub async fn generate(
        &mut self,
        request: &Request,
        control: &RequestControl,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Completion> {
        request.sampling.validate()?;
        let encoded = Rc::new(self.encode(&request.prompt, &request.pictures)?);
        let Request { sampling, max_tokens, stop, grammar, .. } = request;
        let answering = Answering::new(encoded, sampling.clone(), *max_tokens, stop.clone());
        let mut answering = answering.within(grammar.clone());
        while !self.resume(&mut answering, control, on_event).await? {}
        Ok(answering.answer)
    }

    /// Begins an answer, or goes on where it left the engine. Returns whether it is complete; it is not if it left because it was
    /// [held](RequestControl::hold) while others [wanted](RequestControl::yield_to_others) the engine. What others have then put in the place of its
    /// conversation is computed anew.
    ///
    /// # Errors
    /// As [`Self::generate`].
    pub async fn resume(
        &mut self,
        answering: &mut Answering,
        control: &RequestControl,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<bool> {
        let is_new = answering.answer.usage.prompt_tokens == 0;
        let wanted = self.open(answering, on_event)?;
        let (encoded, context) = (answering.encoded.clone(), &mut RequestContext::new(control, on_event));
        self.switch_to(&wanted);
        answering.answer.timings.prefill_ms += self.recall(&wanted, control).await;
        let common = self.conversation.common(&wanted);
        if self.conversation.rewind(common, &encoded.pictures) < encoded.ids.len() {
            let cached = self.prefill(&encoded, &mut answering.answer.timings, context).await?;
            if is_new {
                answering.answer.usage.cached_tokens = cached;
            }
        }
        let started = (self.clock)();
        let is_complete = self.decode(answering, context).await;
        let answer = &mut answering.answer;
        answer.timings.decode_ms += (self.clock)() - started;
        answer.usage.completion_tokens = answer.tokens.len();
        is_complete
    }

    /// Tells what is known of an answer before it begins. Returns what the conversation is to hold.
    pub(in crate::engine) fn open(
        &self,
        answering: &mut Answering,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Vec<ContextEntry>> {
        answering.sampling.validate()?;
        let Answering { encoded, answer, .. } = &mut *answering;
        let (tokens, context) = (encoded.ids.len(), self.backend.context());
        // One token of an answer must fit as well.
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
