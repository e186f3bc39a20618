//! Decoding of an answer that is alone: the device draws a token and continues with it while the CPU reads the one before. Drafts are
//! verified several at a time.

use super::answering::Answering;
use super::constrained::Constrained;
use super::sampled_tokens::{DrawOf, SampledTokens};
use super::speculate::{Draft, Speculation, Speculator, history};
use crate::engine::Engine;
use crate::engine::control::{RequestContext, RequestControl};
use crate::engine::device::backend::Backend;
use crate::engine::events::{Event, FinishReason};
use crate::engine::prompt::Encoded;
use crate::error::Result;
use crate::kernels::sample::Rules;
use crate::model::LanguageModel;
use crate::sampling::SamplingOptions;

/// Sampling state of one answer, without or within a grammar.
#[derive(Debug)]
pub(in crate::engine) struct Draws<D> {
    pub(in crate::engine) free: Option<Drawing<D>>,
    /// Draw within a grammar. Nothing is submitted after its last token.
    masked: Option<D>,
}

/// Draw without a grammar.
#[derive(Debug)]
pub(in crate::engine) struct Drawing<D> {
    pub(in crate::engine) draw: D,
    /// The last token, if nothing has been submitted after it.
    pub(in crate::engine) known: Option<u32>,
    /// Time at which the last token was read, if the next step was submitted before.
    arrived: Option<f64>,
    /// True if other answers were computed since, so that the device must be prepared to resume this one.
    pub(in crate::engine) is_displaced: bool,
}

impl<D> Default for Draws<D> {
    fn default() -> Self {
        Self { free: None, masked: None }
    }
}

impl<D> Draws<D> {
    /// Returns true if a step was submitted whose token has not been read.
    pub(in crate::engine) fn is_in_flight(&self) -> bool {
        self.free.as_ref().is_some_and(|drawing| drawing.known.is_none())
    }

    pub(in crate::engine) fn has_begun(&self) -> bool {
        self.free.is_some() || self.masked.is_some()
    }
}

