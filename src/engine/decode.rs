//! Token by token: the device draws each one and goes on with it, and the CPU reads along, a step behind. Where what comes next can be
//! guessed, several tokens are verified at once.

use super::backend::Backend;
use super::events::{Completion, Event, FinishReason, RequestContext};
use super::prompt::Encoded;
use super::speculate::{Draft, Speculation, Speculator, history};
use super::{Engine, Request};
use crate::chat::TextStream;
use crate::error::Result;
use crate::kernels::sample::Rules;
use crate::model::LanguageModel;

/// An answer that is being drawn.
#[derive(Debug)]
struct Drawing<D> {
    draw: D,
    /// The last token, if nothing has been submitted behind it.
    known: Option<u32>,
    /// When the last token came, if the next one was on its way.
    arrived: Option<f64>,
}

/// Tokens that came at once.
#[derive(Debug)]
struct Drawn {
    tokens: Vec<u32>,
    /// The first of them, which were drafts.
    drafts: usize,
}

/// The draws of a backend's model.
type DrawOf<B> = <<B as Backend>::Model as LanguageModel>::Draw;

impl<B: Backend> Engine<B> {
    /// Draws the answer behind a prompt that has been computed.
    pub(super) async fn decode(
        &mut self,
        answer: &mut Completion,
        request: &Request,
        encoded: &Encoded,
        context: &mut RequestContext<'_>,
    ) -> Result<()> {
        let room = self.backend.context() - encoded.entries.len();
        let limit = request.max_tokens.map_or(room, |max| max.min(room));
        let mut stream = TextStream::new(request.stop.clone());
        let rules = Rules::new(self.backend.model()?.vocab_size(), &request.sampling)?;
        // Only the likeliest token can be guessed.
        let can_guess = rules.is_greedy() && !rules.adjusts();
        let mut speculator = Speculator::new(if can_guess { self.speculation } else { Speculation::Off });
        let mut drawing = None;
        context.cancel.check()?;
        while answer.tokens.len() < limit && answer.finish_reason != FinishReason::Stop {
            let drawn_and_left = (answer.tokens.len(), limit - answer.tokens.len());
            let step = async |engine: &mut Self, context: &mut RequestContext<'_>| {
                // Whatever goes wrong, it is begun anew.
                let mut current = match drawing.take() {
                    Some(current) => current,
                    None => engine.begin(request, encoded, &answer.tokens, context).await?,
                };
                let drawn = engine.draw_some(&mut current, &mut speculator, drawn_and_left).await?;
                drawing = Some(current);
                Ok(drawn)
            };
            let drawn = self.with_recovery(context, step).await;
            let drawn = drawn.inspect_err(|_| self.conversation.forget_last_pass())?;
            answer.usage.drafted_tokens = speculator.drafted;
            self.take(answer, drawn, &mut stream, encoded, context)?;
        }
        say(answer, stream.finish(), context.on_event);
        Ok(())
    }

    /// Adds tokens to the answer, up to one that ends it; the conversation keeps no more.
    fn take(
        &mut self,
        answer: &mut Completion,
        drawn: Drawn,
        stream: &mut TextStream,
        encoded: &Encoded,
        context: &mut RequestContext<'_>,
    ) -> Result<()> {
        let (mut kept, mut outcome) = (encoded.entries.len() + answer.tokens.len(), Ok(()));
        for (index, token) in drawn.tokens.into_iter().enumerate() {
            kept += 1;
            if self.backend.manifest().chat.eos_token_ids.contains(&token) {
                answer.finish_reason = FinishReason::Stop;
                break;
            }
            answer.tokens.push(token);
            answer.usage.accepted_tokens += usize::from(index < drawn.drafts);
            // Control tokens other than the end print nothing.
            let text = stream.push(self.tokenizer.token_bytes(token).unwrap_or_default());
            say(answer, text, context.on_event);
            if stream.is_stopped() {
                answer.finish_reason = FinishReason::Stop;
                break;
            }
            outcome = context.cancel.check();
            if outcome.is_err() {
                break;
            }
        }
        // Of what was verified at once the answer may have taken the first tokens only.
        if self.conversation.entries().len() > kept {
            self.conversation.truncate(kept);
        }
        outcome
    }

    /// Has the next token drawn, behind those that have been. What the conversation lacks of prompt and answer, after a loss, is
    /// computed first.
    async fn begin(
        &mut self,
        request: &Request,
        encoded: &Encoded,
        drawn: &[u32],
        context: &mut RequestContext<'_>,
    ) -> Result<Drawing<DrawOf<B>>> {
        let (prompt, mut images) = (encoded.entries.len(), None);
        while self.conversation.entries().len() < prompt {
            self.forward(encoded, usize::MAX, &mut images, context).await?;
        }
        let model = self.backend.model()?;
        while let Some(&token) = drawn.get(self.conversation.entries().len() - prompt) {
            self.conversation.reserve(model, 1).await?;
            self.conversation.step_again(model, token)?;
        }
        let draw = self.conversation.begin(model, &request.sampling, drawn).await?;
        Ok(Drawing { draw, known: None, arrived: None })
    }

    /// The next tokens behind `drawn` others, of which `left` may follow: the one that is being drawn, or as many as a pass verifies.
    async fn draw_some(
        &mut self,
        drawing: &mut Drawing<DrawOf<B>>,
        speculator: &mut Speculator,
        (drawn, left): (usize, usize),
    ) -> Result<Drawn> {
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
        let waits = left > 1 && self.propose(speculator, None, left - 1)?.is_some();
        let goes_on = left > 1 && !waits;
        let token = self.conversation.draw(self.backend.model()?, &mut drawing.draw, goes_on).await?;
        drawing.known = (!goes_on).then_some(token);
        let now = (self.clock)();
        if let Some(before) = drawing.arrived.filter(|_| goes_on) {
            self.latency.stepped(now - before);
        }
        drawing.arrived = goes_on.then_some(now);
        speculator.stepped();
        Ok(Drawn { tokens: vec![token], drafts: 0 })
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
    ) -> Result<Option<Drawn>> {
        let inputs: Vec<u32> = std::iter::once(known).chain(draft.tokens.iter().copied()).collect();
        let model = self.backend.model()?;
        if !self.conversation.drafts_are_right(model, &inputs, drawn).await? {
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
        Ok(Some(Drawn { tokens, drafts: verdict.kept - 1 }))
    }
}

/// Adds text to the answer and tells the caller, if there is any.
fn say(answer: &mut Completion, text: Option<String>, on_event: &mut dyn FnMut(Event)) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        answer.text.push_str(&text);
        on_event(Event::Text(text));
    }
}
