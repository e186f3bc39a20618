//! Token by token: the device draws each one and goes on with it, and the CPU reads along, a step behind. Where what comes next can be
//! guessed, several tokens are verified at once.

use super::answering::Answering;
use super::constrained::Constrained;
use super::sampled_tokens::{DrawOf, SampledTokens};
use super::speculate::{Draft, Speculation, Speculator, history};
use crate::engine::Engine;
use crate::engine::control::RequestContext;
use crate::engine::device::backend::Backend;
use crate::engine::events::{Event, FinishReason};
use crate::engine::prompt::Encoded;
use crate::error::Result;
use crate::kernels::sample::Rules;
use crate::model::LanguageModel;
use crate::sampling::SamplingOptions;

/// An answer that is being drawn.
#[derive(Debug)]
pub(in crate::engine) struct Drawing<D> {
    pub(in crate::engine) draw: D,
    /// The last token, if nothing has been submitted behind it.
    known: Option<u32>,
    /// When the last token came, if the next one was on its way.
    arrived: Option<f64>,
}

impl<B: Backend> Engine<B> {
    /// Draws the answer behind a prompt that has been computed. Returns whether it is complete, and not one that left the engine.
    pub(in crate::engine) async fn decode(
        &mut self,
        answering: &mut Answering,
        context: &mut RequestContext<'_>,
    ) -> Result<bool> {
        let encoded = answering.encoded.clone();
        let most = self.limit(answering);
        let mut speculator = match answering.speculator.take() {
            Some(speculator) => speculator,
            None => self.speculator(&answering.sampling)?,
        };
        if let Some(grammar) = answering.grammar.take() {
            answering.constrained = Some(Constrained::new(grammar.start()?, &answering.sampling, self.clock));
        }
        let can_share = answering.can_share() && self.max_batch() > 1;
        let (mut drawing, mut draw) = (None, None);
        context.control.check()?;
        loop {
            let limit = most.min(answering.answer.tokens.len().saturating_add(context.control.left()));
            if answering.answer.tokens.len() >= limit || answering.answer.finish_reason == FinishReason::Stop {
                break;
            }
            if !context.control.pass(can_share).await? {
                // Nobody has seen what was submitted behind the last token.
                self.conversation.forget_last_pass();
                answering.speculator = Some(speculator);
                return Ok(false);
            }
            // What its reader took is not the engine's time.
            let since = (self.clock)();
            let Answering { sampling, answer, constrained, .. } = &mut *answering;
            let drawn_and_left = (answer.tokens.len(), limit - answer.tokens.len());
            let step = async |engine: &mut Self, context: &mut RequestContext<'_>| {
                if let Some(constrained) = constrained.as_mut() {
                    let held = engine.compute_prompt(&encoded, context).await?;
                    let known = (answer.tokens.as_slice(), held);
                    return engine.draw_within(constrained, &mut draw, sampling, known, drawn_and_left.1).await;
                }
                // Whatever goes wrong, it is begun anew.
                let mut current = match drawing.take() {
                    Some(current) => current,
                    None => engine.begin(sampling, &encoded, &answer.tokens, context).await?,
                };
                let drawn = engine.draw_some(&mut current, &mut speculator, sampling, drawn_and_left).await?;
                drawing = Some(current);
                Ok(drawn)
            };
            let drawn = self.with_recovery(context, step).await;
            let drawn = drawn.inspect_err(|_| self.conversation.forget_last_pass())?;
            answering.answer.usage.drafted_tokens = speculator.drafted;
            if let Some(constrained) = &answering.constrained {
                answering.answer.usage.forced_tokens = constrained.forced;
                answering.answer.timings.grammar_ms = constrained.ms;
            }
            self.take(answering, drawn, context)?;
            while let Some(hold) = answering.reading.take_hold() {
                // What was submitted behind the last token was not held to it.
                if drawing.take().is_some_and(|submitted: Drawing<_>| submitted.known.is_none()) {
                    self.conversation.forget_last_pass();
                }
                if hold.is_free {
                    (answering.constrained, draw) = (None, None);
                }
                if let Some(grammar) = hold.grammar {
                    let constrained = Constrained::new(grammar.start()?, &answering.sampling, self.clock);
                    answering.constrained = Some(constrained);
                }
                let mut tokens = hold.tokens;
                tokens.truncate(limit - answering.answer.tokens.len());
                self.take(answering, SampledTokens { tokens, drafts: 0, logprob: None, ended: false }, context)?;
            }
            context.control.spend(0, (self.clock)() - since);
        }
        answering.reading.finish(&mut answering.answer, context.on_event);
        Ok(true)
    }

    /// The most tokens of an answer.
    pub(in crate::engine) fn limit(&self, answering: &Answering) -> usize {
        let room = self.backend.context() - answering.encoded.entries.len();
        answering.max_tokens.map_or(room, |max| max.min(room))
    }

    /// Only the likeliest token can be guessed, and where log probabilities are told every token is waited for.
    fn speculator(&mut self, sampling: &SamplingOptions) -> Result<Speculator> {
        let rules = Rules::new(self.backend.model()?.vocab_size(), sampling)?;
        let can_guess = rules.is_greedy() && !rules.adjusts() && sampling.logprobs.is_none();
        Ok(Speculator::new(if can_guess { self.speculation } else { Speculation::Off }))
    }

    /// Adds tokens to the answer, up to one that ends it; the conversation keeps no more.
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
                // Thoughts are no part of what is told.
                if !answering.reading.is_thinking() {
                    answer.logprobs.push(logprob.clone());
                    (context.on_event)(Event::Token(logprob));
                }
            }
            // What was drawn behind it was not held to what holds from here on.
            if answering.reading.read(token, answer, &self.tokenizer, context.on_event) {
                break;
            }
            if answering.reading.is_stopped() {
                answering.answer.finish_reason = FinishReason::Stop;
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
        // Of what was verified at once the answer may have taken the first tokens only.
        if self.conversation.entries().len() > kept {
            self.conversation.truncate(kept);
        }
        outcome
    }

    /// Has the next token drawn, behind those that have been. What the conversation lacks of prompt and answer, after a loss, is
    /// computed first.
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
            self.conversation.step_again(model, token)?;
            held += 1;
        }
        let draw = self.conversation.begin(model, sampling, drawn, 0, None).await?;
        Ok(Drawing { draw, known: None, arrived: None })
    }

    /// Computes what the conversation lacks of the prompt, after a loss. Returns how many tokens of the answer it holds.
    async fn compute_prompt(&mut self, encoded: &Encoded, context: &mut RequestContext<'_>) -> Result<usize> {
        let (prompt, mut images) = (encoded.entries.len(), None);
        while self.conversation.entries().len() < prompt {
            context.control.check()?;
            self.forward(encoded, usize::MAX, &mut images, context).await?;
        }
        Ok(self.conversation.entries().len() - prompt)
    }

    /// The next tokens behind `drawn` others, of which `left` may follow: the one that is being drawn, or as many as a pass verifies.
    async fn draw_some(
        &mut self,
        drawing: &mut Drawing<DrawOf<B>>,
        speculator: &mut Speculator,
        sampling: &SamplingOptions,
        (drawn, left): (usize, usize),
    ) -> Result<SampledTokens> {
        if let Some(known) = drawing.known {
            if let Some(draft) = self.propose(speculator, Some(known), left)?
                && let Some(tokens) = self.verify(drawing, speculator, (known, draft), drawn).await?
            {
                return Ok(tokens);
            }
            self.conversation.step(self.backend.model()?, &mut drawing.draw, known).await?;
            (drawing.known, drawing.arrived) = (None, None);
        }
        // What comes next can be guessed as soon as this token is known: nothing is submitted before it is.
        let guesses = left > 1 && self.propose(speculator, None, left - 1)?.is_some();
        // The next step's logits take the place of this one's.
        let goes_on = left > 1 && !guesses && sampling.logprobs.is_none();
        let token = self.conversation.draw(self.backend.model()?, &mut drawing.draw, goes_on).await?;
        drawing.known = (!goes_on).then_some(token);
        let now = (self.clock)();
        if let Some(before) = drawing.arrived.filter(|_| goes_on) {
            self.latency.stepped(now - before);
        }
        drawing.arrived = goes_on.then_some(now);
        speculator.stepped();
        let logprob = self.logprob(token, 0, sampling).await?;
        Ok(SampledTokens { tokens: vec![token], drafts: 0, logprob, ended: false })
    }

    /// What may follow the token that is known, or that is being drawn, and up to `left` tokens in all.
    fn propose(&mut self, speculator: &Speculator, known: Option<u32>, left: usize) -> Result<Option<Draft>> {
        if !speculator.looks(&self.latency) {
            return Ok(None);
        }
        let Some(rows) = self.conversation.draft_rows(self.backend.model()?, left) else { return Ok(None) };
        Ok(speculator.propose(&self.latency, &history(self.conversation.entries(), known), rows))
    }

    /// Verifies a draft behind a token that is known; none if it could not be judged.
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
            // Perhaps by a draft's fault: then a step will do.
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
