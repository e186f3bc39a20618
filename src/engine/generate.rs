//! Request to answer: encode, reuse what the state holds, encode pictures, prefill in chunks, decode token by token.

use super::backend::Backend;
use super::context::RequestContext;
use super::events::{Cancel, Completion, Event, FinishReason, Stage, Timings, Usage};
use super::pictures::PromptImages;
use super::prompt::Encoded;
use super::{Engine, Request};
use crate::error::{Error, Result};
use crate::model::LanguageModel;

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
        let context = &mut RequestContext::new(cancel, on_event);
        let cached = self.prefill(&encoded, &mut timings, context).await?;
        let decode_started = (self.clock)();
        let answer = self.decode(request, &encoded, context).await?;
        timings.decode_ms = (self.clock)() - decode_started;
        let usage = Usage {
            prompt_tokens: encoded.ids.len(),
            completion_tokens: answer.tokens.len(),
            cached_tokens: cached,
            drafted_tokens: answer.drafted,
            accepted_tokens: answer.accepted,
        };
        let Answer { text, tokens, finish_reason, .. } = answer;
        Ok(Completion { text, tokens, finish_reason, usage, timings })
    }

    /// The prompt and one token of an answer must fit.
    fn check_room(&self, tokens: usize) -> Result<()> {
        let context = self.backend.context();
        if tokens < context { Ok(()) } else { Err(Error::ContextOverflow { tokens: tokens + 1, context }) }
    }

    /// Brings the conversation to the end of the prompt, so that the logits of its last row can be read. Returns the entries that need
    /// not be computed.
    async fn prefill(
        &mut self,
        encoded: &Encoded,
        timings: &mut Timings,
        context: &mut RequestContext<'_>,
    ) -> Result<usize> {
        let total = encoded.entries.len();
        let common = self.conversation.common(&encoded.entries);
        let cached = self.conversation.rewind(common, &encoded.pictures);
        let vision_started = (self.clock)();
        let mut images = None;
        let encode = async |engine: &mut Self, context: &mut RequestContext<'_>| {
            let left = engine.conversation.entries().len();
            engine.images(&encoded.entries[left..], encoded, context).await
        };
        images.replace(self.with_recovery(context, encode).await?);
        // All room at once: the state moves once. Not before the tower is done: its work memory serves the state now.
        let reserve = async |engine: &mut Self, _: &mut RequestContext<'_>| {
            let left = engine.conversation.entries().len();
            engine.conversation.reserve(engine.backend.model()?, total - left).await
        };
        self.with_recovery(context, reserve).await?;
        let prefill_started = (self.clock)();
        timings.vision_ms = prefill_started - vision_started;
        while self.conversation.entries().len() < total {
            context.cancel.check()?;
            self.forward(encoded, usize::MAX, &mut images, context).await?;
            let done = self.conversation.entries().len();
            (context.on_event)(Event::Progress { stage: Stage::Prefill, done, total });
        }
        timings.prefill_ms = (self.clock)() - prefill_started;
        Ok(cached)
    }

    /// Encodes the pictures that `entries` name.
    async fn images(
        &mut self,
        entries: &[super::ContextEntry],
        encoded: &Encoded,
        context: &mut RequestContext<'_>,
    ) -> Result<PromptImages> {
        self.backend.encode_images(&mut self.conversation, entries, &encoded.pictures, context).await
    }

    /// The next chunk of a prompt, of at most `most` rows; its pictures are encoded before if they are not. Returns its rows.
    pub(super) async fn forward(
        &mut self,
        encoded: &Encoded,
        most: usize,
        images: &mut Option<PromptImages>,
        context: &mut RequestContext<'_>,
    ) -> Result<usize> {
        let step = async |engine: &mut Self, context: &mut RequestContext<'_>| {
            engine.forward_once(encoded, most, images, context).await
        };
        self.with_recovery(context, step).await
    }

    /// As [`Self::forward`]; whatever goes wrong is an error.
    pub(super) async fn forward_once(
        &mut self,
        encoded: &Encoded,
        most: usize,
        images: &mut Option<PromptImages>,
        context: &mut RequestContext<'_>,
    ) -> Result<usize> {
        let rest = &encoded.entries[self.conversation.entries().len()..];
        // After a loss they are gone.
        let features = match images.take() {
            Some(features) => features,
            None => self.images(rest, encoded, context).await?,
        };
        let model = self.backend.model()?;
        let entries = &rest[..rest.len().min(most).min(model.chunk_rows())];
        let inputs: Vec<_> = entries.iter().map(|entry| features.input(entry)).collect::<Result<_>>()?;
        self.conversation.append(model, entries, &inputs, features.rows.as_ref()).await?;
        *images = Some(features);
        Ok(entries.len())
    }
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
