//! Prefill: encodes pictures and computes the prompt in chunks, after the entries that the state holds. Can also return the logits of every
//! position, for comparison with another implementation.

use crate::engine::Engine;
use crate::engine::control::{RequestContext, RequestControl};
use crate::engine::device::backend::Backend;
use crate::engine::device::features::PromptImages;
use crate::engine::events::{Event, Stage, Timings};
use crate::engine::prompt::picture_size::PictureLimits;
use crate::engine::prompt::{Encoded, Picture, Prompt, Reading, Scope};
use crate::error::{Error, Result};
use crate::model::LanguageModel;

/// Tokens of an answer that a step recomputes after a loss.
const REPLAYED: usize = 16;

/// Consecutive rows of a prompt's logits.
#[derive(Debug, Clone, Copy)]
pub struct ScoredRows<'a> {
    /// The whole prompt's token ids.
    pub input_ids: &'a [u32],
    /// Position of the first row.
    pub first: usize,
    /// The rows. `// [rows, vocab]`
    pub logits: &'a [f32],
}

impl<B: Backend> Engine<B> {
    /// Computes a prompt from an empty state and passes the logits to `on_rows`, some rows at a time, in order. Returns its token ids. A
    /// pass has at most `chunk` tokens, and at most a chunk of the engine; the size changes logits only by rounding. Fails like
    /// [`Engine::generate`].
    pub async fn score(
        &mut self,
        prompt: &Prompt,
        pictures: &[Picture],
        chunk: usize,
        control: &RequestControl,
        on_rows: &mut dyn FnMut(ScoredRows<'_>) -> Result<()>,
    ) -> Result<Vec<u32>> {
        let encoded = self.encoder.encode_within(
            prompt,
            pictures,
            (PictureLimits::NONE, Reading { control, scope: Scope::SHARED }),
        )?;
        let (total, context) = (encoded.entries.len(), self.backend.context());
        if total > context {
            return Err(Error::ContextOverflow { tokens: total, context });
        }
        let ignore = &mut |_| ();
        let context = &mut RequestContext::new(control, ignore);
        self.switch_to(&[]);
        self.conversation.rewind(0, &encoded.pictures);
        let mut images = None;
        while self.conversation.entries().len() < total {
            control.check()?;
            let forward = async |engine: &mut Self, context: &mut RequestContext<'_>| {
                engine.forward(&encoded, chunk.max(1), &mut images, context).await
            };
            let rows = self.with_recovery(context, forward).await?;
            let first = self.conversation.entries().len() - rows;
            let read = async |engine: &mut Self, _: &mut RequestContext<'_>| {
                engine.conversation.logits(engine.backend.model()?, rows).await
            };
            let logits = self.with_recovery(context, read).await;
            let logits = logits.inspect_err(|_| self.conversation.forget_last_pass())?; // [rows, vocab]
            on_rows(ScoredRows { input_ids: &encoded.ids, first, logits: &logits })?;
        }
        Ok(encoded.ids)
    }

    /// Computes the next chunk of the prompt of an answer that is alone, with recovery.
    pub(in crate::engine) async fn prefill_alone(
        &mut self,
        encoded: &Encoded,
        images: &mut Option<PromptImages>,
        timings: &mut Timings,
        context: &mut RequestContext<'_>,
    ) -> Result<()> {
        let started = (self.clock)();
        if images.is_none() {
            let encode =
                async |engine: &mut Self, context: &mut RequestContext<'_>| engine.images(encoded, context).await;
            *images = Some(self.with_recovery(context, encode).await?);
            // Reserve all memory at once, after the tower has released its work memory.
            let reserve = async |engine: &mut Self, _: &mut RequestContext<'_>| {
                let left = encoded.entries.len() - engine.conversation.entries().len();
                let reserved = engine.conversation.reserve(engine.backend.model()?, left).await;
                // The features may have been lost with the device.
                reserved.inspect_err(|_| *images = None)
            };
            self.with_recovery(context, reserve).await?;
        }
        // The pictures have taken their time, and so will a chunk of the prompt.
        context.control.check()?;
        let encoded_at = (self.clock)();
        let forward = async |engine: &mut Self, context: &mut RequestContext<'_>| {
            engine.forward(encoded, usize::MAX, images, context).await
        };
        self.with_recovery(context, forward).await?;
        self.count_prefill([started, encoded_at], encoded, timings, context);
        Ok(())
    }

    /// Computes the next chunk of the prompt of an answer in a batch.
    pub(in crate::engine) async fn prefill_chunk(
        &mut self,
        encoded: &Encoded,
        images: &mut Option<PromptImages>,
        timings: &mut Timings,
        context: &mut RequestContext<'_>,
    ) -> Result<()> {
        context.control.check()?;
        let started = (self.clock)();
        if images.is_none() {
            *images = Some(self.images(encoded, context).await?);
        }
        // The pictures have taken their time, and so will a chunk of the prompt.
        context.control.check()?;
        let encoded_at = (self.clock)();
        self.forward(encoded, usize::MAX, images, context).await?;
        self.count_prefill([started, encoded_at], encoded, timings, context);
        Ok(())
    }

    /// Adds the time of a chunk and reports progress.
    fn count_prefill(
        &self,
        [started, encoded_at]: [f64; 2],
        encoded: &Encoded,
        timings: &mut Timings,
        context: &mut RequestContext<'_>,
    ) {
        let now = (self.clock)();
        timings.vision_ms += encoded_at - started;
        timings.prefill_ms += now - encoded_at;
        context.control.spend(0, now - started);
        let (done, total) = (self.conversation.entries().len(), encoded.entries.len());
        (context.on_event)(Event::Progress { stage: Stage::Prefill, done, total });
    }

    /// Recomputes some of an answer's tokens that the conversation has lost, if they are too many for one step. Returns true if the rest
    /// can be computed with the next token.
    pub(in crate::engine) async fn replay_some(&mut self, prompt: usize, drawn: &[u32]) -> Result<bool> {
        let Some(held) = self.conversation.entries().len().checked_sub(prompt) else { return Ok(true) };
        let Some(lost) = drawn.get(held..).filter(|lost| lost.len() > REPLAYED) else { return Ok(true) };
        let model = self.backend.model()?;
        for &token in &lost[..REPLAYED] {
            self.conversation.reserve(model, 1).await?;
            self.conversation.step_again(model, token).await?;
        }
        model.wait_idle().await?;
        Ok(false)
    }

    /// Encodes the pictures of entries that are not computed yet.
    pub(in crate::engine) async fn images(
        &mut self,
        encoded: &Encoded,
        context: &mut RequestContext<'_>,
    ) -> Result<PromptImages> {
        let rest = &encoded.entries[self.conversation.entries().len()..];
        if self.backend.lacks_room(rest, &encoded.pictures) {
            self.idle.clear();
        }
        let started = (self.clock)();
        let images = self.backend.encode_images(rest, &encoded.pictures, context).await;
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.note_pictures(rest, (self.clock)() - started);
        }
        images
    }

    /// Computes the next chunk of a prompt, of at most `most` rows; encodes its pictures first if necessary. Returns its rows.
    pub(in crate::engine) async fn forward(
        &mut self,
        encoded: &Encoded,
        most: usize,
        images: &mut Option<PromptImages>,
        context: &mut RequestContext<'_>,
    ) -> Result<usize> {
        // Features are gone after a device loss.
        let features = match images.take() {
            Some(features) => features,
            None => self.images(encoded, context).await?,
        };
        let model = self.backend.model()?;
        let held = self.conversation.entries().len();
        let rest = encoded.rest(held);
        let entries = &rest[..rest.len().min(most).min(model.chunk_rows())];
        let started = (self.clock)();
        self.conversation.append(model, entries, &features).await?;
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.note_tokens(entries.len(), (self.clock)() - started);
        }
        if encoded.branches.contains(&(held + entries.len())) {
            self.conversation.remember();
        }
        *images = Some(features);
        Ok(entries.len())
    }
}
