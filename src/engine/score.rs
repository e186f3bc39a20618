//! A prompt through the model, every position's logits out: how agreement with another implementation is checked.

use super::Engine;
use super::backend::Backend;
use super::events::{Cancel, RequestContext};
use super::prompt::{Picture, Prompt};
use crate::error::{Error, Result};
use crate::model::LanguageModel;

/// Some rows of a prompt's logits.
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
    /// Runs a prompt from an empty state and hands the logits over, some rows at a time, in order. Returns its token ids. A forward
    /// pass has at most `chunk` tokens, and no more than the engine's own chunks; all divisions give the same logits but for rounding.
    /// Fails as [`Engine::generate`].
    pub async fn score(
        &mut self,
        prompt: &Prompt,
        pictures: &[Picture],
        chunk: usize,
        cancel: &Cancel,
        on_rows: &mut dyn FnMut(ScoredRows<'_>) -> Result<()>,
    ) -> Result<Vec<u32>> {
        let encoded = self.encode(prompt, pictures)?;
        let (total, context) = (encoded.entries.len(), self.backend.context());
        if total > context {
            return Err(Error::ContextOverflow { tokens: total, context });
        }
        let ignore = &mut |_| ();
        let context = &mut RequestContext::new(cancel, ignore);
        self.conversation.rewind(0, &encoded.pictures);
        let mut images = None;
        while self.conversation.entries().len() < total {
            cancel.check()?;
            let forward = async |engine: &mut Self, context: &mut RequestContext<'_>| {
                engine.forward(&encoded, chunk.max(1), &mut images, context).await
            };
            let rows = self.with_recovery(context, forward).await?;
            let first = self.conversation.entries().len() - rows;
            let logits = self.logits(rows, context).await?; // [rows, vocab]
            on_rows(ScoredRows { input_ids: &encoded.ids, first, logits: &logits })?;
        }
        Ok(encoded.ids)
    }

    /// Logits of the last pass, which is forgotten if it turns out to have failed. `// [rows, vocab]`
    async fn logits(&mut self, rows: usize, context: &mut RequestContext<'_>) -> Result<Vec<f32>> {
        let step = async |engine: &mut Self, _: &mut RequestContext<'_>| engine.backend.model()?.logits(0..rows).await;
        let logits = self.with_recovery(context, step).await;
        if logits.is_err() {
            self.conversation.forget_last_pass();
        }
        logits
    }
}
