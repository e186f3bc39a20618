//! Request to answer: encode, reuse what the cache holds, encode pictures, prefill in chunks, decode token by token.

use super::events::{Cancel, Completion, Event, FinishReason, Stage, Timings, Usage};
use super::pictures::PromptFeatures;
use super::prompt::Encoded;
use super::session::Slot;
use super::{Engine, Request};
use crate::chat::TextStream;
use crate::error::{Error, Result};
use crate::model::Input;
use crate::sampling::Sampler;

impl Engine {
    /// Answers a request. Whatever goes wrong, and when it is cancelled, the engine can be used again.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], [`Error::InvalidImage`], [`Error::ImageTooLarge`], [`Error::ContextOverflow`],
    /// [`Error::Aborted`], or what the device complains about.
    pub async fn generate(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Completion> {
        let mut sampler = Sampler::new(request.sampling.clone())?;
        let mut timings = Timings::default();
        let started = (self.clock)();
        let encoded = self.encode(&request.prompt, &request.pictures)?;
        self.check_room(encoded.ids.len())?;
        encoded.pictures.iter().filter_map(|picture| picture.note.clone()).for_each(&mut *on_event);
        timings.prepare_ms = (self.clock)() - started;
        let prefilled = self.prefill(&encoded, &mut timings, cancel, on_event).await?;
        let decode_started = (self.clock)();
        let answer = self.decode(request, prefilled, &mut sampler, cancel, on_event).await?;
        timings.decode_ms = (self.clock)() - decode_started;
        let usage = Usage {
            prompt_tokens: encoded.ids.len(),
            completion_tokens: answer.tokens.len(),
            cached_tokens: prefilled.cached,
        };
        let Answer { text, tokens, finish_reason } = answer;
        Ok(Completion { text, tokens, finish_reason, usage, timings })
    }

    /// The prompt and one token of an answer must fit.
    fn check_room(&self, tokens: usize) -> Result<()> {
        let context = self.session.context();
        if tokens < context { Ok(()) } else { Err(Error::ContextOverflow { tokens: tokens + 1, context }) }
    }

    /// Brings the cache to the end of the prompt, so that the logits of its last row can be read.
    async fn prefill(
        &mut self,
        encoded: &Encoded,
        timings: &mut Timings,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Prefilled> {
        let cached = self.session.rewind_to(&encoded.slots);
        let vision_started = (self.clock)();
        let features = self.encode_pictures(encoded, cached, cancel, on_event).await?;
        // All at once: the cache moves once. Not before the tower is done: its work memory serves the cache now.
        self.session.cache.reserve(encoded.slots.len() - cached).await?;
        let prefill_started = (self.clock)();
        timings.vision_ms = prefill_started - vision_started;
        let (total, chunk) = (encoded.slots.len(), self.plan.rows.text.prompt);
        let mut last_row = 0;
        for first in (cached..total).step_by(chunk) {
            cancel.check()?;
            let slots = &encoded.slots[first..total.min(first + chunk)];
            self.forward(slots, &features).await?;
            last_row = slots.len() - 1;
            on_event(Event::Progress { stage: Stage::Prefill, done: first + slots.len(), total });
        }
        timings.prefill_ms = (self.clock)() - prefill_started;
        Ok(Prefilled { tokens: total, cached, last_row })
    }

    /// One forward pass; if it fails the cache is as it was.
    pub(super) async fn forward(&mut self, slots: &[Slot], features: &PromptFeatures) -> Result<()> {
        let held = self.session.cache.len();
        let inputs: Vec<Input> = slots.iter().map(|slot| features.input(slot)).collect::<Result<_>>()?;
        let run = match self.model.forward(&mut self.session.cache, &inputs, features.rows.as_ref()).await {
            Ok(()) => self.model.settle().await,
            Err(error) => Err(error),
        };
        match run {
            Ok(()) => self.session.extend(slots),
            Err(_) => self.session.truncate(held),
        }
        run
    }

    async fn decode(
        &mut self,
        request: &Request,
        prefilled: Prefilled,
        sampler: &mut Sampler,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Answer> {
        let room = self.session.context() - prefilled.tokens;
        let limit = request.max_tokens.map_or(room, |max| max.min(room));
        let mut answer = Answer { text: String::new(), tokens: Vec::new(), finish_reason: FinishReason::Length };
        let mut stream = TextStream::new(request.stop.clone());
        let no_pictures = PromptFeatures::default();
        let mut last_row = prefilled.last_row;
        while answer.tokens.len() < limit {
            cancel.check()?;
            let logits = self.model.logits(last_row..last_row + 1).await?; // [1, vocab]
            let token = sampler.sample(&logits)?;
            if self.manifest.chat.eos_token_ids.contains(&token) {
                answer.finish_reason = FinishReason::Stop;
                break;
            }
            answer.tokens.push(token);
            // Control tokens other than the end print nothing.
            let text = stream.push(self.tokenizer.token_bytes(token).unwrap_or_default());
            answer.say(text, on_event);
            if stream.is_stopped() {
                answer.finish_reason = FinishReason::Stop;
                break;
            }
            if answer.tokens.len() < limit {
                self.forward(&[Slot::Token(token)], &no_pictures).await?;
                last_row = 0;
            }
        }
        answer.say(stream.finish(), on_event);
        Ok(answer)
    }
}

/// Where a prompt stands after its forward passes.
#[derive(Debug, Clone, Copy)]
struct Prefilled {
    /// Tokens of the prompt.
    tokens: usize,
    /// Those that were in the cache before.
    cached: usize,
    /// Row of the last one in the last forward pass.
    last_row: usize,
}

/// The answer so far.
#[derive(Debug)]
struct Answer {
    text: String,
    tokens: Vec<u32>,
    finish_reason: FinishReason,
}

impl Answer {
    fn say(&mut self, text: Option<String>, on_event: &mut dyn FnMut(Event)) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.text.push_str(&text);
            on_event(Event::Text(text));
        }
    }
}
