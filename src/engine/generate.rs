//! Request to answer: encode, reuse what the state holds, encode pictures, prefill in chunks, decode token by token.

use super::backend::Backend;
use super::events::{Cancel, Completion, Event, RequestContext, Stage, Timings};
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
        let (mut answer, started) = (Completion::default(), (self.clock)());
        let encoded = self.encode(&request.prompt, &request.pictures)?;
        answer.usage.prompt_tokens = encoded.ids.len();
        self.check_room(encoded.ids.len())?;
        encoded.pictures.iter().filter_map(|picture| picture.note.clone()).for_each(&mut *on_event);
        answer.timings.prepare_ms = (self.clock)() - started;
        let context = &mut RequestContext::new(cancel, on_event);
        answer.usage.cached_tokens = self.prefill(&encoded, &mut answer.timings, context).await?;
        let decode_started = (self.clock)();
        self.decode(&mut answer, request, &encoded, context).await?;
        answer.timings.decode_ms = (self.clock)() - decode_started;
        answer.usage.completion_tokens = answer.tokens.len();
        Ok(answer)
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
        let encode = async |engine: &mut Self, context: &mut RequestContext<'_>| engine.images(encoded, context).await;
        let mut images = Some(self.with_recovery(context, encode).await?);
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
            let forward = async |engine: &mut Self, context: &mut RequestContext<'_>| {
                engine.forward(encoded, usize::MAX, &mut images, context).await
            };
            self.with_recovery(context, forward).await?;
            let done = self.conversation.entries().len();
            (context.on_event)(Event::Progress { stage: Stage::Prefill, done, total });
        }
        timings.prefill_ms = (self.clock)() - prefill_started;
        Ok(cached)
    }

    /// Encodes the pictures of what is not computed yet.
    async fn images(&mut self, encoded: &Encoded, context: &mut RequestContext<'_>) -> Result<PromptImages> {
        let rest = &encoded.entries[self.conversation.entries().len()..];
        self.backend.encode_images(&mut self.conversation, rest, &encoded.pictures, context).await
    }

    /// The next chunk of a prompt, of at most `most` rows; its pictures are encoded before if they are not. Returns its rows.
    pub(super) async fn forward(
        &mut self,
        encoded: &Encoded,
        most: usize,
        images: &mut Option<PromptImages>,
        context: &mut RequestContext<'_>,
    ) -> Result<usize> {
        // After a loss they are gone.
        let features = match images.take() {
            Some(features) => features,
            None => self.images(encoded, context).await?,
        };
        let model = self.backend.model()?;
        let rest = &encoded.entries[self.conversation.entries().len()..];
        let entries = &rest[..rest.len().min(most).min(model.chunk_rows())];
        self.conversation.append(model, entries, &features).await?;
        *images = Some(features);
        Ok(entries.len())
    }
}