impl<B: Backend> Engine<B> {
    /// Draws the next token of an answer that is alone, or several that are verified or forced together. If the engine `looks_ahead`, the
    /// next step is submitted before the token is read. Returns true if the answer is complete.
    pub(in crate::engine) async fn decode_step(
        &mut self,
        answering: &mut Answering,
        draws: &mut Draws<DrawOf<B>>,
        looks_ahead: bool,
        context: &mut RequestContext<'_>,
    ) -> Result<bool> {
        let limit = self.limit_now(answering, context.control);
        if answering.has_ended(limit) {
            return Ok(true);
        }
        let (encoded, since) = (answering.encoded.clone(), (self.clock)());
        let mut speculator = match answering.speculator.take() {
            Some(speculator) => speculator,
            None => self.speculator(&answering.sampling)?,
        };
        if let Some(grammar) = answering.grammar.take() {
            answering.constrained = Some(Constrained::new(grammar.start()?, &answering.sampling, self.clock));
        }
        let Answering { sampling, answer, constrained, .. } = &mut *answering;
        let (drawn, left) = (answer.tokens.len(), limit - answer.tokens.len());
        let step = async |engine: &mut Self, context: &mut RequestContext<'_>| {
            if let Some(constrained) = constrained.as_mut() {
                let held = engine.compute_prompt(&encoded, context).await?;
                let known = (answer.tokens.as_slice(), held);
                return engine.draw_within(constrained, &mut draws.masked, sampling, known, left).await;
            }
            // Taken, so that after an error the draw is set up again.
            let mut current = match draws.free.take() {
                Some(current) => current,
                None => engine.begin(sampling, &encoded, &answer.tokens, context).await?,
            };
            let tokens = engine.draw_some(&mut current, &mut speculator, sampling, (drawn, left, looks_ahead)).await?;
            draws.free = Some(current);
            Ok(tokens)
        };
        let tokens = self.with_recovery(context, step).await;
        let tokens = tokens.inspect_err(|_| self.conversation.forget_last_pass())?;
        answering.answer.usage.drafted_tokens = speculator.drafted;
        answering.speculator = Some(speculator);
        if let Some(constrained) = &answering.constrained {
            answering.answer.usage.forced_tokens = constrained.forced;
            answering.answer.timings.grammar_ms = constrained.ms;
        }
        self.take(answering, tokens, context)?;
        self.apply_holds(answering, draws, limit, context)?;
        let ms = (self.clock)() - since;
        answering.answer.timings.decode_ms += ms;
        context.control.spend(0, ms);
        Ok(answering.has_ended(self.limit_now(answering, context.control)))
    }

    /// Applies the constraints that begin or end with the last token: a grammar, or forced tokens.
    pub(in crate::engine) fn apply_holds(
        &mut self,
        answering: &mut Answering,
        draws: &mut Draws<DrawOf<B>>,
        limit: usize,
        context: &mut RequestContext<'_>,
    ) -> Result<()> {
        while let Some(hold) = answering.reading.take_hold() {
            // The step submitted after the last token was sampled without the constraint.
            if draws.is_in_flight() {
                self.conversation.forget_last_pass();
            }
            draws.free = None;
            if hold.is_free {
                (answering.constrained, draws.masked) = (None, None);
            }
            if let Some(grammar) = hold.grammar {
                let constrained = Constrained::new(grammar.start()?, &answering.sampling, self.clock);
                answering.constrained = Some(constrained);
            }
            let mut tokens = hold.tokens;
            tokens.truncate(limit.saturating_sub(answering.answer.tokens.len()));
            self.take(answering, SampledTokens { tokens, drafts: 0, logprob: None, ended: false }, context)?;
        }
        Ok(())
    }

    /// Most tokens that an answer may have now, by its own limit, the context and its meters.
    pub(in crate::engine) fn limit_now(&self, answering: &Answering, control: &RequestControl) -> usize {
        self.limit(answering).min(answering.answer.tokens.len().saturating_add(control.left()))
    }

    /// Most tokens of an answer, by its own limit and the context.
    fn limit(&self, answering: &Answering) -> usize {
        let room = self.backend.context() - answering.encoded.entries.len();
        answering.max_tokens.map_or(room, |max| max.min(room))
    }

    /// Speculation requires greedy sampling, and is off when log probabilities are requested, because each token is then read back.
    fn speculator(&mut self, sampling: &SamplingOptions) -> Result<Speculator> {
        let rules = Rules::new(self.backend.model()?.vocab_size(), sampling)?;
        let can_guess = rules.is_greedy() && !rules.adjusts() && sampling.logprobs.is_none();
        Ok(Speculator::new(if can_guess { self.speculation } else { Speculation::Off }))
    }

    /// Adds tokens to the answer, up to one that ends it, and truncates the conversation after them.
    pub(in crate::engine) fn take(
        &mut self,
        answering: &mut Answering,
        drawn: SampledTokens,
        context: &mut RequestContext<'_>,
    ) -> Result<()> {
        let eos = &self.backend.manifest().chat.eos_token_ids;
        let held = answering.encoded.entries.len() + answering.answer.tokens.len();
        let (mut kept, mut outcome) = (held, Ok(()));
        let mut logprob = drawn.logprob;
        for (index, token) in drawn.tokens.iter().copied().enumerate() {
            kept += 1;
            let answer = &mut answering.answer;
            if eos.contains(&token) {
                answer.finish_reason = FinishReason::Stop;
                break;
            }
            answer.tokens.push(token);
            context.control.spend(1, 0.0);
            answer.usage.accepted_tokens += usize::from(index < drawn.drafts);
            if let Some(logprob) = logprob.take() {
                // Log probabilities of reasoning are not reported.
                if !answering.reading.is_thinking() {
                    answer.logprobs.push(logprob.clone());
                    (context.on_event)(Event::Token(logprob));
                }
            }
            // Later tokens of this draw were sampled under the old constraint and are dropped.
            if answering.reading.read(token, answer, &self.tokenizer, context.on_event) {
                break;
            }
            if answering.reading.is_stopped() {
                answering.answer.finish_reason = FinishReason::Stop;
                answering.answer.stop = answering.reading.stop_string().map(str::to_owned);
                break;
            }
            outcome = context.control.check();
            if outcome.is_err() {
                break;
            }
        }
        if drawn.ended && outcome.is_ok() {
            answering.answer.finish_reason = FinishReason::Stop;
        }
        // The answer may have ended within the verified tokens.
        if self.conversation.entries().len() > kept {
            self.conversation.truncate(kept);
        }
        outcome
    }

    /// Begins to draw after the tokens `drawn`. First computes entries of prompt and answer that the conversation lacks after a loss.
    pub(in crate::engine) async fn begin(
        &mut self,
        sampling: &SamplingOptions,
        encoded: &Encoded,
        drawn: &[u32],
        context: &mut RequestContext<'_>,
    ) -> Result<Drawing<DrawOf<B>>> {
        let mut held = self.compute_prompt(encoded, context).await?;
        let model = self.backend.model()?;
        while let Some(&token) = drawn.get(held) {
            context.control.check()?;
            self.conversation.reserve(model, 1).await?;
            self.conversation.step_again(model, token).await?;
            held += 1;
        }
        let draw = self.conversation.begin(model, sampling, drawn, 0, None).await?;
        Ok(Drawing { draw, known: None, arrived: None, is_displaced: false })
    }

    /// Computes the part of the prompt that the conversation lacks after a loss. Returns how many tokens of the answer it holds.
    pub(super) async fn compute_prompt(
        &mut self,
        encoded: &Encoded,
        context: &mut RequestContext<'_>,
    ) -> Result<usize> {
        let (prompt, mut images) = (encoded.entries.len(), None);
        while self.conversation.entries().len() < prompt {
            context.control.check()?;
            self.forward(encoded, usize::MAX, &mut images, context).await?;
        }
        Ok(self.conversation.entries().len() - prompt)
    }

    /// Returns the next tokens after `drawn` others, at most `left`: the token being drawn, or those that a pass verifies.
    async fn draw_some(
        &mut self,
        drawing: &mut Drawing<DrawOf<B>>,
        speculator: &mut Speculator,
        sampling: &SamplingOptions,
        (drawn, left, looks_ahead): (usize, usize, bool),
    ) -> Result<SampledTokens> {
        let at_once = self.backend.runs_at_once() || !self.backend.model()?.runs_ahead();
        if let Some(known) = drawing.known {
            if std::mem::take(&mut drawing.is_displaced) {
                self.conversation.resume_draw(self.backend.model()?, &mut drawing.draw, known, drawn)?;
            }
            if let Some(draft) = self.propose(speculator, Some(known), left)?
                && let Some(tokens) = self.verify(drawing, speculator, (known, draft), drawn).await?
            {
                return Ok(tokens);
            }
            // A step that is not ahead of its token is timed from here.
            drawing.arrived = at_once.then(|| (self.clock)());
            self.conversation.step(self.backend.model()?, &mut drawing.draw, known).await?;
            drawing.known = None;
        }
        // If a draft can follow once this token is known, nothing is submitted before.
        let guesses = left > 1 && self.propose(speculator, None, left - 1)?.is_some();
        // Logits of the next step would overwrite those of this one.
        let goes_on = looks_ahead && !at_once && left > 1 && !guesses && sampling.logprobs.is_none();
        let token = self.conversation.draw(self.backend.model()?, &mut drawing.draw, goes_on).await?;
        drawing.known = (!goes_on).then_some(token);
        let now = (self.clock)();
        if let Some(before) = drawing.arrived.filter(|_| goes_on || at_once) {
            self.latency.stepped(now - before);
        }
        drawing.arrived = goes_on.then_some(now);
        speculator.stepped();
        let logprob = self.logprob(token, 0, sampling).await?;
        Ok(SampledTokens { tokens: vec![token], drafts: 0, logprob, ended: false })
    }

    /// Proposes up to `left` tokens after the known or drawn one.
    fn propose(&mut self, speculator: &Speculator, known: Option<u32>, left: usize) -> Result<Option<Draft>> {
        if !speculator.looks(&self.latency) {
            return Ok(None);
        }
        let Some(rows) = self.conversation.draft_rows(self.backend.model()?, left) else { return Ok(None) };
        Ok(speculator.propose(&self.latency, &history(self.conversation.entries(), known), rows))
    }

    /// Verifies a draft after a known token; `None` if the pass could not be judged.
    async fn verify(
        &mut self,
        drawing: &mut Drawing<DrawOf<B>>,
        speculator: &mut Speculator,
        (known, draft): (u32, Draft),
        drawn: usize,
    ) -> Result<Option<SampledTokens>> {
        let inputs: Vec<u32> = std::iter::once(known).chain(draft.tokens.iter().copied()).collect();
        let model = self.backend.model()?;
        if !self.conversation.drafts_match_steps(model, &inputs, drawn).await? {
            speculator.stop();
            return Ok(None);
        }
        let started = (self.clock)();
        let Some(verdict) = self.conversation.verify(model, &mut drawing.draw, &inputs, drawn).await? else {
            // The draft may be the cause, so fall back to a step.
            speculator.stop();
            return Ok(None);
        };
        self.latency.passed(inputs.len(), (self.clock)() - started);
        speculator.verified(&draft, verdict.kept - 1);
        drawing.known = Some(verdict.token);
        let tokens = inputs[1..verdict.kept].iter().copied().chain([verdict.token]).collect();
        Ok(Some(SampledTokens { tokens, drafts: verdict.kept - 1, logprob: None, ended: false }))
    }
}
