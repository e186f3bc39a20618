//! Request to answer: encode, reuse what the cache holds, encode pictures, prefill in chunks, decode token by token.

use std::rc::Rc;

use super::events::{Cancel, Completion, Event, FinishReason, Stage, Timings, Usage};
use super::load::Resident;
use super::pictures::{PromptFeatures, Shown};
use super::prompt::{Encoded, SizedPicture};
use super::recover::Run;
use super::session::ContextEntry;
use super::{Engine, Request};
use crate::error::{Error, Result};
use crate::model::Input;

impl Engine {
    /// Answers a request. Whatever goes wrong, and when it is cancelled, the engine can be used again. A device that is lost
    /// meanwhile is opened again, and the answer goes on where it was.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], [`Error::InvalidImage`], [`Error::ImageTooLarge`], [`Error::ContextOverflow`],
    /// [`Error::Aborted`], [`Error::DeviceLost`] if that happens again and again, or what else the device complains about.
    pub async fn generate(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Completion> {
        request.sampling.validate()?;
        let mut timings = Timings::default();
        let started = (self.clock)();
        let encoded = self.encode(&request.prompt, &request.pictures)?;
        self.check_room(encoded.ids.len())?;
        encoded.pictures.iter().filter_map(|picture| picture.note.clone()).for_each(&mut *on_event);
        timings.prepare_ms = (self.clock)() - started;
        let run = &mut Run::new(cancel, on_event);
        let prefilled = self.prefill(&encoded, &mut timings, run).await?;
        let decode_started = (self.clock)();
        let answer = self.decode(request, prefilled, run).await?;
        timings.decode_ms = (self.clock)() - decode_started;
        let usage = Usage {
            prompt_tokens: encoded.ids.len(),
            completion_tokens: answer.tokens.len(),
            cached_tokens: prefilled.cached,
            drafted_tokens: answer.drafted,
            accepted_tokens: answer.accepted,
        };
        let Answer { text, tokens, finish_reason, .. } = answer;
        Ok(Completion { text, tokens, finish_reason, usage, timings })
    }

    /// The prompt and one token of an answer must fit.
    fn check_room(&self, tokens: usize) -> Result<()> {
        let context = self.plan.context;
        if tokens < context { Ok(()) } else { Err(Error::ContextOverflow { tokens: tokens + 1, context }) }
    }

    /// Forgets all but the first `len` slots, and all pictures but theirs and `pictures`.
    pub(super) fn rewind(&mut self, len: usize, pictures: &[Rc<SizedPicture>]) {
        self.session.truncate(len);
        self.session.keep_pictures(pictures);
        if let Some(resident) = &mut self.resident {
            resident.cache.truncate(len);
        }
    }

    /// Brings the cache to the end of the prompt, so that the logits of its last row can be read.
    async fn prefill(&mut self, encoded: &Encoded, timings: &mut Timings, run: &mut Run<'_>) -> Result<Prefilled> {
        let cached = self.session.common(&encoded.slots);
        self.rewind(cached, &encoded.pictures);
        let vision_started = (self.clock)();
        let mut shown = Shown::new(&encoded.slots[cached..], &encoded.pictures);
        self.look(&mut shown, run).await?;
        // All at once: the cache moves once. Not before the tower is done: its work memory serves the cache now.
        let new = encoded.slots.len() - cached;
        self.surviving(run, async |engine, _| engine.resident_mut()?.cache.reserve(new).await).await?;
        let prefill_started = (self.clock)();
        timings.vision_ms = prefill_started - vision_started;
        let (total, chunk) = (encoded.slots.len(), self.plan.rows.text.prompt);
        let mut last_row = 0;
        for first in (cached..total).step_by(chunk) {
            run.cancel.check()?;
            let slots = &encoded.slots[first..total.min(first + chunk)];
            self.forward(slots, &mut shown, run).await?;
            last_row = slots.len() - 1;
            (run.on_event)(Event::Progress { stage: Stage::Prefill, done: first + slots.len(), total });
        }
        timings.prefill_ms = (self.clock)() - prefill_started;
        Ok(Prefilled { tokens: total, cached, last_row })
    }

    /// Encodes the pictures.
    async fn look(&mut self, shown: &mut Shown<'_>, run: &mut Run<'_>) -> Result<()> {
        let Shown { slots, pictures, .. } = *shown;
        let step = async |engine: &mut Self, run: &mut Run<'_>| {
            engine.encode_pictures(slots, pictures, run.cancel, run.on_event).await
        };
        shown.features = Some(self.surviving(run, step).await?);
        Ok(())
    }

    /// One forward pass, its pictures encoded before if they are not.
    pub(super) async fn forward(
        &mut self,
        slots: &[ContextEntry],
        shown: &mut Shown<'_>,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let step = async |engine: &mut Self, run: &mut Run<'_>| {
            let features = match shown.features.take() {
                Some(features) => features,
                None => engine.encode_pictures(shown.slots, shown.pictures, run.cancel, run.on_event).await?,
            };
            engine.pass(slots, &features).await?;
            shown.features = Some(features);
            Ok(())
        };
        self.surviving(run, step).await
    }

    /// One forward pass; if it is seen to fail the cache is as it was.
    async fn pass(&mut self, slots: &[ContextEntry], features: &PromptFeatures) -> Result<()> {
        let inputs: Vec<Input> = slots.iter().map(|slot| features.input(slot)).collect::<Result<_>>()?;
        let Resident { model, cache, .. } = self.resident_mut()?;
        let held = cache.len();
        let passed = match model.forward(cache, &inputs, features.rows.as_ref()).await {
            Ok(()) => model.wait_idle().await,
            Err(error) => Err(error),
        };
        match passed {
            Ok(()) => self.session.extend(slots, slots.len()),
            Err(_) => cache.truncate(held),
        }
        passed
    }
}

/// Where a prompt stands after its forward passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefilled {
    /// Tokens of the prompt.
    pub(super) tokens: usize,
    /// Those that were in the cache before.
    pub(super) cached: usize,
    /// Row of the last one in the last forward pass.
    pub(super) last_row: usize,
}

/// The answer so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) tokens: Vec<u32>,
    pub(super) finish_reason: FinishReason,
    /// Tokens drawn, one that ended it among them.
    pub(super) taken: usize,
    /// Tokens guessed.
    pub(super) drafted: usize,
    /// Those of its tokens that had been guessed.
    pub(super) accepted: usize,
}

impl Answer {
    pub(super) fn say(&mut self, text: Option<String>, on_event: &mut dyn FnMut(Event)) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.text.push_str(&text);
            on_event(Event::Text(text));
        }
    }
}
