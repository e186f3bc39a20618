//! Steps of a batch, for its only answer or for all answers together.

use super::answering::Answering;
use super::batch::{ActiveAnswer, Batch, BatchEvents, Departure, Left};
use super::sampled_tokens::{DrawOf, SampledTokens};
use crate::engine::Engine;
use crate::engine::control::{LOSSES, RequestContext, RequestControl};
use crate::engine::conversation::Conversation;
use crate::engine::device::backend::Backend;
use crate::engine::events::{Event, FinishReason};
use crate::error::{Error, Result};
use crate::model::{BatchRow, LanguageModel};

impl<B: Backend> Engine<B> {
    /// Advances the only answer of a batch, whose conversation is the active one. Returns true if it is complete.
    pub(super) async fn step_one(
        &mut self,
        answer: &mut ActiveAnswer<B>,
        looks_ahead: bool,
        on_event: BatchEvents<'_>,
    ) -> Result<bool> {
        let ActiveAnswer { number, answering, control, images, draws, is_resumed, .. } = answer;
        let mut tell = |event| on_event(*number, event);
        let context = &mut RequestContext::new(control, &mut tell);
        (context.losses, context.is_lean) = (answer.losses, answer.is_lean);
        let outcome = async {
            context.control.check()?;
            let encoded = answering.encoded.clone();
            let may_spend = answering.embeds || context.control.left() > 0;
            if self.conversation.entries().len() < encoded.entries.len() && may_spend {
                self.prefill_alone(&encoded, images, &mut answering.answer.timings, context).await?;
                if self.conversation.entries().len() < encoded.entries.len() {
                    return Ok(false);
                }
            }
            *images = None;
            if answering.embeds {
                let embed =
                    async |engine: &mut Self, context: &mut RequestContext<'_>| engine.embed(answering, context).await;
                return self.with_recovery(context, embed).await;
            }
            let replay = async |engine: &mut Self, _: &mut RequestContext<'_>| {
                engine.replay_some(encoded.entries.len(), &answering.answer.tokens).await
            };
            if *is_resumed && !draws.has_begun() && !self.with_recovery(context, replay).await? {
                return Ok(false);
            }
            self.decode_step(answering, draws, looks_ahead, context).await
        }
        .await;
        (answer.losses, answer.is_lean) = (context.losses, context.is_lean);
        outcome
    }

    /// Advances all answers of a batch: one joins, the others take a step.
    pub(super) async fn step_all(
        &mut self,
        batch: &mut Batch<B>,
        left: &mut Vec<Departure>,
        on_event: BatchEvents<'_>,
    ) -> Result<()> {
        let aborted = |(index, answer): (usize, &ActiveAnswer<B>)| Some((index, answer.control.check().err()?));
        let aborted: Vec<_> = batch.answers.iter().enumerate().filter_map(aborted).collect();
        let ended = aborted.into_iter().map(|(index, error)| (index, Err(error))).collect();
        self.depart_all(batch, ended, left, on_event);
        let ended = self.end_solo(&mut batch.answers, on_event).await?;
        self.depart_all(batch, ended, left, on_event);
        if let Some(index) = batch.answers.iter().position(|answer| answer.draws.free.is_none()) {
            let answer = &mut batch.answers[index];
            std::mem::swap(&mut self.conversation, &mut answer.conversation);
            let joined = self.join(answer, on_event).await;
            std::mem::swap(&mut self.conversation, &mut answer.conversation);
            let ended = match joined {
                Err(error @ (Error::DeviceLost { .. } | Error::OutOfMemory { .. })) => return Err(error),
                Ok(false) => Vec::new(),
                outcome => vec![(index, outcome.map(|_| Left::Complete))],
            };
            self.depart_all(batch, ended, left, on_event);
        }
        let tokens = self.sample_all(&mut batch.answers).await?;
        let now = (self.clock)();
        batch.answers.iter_mut().for_each(|answer| answer.count_time(now));
        let mut ended = Vec::new();
        for (index, token) in tokens {
            let answer = &mut batch.answers[index];
            match token.and_then(|token| self.take_one(answer, token, on_event)) {
                Ok(false) if answer.answering.can_share() => {}
                Ok(false) => ended.push((index, Ok(Left::Displaced))),
                outcome => ended.push((index, outcome.map(|_| Left::Complete))),
            }
        }
        self.depart_all(batch, ended, left, on_event);
        Ok(())
    }

    /// Removes several answers from a batch.
    fn depart_all(
        &mut self,
        batch: &mut Batch<B>,
        ended: Vec<(usize, Result<Left>)>,
        left: &mut Vec<Departure>,
        on_event: BatchEvents<'_>,
    ) {
        for (index, outcome) in ended.into_iter().rev() {
            if outcome.is_err() && !batch.answers[index].draws.is_in_flight() {
                // The last pass may have computed NaN.
                batch.answers[index].conversation.forget_last_pass();
            }
            left.push(self.depart(batch, index, outcome, on_event));
        }
    }

    /// Handles an error of the device. If memory ran out, the last answer waits until another one leaves. Otherwise all answers leave, and
    /// the device is reopened or memory is freed.
    pub(super) async fn displace(
        &mut self,
        batch: &mut Batch<B>,
        error: Error,
        left: &mut Vec<Departure>,
        on_event: BatchEvents<'_>,
    ) {
        let last = batch.len().saturating_sub(1);
        if matches!(error, Error::OutOfMemory { .. }) && last > 0 {
            left.push(self.depart(batch, last, Ok(Left::Displaced), on_event));
            batch.most = last;
            return;
        }
        batch.losses += 1;
        self.conversation = Conversation::default();
        let answers = std::mem::take(&mut batch.answers);
        let numbers: Vec<usize> = answers.iter().map(|answer| answer.number).collect();
        // Drop the states before the device.
        let answers: Vec<Answering> = answers.into_iter().map(|answer| answer.answering).collect();
        let mut tell = |event: Event| numbers.iter().for_each(|&number| on_event(number, event.clone()));
        let recovered = self.recover_batch(error, batch.losses, &mut tell).await;
        for (&number, answering) in numbers.iter().zip(answers) {
            left.push(Departure { number, answering, outcome: recovered.clone().map(|()| Left::Displaced) });
        }
    }

    /// Reopens a lost device, or frees memory.
    async fn recover_batch(&mut self, error: Error, losses: u32, tell: &mut dyn FnMut(Event)) -> Result<()> {
        let control = RequestControl::new();
        let context = &mut RequestContext::new(&control, tell);
        context.losses = losses.saturating_sub(1);
        match error {
            Error::DeviceLost { reason } => self.recover(context, reason).await,
            Error::OutOfMemory { .. } if losses < LOSSES => self.free_memory(context).await,
            error => Err(error),
        }
    }

    /// Computes the next chunk of a prompt or of lost tokens; after the last chunk, the next token. Returns true if the answer is complete.
    async fn join(&mut self, answer: &mut ActiveAnswer<B>, on_event: BatchEvents<'_>) -> Result<bool> {
        let (encoded, number) = (answer.answering.encoded.clone(), answer.number);
        if answer.control.left() == 0 && !answer.answering.embeds {
            return Ok(true);
        }
        {
            let ActiveAnswer { answering, control, images, .. } = &mut *answer;
            let mut tell = |event| on_event(number, event);
            let context = &mut RequestContext::new(control, &mut tell);
            if self.conversation.entries().len() < encoded.entries.len() {
                self.prefill_chunk(&encoded, images, &mut answering.answer.timings, context).await?;
                if self.conversation.entries().len() < encoded.entries.len() {
                    return Ok(false);
                }
            }
            *images = None;
            if answering.embeds {
                return self.embed(answering, context).await;
            }
            if self.limit_now(&answer.answering, &answer.control) <= answer.answering.answer.tokens.len() {
                return Ok(true);
            }
        }
        if !self.replay_some(encoded.entries.len(), &answer.answering.answer.tokens).await? {
            return Ok(false);
        }
        let mut tell = |event| on_event(number, event);
        let context = &mut RequestContext::new(&answer.control, &mut tell);
        answer.counted_at = (self.clock)();
        let drawn = answer.answering.answer.tokens.clone();
        let mut drawing = self.begin(&answer.answering.sampling, &encoded, &drawn, context).await?;
        let token = self.backend.model()?.read_token(&mut drawing.draw).await?;
        (drawing.known, drawing.is_displaced) = (Some(token), true);
        answer.draws.free = Some(drawing);
        self.take_one(answer, token, on_event)
    }

    /// Prepares an answer that was alone for shared steps by reading its token in flight. Returns the answers that end with it, by index.
    async fn end_solo(
        &mut self,
        answers: &mut [ActiveAnswer<B>],
        on_event: BatchEvents<'_>,
    ) -> Result<Vec<(usize, Result<Left>)>> {
        let (mut ended, now) = (Vec::new(), (self.clock)());
        for (index, answer) in answers.iter_mut().enumerate() {
            let Some(drawing) = &mut answer.draws.free else { continue };
            if std::mem::replace(&mut drawing.is_displaced, true) {
                continue;
            }
            answer.counted_at = now;
            if drawing.known.is_some() {
                continue;
            }
            let token = answer.conversation.draw(self.backend.model()?, &mut drawing.draw, false).await?;
            drawing.known = Some(token);
            match self.take_one(answer, token, on_event) {
                Ok(false) => {}
                outcome => ended.push((index, outcome.map(|_| Left::Complete))),
            }
        }
        Ok(ended)
    }

    /// Returns the next token or the error of every answer whose last token is known, by index.
    async fn sample_all(&mut self, answers: &mut [ActiveAnswer<B>]) -> Result<Vec<(usize, Result<u32>)>> {
        let (model, latency) = (self.backend.model()?, &self.latency);
        let pays = |count: usize| self.speculation.always() || latency.together(count) < count as f64;
        let (mut ready, mut tokens) = (Vec::new(), Vec::new());
        for (index, answer) in answers.iter_mut().enumerate().filter(|(_, answer)| answer.draws.free.is_some()) {
            answer.conversation.reserve(model, 1).await?;
            ready.push(index);
        }
        let is_alone = match &ready[..] {
            [] => return Ok(tokens),
            [_] => true,
            _ if !pays(ready.len()) => true,
            _ => !model.batch_matches_single(&mut batch_rows::<B>(answers)).await?,
        };
        if !is_alone {
            let drawn = model.batch_step(&mut batch_rows::<B>(answers)).await?;
            for (&index, token) in ready.iter().zip(&drawn) {
                let ActiveAnswer { conversation, draws, .. } = &mut answers[index];
                if let Some(known) = draws.free.as_mut().and_then(|drawing| drawing.known.as_mut()) {
                    conversation.stepped(*known);
                    *known = token.as_ref().map_or(*known, |token| *token);
                }
            }
            return Ok(ready.into_iter().zip(drawn).collect());
        }
        for index in ready {
            let ActiveAnswer { conversation, draws, answering, .. } = &mut answers[index];
            let Some(drawing) = &mut draws.free else { continue };
            let Some(known) = drawing.known else { continue };
            let place = (known, answering.answer.tokens.len());
            let token = match conversation.step_alone(model, &mut drawing.draw, place).await {
                Ok(()) => model.read_token(&mut drawing.draw).await.inspect_err(|_| conversation.forget_last_pass()),
                Err(error) => Err(error),
            };
            match token {
                // Answers that have a token already return it; the device error will recur on the next step.
                Err(Error::DeviceLost { .. } | Error::OutOfMemory { .. }) if !tokens.is_empty() => break,
                Err(error @ (Error::DeviceLost { .. } | Error::OutOfMemory { .. })) => return Err(error),
                token => {
                    drawing.known = Some(token.as_ref().map_or(known, |token| *token));
                    tokens.push((index, token));
                }
            }
        }
        Ok(tokens)
    }

    /// Adds a token to an answer. Returns true if the answer is complete.
    fn take_one(&mut self, answer: &mut ActiveAnswer<B>, token: u32, on_event: BatchEvents<'_>) -> Result<bool> {
        let ActiveAnswer { number, answering, control, draws, .. } = answer;
        let mut tell = |event| on_event(*number, event);
        let context = &mut RequestContext::new(control, &mut tell);
        let limit = self.limit_now(answering, control);
        let tokens = SampledTokens { tokens: vec![token], drafts: 0, logprob: None, ended: false };
        self.take(answering, tokens, context)?;
        if answering.answer.finish_reason != FinishReason::Stop {
            self.apply_holds(answering, draws, limit, context)?;
        }
        Ok(answering.has_ended(self.limit_now(answering, control)))
    }
}

/// Batch rows of the answers whose last token is known.
fn batch_rows<B: Backend>(
    answers: &mut [ActiveAnswer<B>],
) -> Vec<BatchRow<'_, <B::Model as LanguageModel>::State, DrawOf<B>>> {
    let mut rows = Vec::with_capacity(answers.len());
    for ActiveAnswer { answering, conversation, draws, .. } in answers {
        let drawn = answering.answer.tokens.len();
        if let (Some(drawing), Some(state)) = (&mut draws.free, conversation.held_state())
            && let Some(token) = drawing.known
        {
            rows.push(BatchRow { state, draw: &mut drawing.draw, token, drawn });
        }
    }
    rows
}
